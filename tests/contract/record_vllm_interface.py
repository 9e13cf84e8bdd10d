"""Records, from vLLM's source files and without importing it, the parts of its interface that the engine uses.

    python tests/contract/record_vllm_interface.py FOLDER...

FOLDER is a `vllm` package: an installed one, or one unpacked from a wheel. Each is recorded in vllm_interface.json
beside this file, under its version; what is recorded of other versions stays.
"""

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("vllm_interface.json")

# Where each name that the engine imports is defined: "module:name", by the module and name that it is imported as.
IMPORTS = {
    "vllm:AsyncEngineArgs": "vllm.engine.arg_utils:AsyncEngineArgs",
    "vllm:PoolingParams": "vllm.pooling_params:PoolingParams",
    "vllm.v1.engine:EngineCoreRequest": "vllm.v1.engine:EngineCoreRequest",
    "vllm.v1.engine:FinishReason": "vllm.v1.engine:FinishReason",
    "vllm.v1.engine.core:EngineCoreProc": "vllm.v1.engine.core:EngineCoreProc",
    "vllm.v1.engine.core_client:EngineCoreClient": "vllm.v1.engine.core_client:EngineCoreClient",
    "vllm.v1.engine.exceptions:EngineDeadError": "vllm.v1.engine.exceptions:EngineDeadError",
    "vllm.v1.engine.utils:EngineZmqAddresses": "vllm.v1.engine.utils:EngineZmqAddresses",
    "vllm.v1.engine.utils:launch_core_engines": "vllm.v1.engine.utils:launch_core_engines",
    "vllm.v1.executor:Executor": "vllm.v1.executor.abstract:Executor",
}
FUNCTIONS = {
    "PoolingParams.verify": ("pooling_params.py", "PoolingParams.verify"),
    "EngineCoreClient.make_async_mp_client": ("v1/engine/core_client.py", "EngineCoreClient.make_async_mp_client"),
    "AsyncMPClient.add_request_async": ("v1/engine/core_client.py", "AsyncMPClient.add_request_async"),
    "AsyncMPClient.abort_requests_async": ("v1/engine/core_client.py", "AsyncMPClient.abort_requests_async"),
    "AsyncMPClient.get_output_async": ("v1/engine/core_client.py", "AsyncMPClient.get_output_async"),
    "AsyncMPClient.shutdown": ("v1/engine/core_client.py", "MPClient.shutdown"),
    "EngineCoreOutput.finished": ("v1/engine/__init__.py", "EngineCoreOutput.finished"),
    "AsyncEngineArgs.create_engine_config": ("engine/arg_utils.py", "EngineArgs.create_engine_config"),
    "Executor.get_class": ("v1/executor/abstract.py", "Executor.get_class"),
    "launch_core_engines": ("v1/engine/utils.py", "launch_core_engines"),
    "CoreEngineProcManager.finished_procs": ("v1/engine/utils.py", "CoreEngineProcManager.finished_procs"),
    "CoreEngineProcManager.shutdown": ("v1/engine/utils.py", "CoreEngineProcManager.shutdown"),
    "DPCoordinator.shutdown": ("v1/engine/coordinator.py", "DPCoordinator.shutdown"),
    "EngineDeadError.__init__": ("v1/engine/exceptions.py", "EngineDeadError.__init__"),
}
FIELDS = {
    "AsyncEngineArgs": (
        "engine/arg_utils.py",
        ("EngineArgs", "AsyncEngineArgs"),
        [
            "model",
            "served_model_name",
            "skip_tokenizer_init",
            "trust_remote_code",
            "load_format",
            "runner",
            "convert",
            "model_impl",
            "dtype",
            "max_model_len",
            "enable_prefix_caching",
            "enable_chunked_prefill",
            "max_num_batched_tokens",
            "max_num_seqs",
            "kv_cache_memory_bytes",
            "block_size",
            "gpu_memory_utilization",
            "tensor_parallel_size",
            "data_parallel_size",
            "distributed_executor_backend",
            "cudagraph_capture_sizes",
            "enforce_eager",
            "async_scheduling",
            "disable_log_stats",
            "enable_log_requests",
            "use_tqdm_on_load",
        ],
    ),
    "EngineZmqAddresses": ("v1/engine/utils.py", ("EngineZmqAddresses",), ["inputs", "outputs"]),
    "PoolingParams": ("pooling_params.py", ("PoolingParams",), ["task", "use_activation"]),
    "EngineCoreRequest": (
        "v1/engine/__init__.py",
        ("EngineCoreRequest",),
        [
            "request_id",
            "prompt_token_ids",
            "mm_features",
            "sampling_params",
            "pooling_params",
            "arrival_time",
            "lora_request",
            "cache_salt",
            "data_parallel_rank",
        ],
    ),
    "EngineCoreOutputs": (
        "v1/engine/__init__.py",
        ("EngineCoreOutputs",),
        ["engine_index", "outputs", "scheduler_stats", "timestamp"],
    ),
    "EngineCoreOutput": (
        "v1/engine/__init__.py",
        ("EngineCoreOutput",),
        ["request_id", "pooling_output", "finish_reason", "events", "prefill_stats"],
    ),
    "EngineCoreEvent": ("v1/engine/__init__.py", ("EngineCoreEvent",), ["type", "timestamp"]),
    "BackgroundResources": ("v1/engine/core_client.py", ("BackgroundResources",), ["engine_dead"]),
    "SchedulerStats": (
        "v1/metrics/stats.py",
        ("SchedulerStats",),
        [
            "num_running_reqs",
            "num_waiting_reqs",
            "num_skipped_waiting_reqs",
            "kv_cache_usage",
            "prefix_cache_stats",
        ],
    ),
    "PrefixCacheStats": ("v1/metrics/stats.py", ("BaseCacheStats", "PrefixCacheStats"), ["queries", "hits"]),
    "PrefillStats": (
        "v1/metrics/stats.py",
        ("PrefillStats",),
        ["num_prompt_tokens", "num_computed_tokens", "num_cached_tokens"],
    ),
}
ATTRIBUTES = {
    "DPCoordinator": ("v1/engine/coordinator.py", "DPCoordinator.__init__", ["proc"]),
    "AsyncMPClient": ("v1/engine/core_client.py", "MPClient.__init__", ["resources"]),
}
# What `launch_core_engines` yields is a tuple in one version, and has these fields in the other.
LAUNCHED = ("v1/engine/utils.py", ("CoreEngineLaunch",), ["engine_manager", "coordinator"])
CONSTANTS = {
    "EngineCoreProc.ENGINE_CORE_DEAD": ("v1/engine/core.py", "EngineCoreProc", "ENGINE_CORE_DEAD"),
    "FinishReason.ABORT": ("v1/engine/__init__.py", "FinishReason", "ABORT"),
    "EngineCoreEventType.QUEUED": ("v1/engine/__init__.py", "EngineCoreEventType", "QUEUED"),
    "EngineCoreEventType.SCHEDULED": ("v1/engine/__init__.py", "EngineCoreEventType", "SCHEDULED"),
    "EngineCoreEventType.PREEMPTED": ("v1/engine/__init__.py", "EngineCoreEventType", "PREEMPTED"),
}
KEYS = {"client_addresses": ("v1/engine/core_client.py", "client_addresses")}
ENVIRONMENT = ["VLLM_LOGGING_LEVEL", "VLLM_NO_USAGE_STATS", "VLLM_WORKER_MULTIPROC_METHOD", "VLLM_HOST_IP"]


