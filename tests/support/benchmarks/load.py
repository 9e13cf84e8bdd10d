"""Studies of load: the highest rate within a latency, closed loops, one caller, Envoy's share, batches and streams."""

from support.benchmarks.inside import inside
from support.benchmarks.world import World

SHARED = 64  # calls at once at which Envoy's share is measured beside one
BATCH, BATCHES = 32, 8  # utterances of a batch, and batches at once
ITEMS = 128  # under way at once, as calls or as items of streams
STREAMS = (16, 64, 128)


def rate_beside_serve(world: World) -> None:
    """Our server through Envoy, and `vllm serve`: the highest rate, a probe of each in turn."""
    world.bundle()
    _, serve = world.together(world.server, world.serve)
    _search(world, "rate", {"envoy": world.envoy(), "serve": serve})


def rate_beside_bare(world: World) -> None:
    """Our server through Envoy, and the bare engine."""
    _search(world, "rate", {"envoy": world.envoy(), "bare": world.bare()})


def rate_beside_scaled_serve(world: World) -> None:
    """Our server through Envoy, and `vllm serve` with four processes in front of its engine."""
    world.end("serve")
    _search(world, "rate", {"envoy": world.envoy(), "serve4": world.serve(api_server_count=4)})
    world.end("serve")


def closed_loops(world: World) -> None:
    """What numbers of callers get who wait for each answer: all three one after the other, and ours again."""
    asked = world.asked
    steps = ",".join(map(str, asked.concurrencies))
    flags = ("--ramp-concurrency", steps, *duration(world), *processes(world, min(asked.concurrencies)))
    for name, target in (("envoy", world.envoy()), ("serve", world.serve()), ("bare", world.bare())):
        world.bench(f"{name} 1", {name: target}, *flags)
    world.bench("envoy 2", {"envoy": world.envoy()}, *flags)


def one_caller(world: World) -> None:
    """One call at a time: beside the bare engine, and beside `vllm serve`, in turn."""
    flags = ("--concurrency", "1", *duration(world, 2.0), "--rounds", "3")
    envoy = world.envoy()
    with inside(world, "inside our server, ms"):
        world.bench("bare", {"envoy": envoy, "bare": world.bare()}, *flags)
    world.bench("serve", {"envoy": envoy, "serve": world.serve()}, *flags)


def envoys_share(world: World) -> None:
    """The same server with and without Envoy, in turn."""
    roles = {"envoy": world.envoy(), "server": world.server()}
    world.bench("1", roles, "--concurrency", "1", *duration(world), "--rounds", "5")
    shared = processes(world, SHARED)
    world.bench(str(SHARED), roles, "--concurrency", str(SHARED), *shared, *duration(world), "--rounds", "3")


def batches(world: World) -> None:
    """Batches beside the bare engine and beside `vllm serve`, in turn."""
    sent = ("--shape", "batch", "--batch-size", str(BATCH), "--timeout", "60s")
    flags = (*sent, "--concurrency", str(BATCHES), *processes(world, BATCHES), *duration(world), "--rounds", "3")
    world.bench("bare", {"envoy": world.envoy(), "bare": world.bare()}, *flags)
    world.bench("serve", {"envoy": world.envoy(), "serve": world.serve()}, *flags)


def streams(world: World) -> None:
    """As many items under way on streams as single calls, in turn; by the number of streams."""
    roles = {"envoy": world.envoy()}
    common = (*duration(world), *processes(world, min(STREAMS)))
    for turn in (1, 2):
        world.bench(f"calls {turn}", roles, "--concurrency", str(ITEMS), *common)
        for number in STREAMS:
            each = ("--shape", "stream", "--streams", str(number), "--concurrency", str(ITEMS // number))
            world.bench(f"{number} streams {turn}", roles, *each, *common)


def duration(world: World, times: float = 1.0) -> tuple[str, str]:
    """How long a turn is measured."""
    return "--duration", f"{world.asked.seconds * times:g}s"


def processes(world: World, at_once: int) -> tuple[str, str]:
    """The generator's processes, where so much is under way at once."""
    return "--processes", str(min(world.asked.processes, at_once))


def _search(world: World, name: str, roles: dict[str, str]) -> None:
    flags = ("--slo", world.asked.slo, "--precision", "3%", "--confirmations", "1")
    world.bench(name, roles, *flags, *duration(world), *processes(world, world.asked.processes))
