"""A bare AsyncLLM script: what a program takes that does nothing but run the engine.

python -m support.bare_process BUNDLE READY_FILE [NAME=VALUE …]
"""

import asyncio
import sys
from pathlib import Path

from intently_server.bundle import load_bundle
from intently_server.engine.environment import prepare_environment
from intently_server.settings import Settings

_AT_ONCE = 16


async def main() -> None:
    """Answers what each line of standard input says: a number of prompts; ends with the input."""
    path, ready = Path(sys.argv[1]), Path(sys.argv[2])
    settings = Settings(bundle=path, **dict(each.split("=", 1) for each in sys.argv[3:]))  # type: ignore[arg-type]
    bundle = load_bundle(path)
    prepare_environment(settings.engine_log_level)
    from vllm import AsyncEngineArgs, PoolingParams
    from vllm.inputs import tokens_input
    from vllm.v1.engine.async_llm import AsyncLLM

    from support.engine_settings import vllm_config  # it needs vLLM, which reads the environment

    engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**vllm_config(settings, bundle).engine_args()))
    params = PoolingParams(task="classify", use_activation=False)

    async def encode(number: int) -> None:
        prompt = tokens_input(bundle.encoder.encode(f"wake me at {number}").token_ids)
        async for _ in engine.encode(prompt, params, f"bare-{number}"):
            pass

    numbers = iter(range(sys.maxsize))
    await asyncio.to_thread(ready.touch)
    while line := await asyncio.to_thread(sys.stdin.readline):
        for _ in range(int(line) // _AT_ONCE):
            await asyncio.gather(*(encode(next(numbers)) for _ in range(_AT_ONCE)))
        sys.stdout.write("done\n")
        sys.stdout.flush()
    engine.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