def record(package: Path) -> tuple[str, dict[str, Any]]:
    """The version of the `vllm` package in this folder, and what it has of the parts above.

    A part that it does not have is left out. Functions are recorded as "(parameters) -> result" in source form,
    fields as their annotation and default.
    """
    source = _Source(package)
    functions = {name: source.signature(*where) for name, where in FUNCTIONS.items()}
    return source.version(), {
        "imports": {name: target for name, target in IMPORTS.items() if source.imports(name, target)},
        "functions": {name: text for name, text in functions.items() if text is not None},
        "fields": {name: source.fields(*where) for name, where in FIELDS.items()},
        "attributes": {name: source.attributes(*where) for name, where in ATTRIBUTES.items()},
        "launched": source.fields(*LAUNCHED),
        "constants": {name: source.constant(*where) for name, where in CONSTANTS.items()},
        "keys": {name: source.keys(*where) for name, where in KEYS.items()},
        "environment": source.environment(ENVIRONMENT),
    }


class _Source:
    """The source files of one vLLM."""

    def __init__(self, package: Path) -> None:
        self._package = package

    def version(self) -> str:
        for node in ast.walk(self._module("_version.py")):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(t, ast.Name) and t.id == "__version__" for t in targets):
                return str(ast.literal_eval(node.value))  # type: ignore[attr-defined]
        raise LookupError(f"{self._package} says no version")

    def imports(self, name: str, target: str) -> bool:
        """Whether `from module import name` gives what is defined at `target`."""
        module, _, symbol = name.partition(":")
        defined_in, _, definition = target.partition(":")
        file = _file(defined_in)
        if not (self._package / file).exists():
            file = _file(defined_in, package=True)
        if self._definition(file, definition) is None:
            return False
        if module == defined_in:
            return True
        return self._reexports(module, symbol, defined_in)

    def signature(self, file: str, name: str) -> str | None:
        node = self._definition(file, name)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        kind = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
        decorators = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
        marks = "".join(f"@{ast.unparse(each)} " for each in decorators)
        result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return f"{marks}{kind}({ast.unparse(node.args)}){result}"

    def fields(self, file: str, classes: tuple[str, ...], names: list[str]) -> dict[str, str]:
        found = {}
        for name in classes:
            for each in getattr(self._definition(file, name), "body", []):
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.target.id in names:
                    default = f" = {ast.unparse(each.value)}" if each.value else ""
                    found[each.target.id] = f"{ast.unparse(each.annotation)}{default}"
        return dict(sorted(found.items()))

    def attributes(self, file: str, initializer: str, names: list[str]) -> list[str]:
        """Those of `names` that the initializer sets on self."""
        node = self._definition(file, initializer)
        set_here = {
            each.attr
            for each in (ast.walk(node) if node else [])
            if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
        }
        return [name for name in names if name in set_here]

    def constant(self, file: str, owner: str, name: str) -> str | None:
        """What a class sets an attribute of its own to, in source form."""
        for node in getattr(self._definition(file, owner), "body", []):
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                return ast.unparse(node.value)
        return None

    def keys(self, file: str, name: str) -> list[str]:
        """Those that a dictionary of this name must have."""
        read = {
            str(node.slice.value)
            for node in ast.walk(self._module(file))
            if isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and node.value.id == name
            and isinstance(node.slice, ast.Constant)
        }
        return sorted(read)

    def environment(self, names: list[str]) -> list[str]:
        texts = {n.value for n in ast.walk(self._module("envs.py")) if isinstance(n, ast.Constant)}
        return [name for name in names if name in texts]

    def _reexports(self, module: str, symbol: str, defined_in: str) -> bool:
        for node in ast.walk(self._module(_file(module, package=True))):
            if isinstance(node, ast.ImportFrom) and any(each.name == symbol for each in node.names):
                base = f"{module}." if node.level else ""
                if f"{base}{node.module}" == defined_in:
                    return True
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                texts = {
                    k.value: v.value for k, v in pairs if isinstance(k, ast.Constant) and isinstance(v, ast.Constant)
                }
                if texts.get(symbol) == f"{defined_in.removeprefix(module)}:{symbol}":
                    return True
        return False

    def _module(self, file: str) -> ast.Module:
        return ast.parse((self._package / file).read_text(encoding="utf-8"))

    def _definition(self, file: str, name: str) -> ast.AST | None:
        """The class or function of this dotted name."""
        node: ast.AST | None = self._module(file)
        for part in name.split("."):
            node = next((each for each in _definitions(node) if each.name == part), None)
            if node is None:
                return None
        return node


def _definitions(node: ast.AST | None) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for each in getattr(node, "body", []):
        if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield each


def _file(module: str, *, package: bool = False) -> str:
    parts = module.split(".")[1:]
    return "/".join([*parts, "__init__.py"] if package else parts) + ("" if package else ".py")


def main() -> None:
    """Records each folder named on the command line."""
    recorded = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    recorded.update(record(Path(folder)) for folder in sys.argv[1:])
    RECORD.write_text(json.dumps(dict(sorted(recorded.items())), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
