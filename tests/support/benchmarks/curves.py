"""Studies of what the model and the work are like: formats, labels, lengths of utterances, prefixes, other settings."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait

from support.benchmarks.agreement import Compared, compared
from support.benchmarks.asked import Model
from support.benchmarks.load import duration, processes
from support.benchmarks.world import World

BUSY = 64  # calls at once, where a curve has one point under load
ROUNDS = 6


def utterance_lengths(world: World) -> None:
    """One call at a time, and many, by the tokens of an utterance."""
    roles = {"envoy": world.envoy()}
    for length in world.asked.lengths:
        said = world.said((length, length))
        world.bench(f"{length} 1", roles, "--concurrency", "1", *duration(world), said=said)
        many = ("--concurrency", str(BUSY), *processes(world, BUSY), *duration(world))
        world.bench(f"{length} {BUSY}", roles, *many, said=said)


def label_counts(world: World) -> None:
    """Bundles that differ in their head alone, each in turn with the one that is asked for."""
    others = {labels: world.other(labels=labels) for labels in world.asked.labels}
    _make(world, [world.asked.model, *others.values()])
    for labels, model in others.items():
        _beside_ours(world, str(labels), model, "other")


def prefix_lengths(world: World) -> None:
    """One call at a time, and many, by the tokens that all prompts begin with."""
    ours = world.asked.model
    longest = max(world.asked.prefixes) + ours.max_tokens - ours.prefix_tokens
    others = {prefix: world.other(prefix_tokens=prefix, max_tokens=longest) for prefix in world.asked.prefixes}
    models = {prefix: ours if prefix == ours.prefix_tokens else other for prefix, other in others.items()}
    _make(world, models.values())
    for prefix, model in models.items():
        _alone(world, str(prefix), model)


def one_form(form: str, world: World) -> None:
    """The model in another format: closed loops, and the highest rate, of our server alone."""
    model = world.other(form=form)
    left = world.asked.forms[world.asked.forms.index(form) :]
    _make(world, [world.other(form=each) for each in left])
    roles, said = {"server": world.server(model)}, world.said(model=model)
    world.bench("1", roles, "--concurrency", "1", *duration(world), said=said)
    steps = ",".join(map(str, world.asked.concurrencies))
    many = processes(world, min(world.asked.concurrencies))
    world.bench("loops", roles, "--ramp-concurrency", steps, *duration(world), *many, said=said)
    search = ("--slo", world.asked.slo, "--precision", "5%", "--confirmations", "0")
    world.bench("rate", roles, *search, *duration(world), *processes(world, world.asked.processes), said=said)
    _leave(world, model)


def one_setting(setting: str, world: World) -> None:
    """A server with one setting changed, in turn with the one that is asked for."""
    name, _, value = setting.partition("=")
    world.bundle()
    server, other = world.together(world.server, lambda: world.server(settings={name: value}))
    texts, labels = world.said().texts, world.asked.model.labels
    world.record.note(**_told(compared(server, other, texts, labels)))
    _in_turn(world, setting, {"server": server, "other": other})
    world.end(f"server {world.bundle().path.name} {setting}")


def _told(found: Compared) -> dict[str, float]:
    return {
        "greatest difference of a confidence": found.difference,
        "of the same server twice": found.noise,
        "the greatest confidence": found.most,
    }


def _beside_ours(world: World, name: str, model: Model, role: str) -> None:
    _in_turn(world, name, {"server": world.server(), role: world.server(model)})
    _leave(world, model)


def _in_turn(world: World, name: str, roles: Mapping[str, str]) -> None:
    for at_once in (1, BUSY):
        flags = ("--concurrency", str(at_once), *processes(world, at_once), *duration(world), "--rounds", str(ROUNDS))
        world.bench(f"{name} {at_once}", roles, *flags)


def _alone(world: World, name: str, model: Model) -> None:
    said = world.said(model=model)
    for at_once in (1, BUSY):
        flags = ("--concurrency", str(at_once), *processes(world, at_once), *duration(world, 2.0))
        world.bench(f"{name} {at_once}", {"server": world.server(model)}, *flags, said=said)
    _leave(world, model)


def _make(world: World, models: Iterable[Model]) -> None:
    """Makes the bundles and starts the servers of these models all at the same time, if that is asked for. Who needs
    one that cannot be made fails when it asks for it.
    """
    if world.asked.at_once:
        each = dict.fromkeys(models)
        with ThreadPoolExecutor(len(each)) as threads:
            wait([threads.submit(world.server, model) for model in each])


def _leave(world: World, model: Model) -> None:
    """Ends what served a model that is not the one asked for, and deletes it."""
    if model != world.asked.model:
        world.end(f"server {model.name}", f"said {model.name}")
        world.drop(model)
