"""What the engine uses of vLLM is what both supported versions have, as vllm_interface.json records it of each.

The recordings are made by record_vllm_interface.py from source files, so that the CPU's version and the GPU's are
recorded alike on a machine that can run only one of them.
"""

import ast
import importlib.util
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import record_vllm_interface as recorder
from intently_server.engine import engine_figures
from support.paths import ROOT

SERVER = ROOT / "server" / "intently_server"
ENGINE = SERVER / "engine" / "vllm_engine.py"
CLIENT = SERVER / "engine" / "vllm_client.py"
CORE = SERVER / "engine" / "vllm_core.py"
CONFIG = SERVER / "engine" / "vllm_config.py"
METRICS = SERVER / "engine" / "engine_figures.py"
TREE = ast.parse(ENGINE.read_text(encoding="utf-8"))
CLIENT_TREE = ast.parse(CLIENT.read_text(encoding="utf-8"))
CORE_TREE = ast.parse(CORE.read_text(encoding="utf-8"))
METRICS_TREE = ast.parse(METRICS.read_text(encoding="utf-8"))
RECORDED: dict[str, dict[str, Any]] = json.loads(recorder.RECORD.read_text(encoding="utf-8"))


def installed() -> tuple[str, dict[str, Any]] | None:
    """The installed vLLM, recorded now; it is found but not imported."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return None
    return recorder.record(Path(next(iter(spec.submodule_search_locations))))


INSTALLED = installed()
VERSIONS = {**RECORDED, **({INSTALLED[0]: INSTALLED[1]} if INSTALLED else {})}
all_versions = pytest.mark.parametrize("version", sorted(VERSIONS))


def signature(version: str, name: str) -> inspect.Signature:
    """A recorded function's parameters, without self or cls."""
    text = VERSIONS[version]["functions"][name]
    parameters = text[text.index("(") :]
    parsed = ast.parse(f"def f{parameters}: ...").body[0]
    assert isinstance(parsed, ast.FunctionDef)
    bare = ast.FunctionDef(name="f", args=_without_annotations(parsed.args), body=[ast.Pass()], decorator_list=[])
    namespace: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(ast.Module([bare], [])), name, "exec"), namespace)  # noqa: S102
    found = inspect.signature(namespace["f"])
    kept = [each for each in found.parameters.values() if each.name not in {"self", "cls"}]
    return found.replace(parameters=kept)


def _without_annotations(arguments: ast.arguments) -> ast.arguments:
    for each in ast.walk(arguments):
        if isinstance(each, ast.arg):
            each.annotation = None
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [each and ast.Constant(None) for each in arguments.kw_defaults]
    return arguments


def calls(function: str) -> Iterator[tuple[list[ast.expr], dict[str, ast.expr]]]:
    """What the engine passes to a function of this source form, called or handed to asyncio.to_thread."""
    for node in (*ast.walk(TREE), *ast.walk(CLIENT_TREE), *ast.walk(CORE_TREE)):
        if not isinstance(node, ast.Call):
            continue
        handed = ast.unparse(node.func) == "asyncio.to_thread" and ast.unparse(node.args[0]) == function
        if handed or ast.unparse(node.func) == function:
            named = {each.arg: each.value for each in node.keywords if each.arg is not None}
            yield node.args[1:] if handed else node.args, named


def attributes_of(*roots: str, tree: ast.Module = TREE) -> set[str]:
    """The attributes that the engine reads of expressions with these source forms."""
    return {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) in roots
    }


