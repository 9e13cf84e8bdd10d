"""What vLLM reads from the environment when it is imported."""

import os


def prepare_environment(log_level: str) -> None:
    """Sets it before that import; a value that is already set stays, but for those that the server is built on.

    Nothing is fetched from or sent to the outside, children are spawned rather than forked (this process has
    threads, and a forked one would keep the guard from seeing its end), their titles do not overwrite the environment
    by which the guard knows them, and the engine's own sockets stay on the loopback interface.
    """
    defaults = {
        "VLLM_LOGGING_LEVEL": log_level,
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_HOST_IP": "127.0.0.1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    os.environ.update({"VLLM_WORKER_MULTIPROC_METHOD": "spawn", "SPT_NOENV": "1"})
