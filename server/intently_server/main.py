"""The command intently-server: settings in, exit code out."""

import asyncio
import gc
import importlib
import logging
import os
import signal
import sys
from functools import partial

import uvloop

from intently_server.app import serve
from intently_server.bundle import Bundle, BundleError
from intently_server.engine.base import Engine
from intently_server.engine.environment import prepare_environment
from intently_server.listening import AddressError
from intently_server.logs import configure_logs
from intently_server.security import SecurityProblem
from intently_server.settings import Settings, SettingsProblem, read_settings
from intently_server.settings.tuned_on import say_what_was_taken

UNUSABLE = 2

logger = logging.getLogger(__name__)


def main() -> None:
    """Runs the server. Exit codes stand in --help."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there are streams to move: by default it ends a process
    code = run(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is closed; torch's own teardown would take two seconds more, with nobody serving


def run(arguments: list[str]) -> int:
    """Runs the server with these arguments and returns its exit code."""
    try:
        settings = read_settings(arguments)
    except SettingsProblem as problem:
        return _unusable(str(problem))
    configure_logs(settings.log_level, settings.log_format)
    say_what_was_taken(settings)
    try:
        return uvloop.run(serve(settings, start_vllm, on_ready=partial(_say_how_to_call, settings)))
    except BundleError as error:
        return _unusable(f"cannot serve bundle {settings.bundle}: {error}")
    except (AddressError, SecurityProblem) as error:
        return _unusable(str(error))
    except Exception:
        logger.exception("the server failed")
        return 1


async def start_vllm(settings: Settings, bundle: Bundle) -> Engine:
    """Starts vLLM for a bundle. Imports it only now, in a thread: it takes seconds, and reads the environment."""
    prepare_environment(settings.engine_log_level)
    vllm_engine = await asyncio.to_thread(importlib.import_module, "intently_server.engine.vllm_engine")
    logger.info("starting vLLM for %s; this takes from half a minute to some minutes", bundle.model.name)
    engine: Engine = await vllm_engine.VllmEngine.start(
        vllm_engine.VllmConfig(
            checkpoint=bundle.path,
            labels=bundle.model.labels,
            max_input_tokens=bundle.model.limits.max_input_tokens,
            dtype=settings.dtype,
            max_batched_tokens=settings.max_batched_tokens,
            max_sequences=settings.max_sequences,
            kv_cache_gib=settings.kv_cache_gib,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            tensor_parallel_size=settings.tensor_parallel_size,
            data_parallel_size=settings.data_parallel_size,
            executor=settings.executor,
            enforce_eager=settings.enforce_eager,
            async_scheduling=settings.async_scheduling,
            name=bundle.model.name,
            metrics=settings.keeps_engine_metrics,
        )
    )
    gc.collect()
    gc.freeze()  # a full collection would look through all that vLLM has imported: 0.4 s in which nobody is answered
    return engine


def _say_how_to_call(settings: Settings, address: str, bundle: Bundle) -> None:
    flags = [f"--address {address}"]
    if settings.tls_certificate is not None:
        flags.append("--ca AUTHORITIES.pem")
    if settings.tls_client_ca is not None:
        flags.append("--certificate CERTIFICATE.pem --key KEY.pem")
    if settings.token_file is not None:
        flags.append("--token-file TOKEN")
    message = (
        f"\n{bundle.model.name} is SERVING on {address}. In another shell:\n\n"
        f'    .venv/bin/intently classify "wake me at seven tomorrow" {" ".join(flags)}\n\n'
        "Ctrl-C ends it.\n"
    )
    sys.stdout.write(message)
    sys.stdout.flush()


def _unusable(reason: str) -> int:
    sys.stderr.write(f"intently-server: {reason}\n")
    return UNUSABLE


if __name__ == "__main__":
    main()