def dictionary_keys(function: str) -> set[str]:
    """The keys of the dictionary that a function of the engine's configuration returns."""
    for node in ast.walk(ast.parse(CONFIG.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            returned = next(each.value for each in ast.walk(node) if isinstance(each, ast.Return))
            return {str(ast.literal_eval(key)) for key in returned.keys}  # type: ignore[union-attr]
    raise LookupError(function)


def test_both_supported_versions_are_recorded() -> None:
    assert set(RECORDED) == {"0.25.1", "0.32.0"}


def test_the_installed_version_is_as_it_was_recorded() -> None:
    if INSTALLED is None:
        pytest.skip("vLLM is not installed")
    version, interface = INSTALLED
    if version not in RECORDED:
        pytest.skip(f"vLLM {version} is not recorded; the other tests hold the engine against it")
    assert interface == RECORDED[version]


def test_vllm_is_imported_in_three_modules_and_nothing_but_what_is_listed() -> None:
    found = {}
    for file in SERVER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vllm":
                found.update({f"{node.module}:{each.name}": file for each in node.names})
            if isinstance(node, ast.Import):
                found.update({each.name: file for each in node.names if each.name.split(".")[0] == "vllm"})
    assert set(found) == set(recorder.IMPORTS)
    assert set(found.values()) == {ENGINE, CLIENT, CORE}


@all_versions
def test_all_that_is_listed_is_there(version: str) -> None:
    interface = VERSIONS[version]

    assert interface["imports"] == recorder.IMPORTS
    assert set(interface["functions"]) == set(recorder.FUNCTIONS)
    assert interface["environment"] == recorder.ENVIRONMENT
    for name, (_, _, fields) in recorder.FIELDS.items():
        assert set(interface["fields"][name]) == set(fields)
    for name, (_, _, attributes) in recorder.ATTRIBUTES.items():
        assert interface["attributes"][name] == attributes


@all_versions
@pytest.mark.parametrize(
    ("call", "function"),
    [
        ("params.verify", "PoolingParams.verify"),
        ("EngineCoreClient.make_async_mp_client", "EngineCoreClient.make_async_mp_client"),
        ("AsyncEngineArgs(**config.engine_args()).create_engine_config", "AsyncEngineArgs.create_engine_config"),
        ("Executor.get_class", "Executor.get_class"),
        ("launch_core_engines", "launch_core_engines"),
        ("self._manager.finished_procs", "CoreEngineProcManager.finished_procs"),
        ("self._manager.shutdown", "CoreEngineProcManager.shutdown"),
        ("self._coordinator.shutdown", "DPCoordinator.shutdown"),
        ("self._core.add_request_async", "AsyncMPClient.add_request_async"),
        ("self._core.abort_requests_async", "AsyncMPClient.abort_requests_async"),
        ("self._core.get_output_async", "AsyncMPClient.get_output_async"),
        ("self._core.shutdown", "AsyncMPClient.shutdown"),
    ],
)
def test_every_call_fits_the_signature(version: str, call: str, function: str) -> None:
    found = list(calls(call))

    assert found
    for positional, named in found:
        signature(version, function).bind(*positional, **named)


@all_versions
def test_every_field_that_is_passed_exists(version: str) -> None:
    fields = VERSIONS[version]["fields"]
    pooling = [named for _, named in calls("PoolingParams")]

    assert dictionary_keys("engine_args") <= set(fields["AsyncEngineArgs"])
    assert pooling
    assert all(set(named) <= set(fields["PoolingParams"]) for named in pooling)
    [(_, request)] = calls("EngineCoreRequest")
    assert set(request) == set(fields["EngineCoreRequest"])
    [(_, addresses)] = calls("EngineZmqAddresses")
    assert set(addresses) == set(fields["EngineZmqAddresses"])


@all_versions
def test_what_launching_yields_is_known(version: str) -> None:
    interface = VERSIONS[version]
    result = interface["functions"]["launch_core_engines"].partition(" -> ")[2]

    if interface["launched"]:  # as attributes
        assert result == "Iterator[CoreEngineLaunch]"
        assert attributes_of("launched", tree=CORE_TREE) == set(interface["launched"])
    else:  # in this order
        assert result.startswith("Iterator[tuple[CoreEngineProcManager | ")
        assert result.split(", ")[1] == "DPCoordinator | None"


@all_versions
def test_a_client_is_told_all_that_it_must_be(version: str) -> None:
    [told] = [
        node.value
        for node in ast.walk(TREE)
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["addresses"]
    ]

    assert isinstance(told, ast.Dict)
    assert sorted(ast.literal_eval(key) for key in told.keys if key) == VERSIONS[version]["keys"]["client_addresses"]


@all_versions
def test_an_engine_says_of_its_death_what_we_say_for_it(version: str) -> None:
    assert attributes_of("EngineCoreProc", tree=CORE_TREE) == {"ENGINE_CORE_DEAD"}
    assert VERSIONS[version]["constants"]["EngineCoreProc.ENGINE_CORE_DEAD"]


@all_versions
def test_every_attribute_that_is_read_exists(version: str) -> None:
    interface = VERSIONS[version]
    client, fields = "AsyncMPClient", interface["fields"]
    methods = {name.partition(".")[2] for name in interface["functions"] if name.startswith(f"{client}.")}
    output = {*fields["EngineCoreOutput"], "finished"}

    assert attributes_of("self._core", tree=CLIENT_TREE) <= {*methods, *interface["attributes"][client]}
    assert attributes_of("self._core.resources", tree=CLIENT_TREE) <= set(fields["BackgroundResources"])
    assert attributes_of("told", tree=CLIENT_TREE) <= set(fields["EngineCoreOutputs"])
    assert attributes_of("output", tree=CLIENT_TREE) | attributes_of("output") <= output
    assert attributes_of("prefill") <= set(fields["PrefillStats"])
    assert attributes_of("scheduler") <= set(fields["SchedulerStats"])
    assert interface["functions"]["EngineCoreOutput.finished"].startswith("@property")
    assert attributes_of("coordinator", tree=CORE_TREE) <= {*interface["attributes"]["DPCoordinator"]}


@all_versions
def test_the_numbers_of_events_are_theirs(version: str) -> None:
    ours = (engine_figures._QUEUED, engine_figures._SCHEDULED, engine_figures._PREEMPTED)

    theirs = [
        VERSIONS[version]["constants"][f"EngineCoreEventType.{name}"] for name in ("QUEUED", "SCHEDULED", "PREEMPTED")
    ]
    assert [str(number) for number in ours] == theirs


@all_versions
@pytest.mark.parametrize(
    ("expression", "kind", "stats"),
    [
        ("scheduler", "fields", "SchedulerStats"),
        ("cache", "fields", "PrefixCacheStats"),
        ("event", "fields", "EngineCoreEvent"),
        ("prefill", "fields", "PrefillStats"),
    ],
)
def test_every_figure_that_is_counted_exists(version: str, expression: str, kind: str, stats: str) -> None:
    read = attributes_of(expression, tree=METRICS_TREE)

    assert read
    assert read <= set(VERSIONS[version][kind][stats])


def test_the_environment_that_is_set_is_listed() -> None:
    tree = ast.parse((SERVER / "engine" / "environment.py").read_text(encoding="utf-8"))
    names = {
        str(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and str(node.value).startswith("VLLM_")
    }
    assert names == set(recorder.ENVIRONMENT)
