"""The server's settings: one list for flags, environment, defaults and --help."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

ENV_PREFIX = "INTENTLY_"


class Settings(BaseSettings):
    """Serves one bundle over gRPC, with vLLM in this process.

    Every setting is a flag and an environment variable, INTENTLY_ and the flag's name in capitals with underscores
    (INTENTLY_MAX_IN_FLIGHT); a flag wins. Exit codes: 0 after SIGTERM or SIGINT, 1 if the engine dies or fails to
    start, 2 if the settings or the bundle are unusable.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        extra="forbid",
        frozen=True,
        cli_prog_name="intently-server",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        protected_namespaces=(),
    )

    bundle: Annotated[Path, Field(description="Folder of the bundle to serve.")]
    address: Annotated[
        str,
        Field(
            description="HOST:PORT to listen on, without TLS; port 0 takes a free one. Loopback unless told otherwise."
        ),
    ] = "127.0.0.1:50051"
    model_label: Annotated[
        list[str], Field(description="A label by which callers may select this model, such as stable; may be repeated.")
    ] = []
    ready_file: Annotated[
        Path | None, Field(description='JSON file {"address", "pid"} to write once the server is SERVING.')
    ] = None
    reflection: Annotated[bool, Field(description="Serve gRPC reflection.")] = True

    max_message_bytes: Annotated[
        int, Field(gt=0, description="Bytes of a message; gRPC refuses a larger one with RESOURCE_EXHAUSTED.")
    ] = 8 * 1024 * 1024
    max_text_chars: Annotated[
        int, Field(gt=0, description="Characters of an utterance or a turn; the bundle may set less.")
    ] = 32_768
    max_context_turns: Annotated[int, Field(ge=0, description="Turns of context; the bundle may set less.")] = 64
    max_batch_size: Annotated[
        int, Field(gt=0, description="Requests in one BatchClassify; never more than may be in flight.")
    ] = 256
    max_in_flight: Annotated[
        int, Field(gt=0, description="Requests in flight in all; more are refused with RESOURCE_EXHAUSTED.")
    ] = 1024
    max_concurrent_streams: Annotated[
        int, Field(gt=0, description="HTTP/2 streams of one connection; no less than what a proxy in front sends.")
    ] = 1000
    stream_max_in_flight: Annotated[int, Field(gt=0, description="Items in flight on one ClassifyStream.")] = 64
    default_top_k: Annotated[int, Field(gt=0, description="Predictions returned when a request does not say.")] = 5
    min_ping_interval: Annotated[
        float, Field(ge=0, description="Seconds between keepalive pings that a client may send while idle.")
    ] = 0.5
    drain_timeout: Annotated[
        float, Field(ge=0, description="Seconds that calls in flight may take to finish after SIGTERM.")
    ] = 30.0

    dtype: Annotated[
        Literal["auto", "bfloat16", "float16", "float32"],
        Field(description="Arithmetic of the engine; auto is the checkpoint's own."),
    ] = "auto"
    max_batched_tokens: Annotated[
        int | None, Field(gt=0, description="Tokens of one engine step; a longer prompt is prefilled in chunks.")
    ] = None
    max_sequences: Annotated[int | None, Field(gt=0, description="Prompts of one engine step.")] = None
    kv_cache_gib: Annotated[
        float | None, Field(gt=0, description="GiB of KV cache; by default what is free on a GPU, 1 on a CPU.")
    ] = None
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1, description="Share of the GPU's memory to take.")] = 0.9
    tensor_parallel_size: Annotated[int, Field(gt=0, description="GPUs that share each layer.")] = 1
    enforce_eager: Annotated[bool, Field(description="Skip compilation: a quicker start, slower answers.")] = False

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="The server's own log, on standard error.")
    ] = "INFO"
    engine_log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="vLLM's log.")] = (
        "WARNING"
    )


class SettingsProblem(Exception):
    """Settings that cannot be used; the text names each of them."""


def read_settings(arguments: Sequence[str]) -> Settings:
    """Settings from flags and environment.

    Raises:
        SettingsProblem: names what is unknown, missing or out of range.
        SystemExit: after --help, and for a flag that does not exist.
    """
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(ENV_PREFIX) and name not in known)
    if unknown:
        raise SettingsProblem(f"unknown environment variables: {', '.join(unknown)}")
    try:
        return CliApp.run(Settings, cli_args=list(arguments))
    except ValidationError as error:
        problems = (f"--{'-'.join(map(str, e['loc'])).replace('_', '-')}: {e['msg']}" for e in error.errors())
        raise SettingsProblem("; ".join(problems)) from error
    except SettingsError as error:
        raise SettingsProblem(str(error)) from error
