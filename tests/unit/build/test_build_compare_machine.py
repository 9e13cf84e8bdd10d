"""The machine that figures are measured on goes by the name that `--gpu` has for it, and its GPUs' memory is read."""

from pathlib import Path

import pytest

from intently_build.comparing.machine import Machine, find_target, gpu_machine, this_machine
from intently_build.errors import BuildError
from intently_build.evaluation.memory import MemoryWatch, gpu_memory
from intently_build.planning.formats import FORMATS
from intently_build.planning.gpus import CPU, KNOWN, support

# What drivers call GPUs, with their memory in MiB as the driver tells it.
DEVICES = [
    ("NVIDIA H200", 143_771, 9.0, "h200"),
    ("NVIDIA H100 80GB HBM3", 81_559, 9.0, "h100-80g"),
    ("NVIDIA H100 NVL", 95_830, 9.0, "nvidia-h100-nvl"),
    ("NVIDIA A100-SXM4-80GB", 81_920, 8.0, "a100-80g"),
    ("NVIDIA A100-PCIE-40GB", 40_960, 8.0, "a100-40g"),
    ("NVIDIA L4", 23_034, 8.9, "l4"),
    ("NVIDIA L40S", 46_068, 8.9, "l40s"),
    ("NVIDIA GeForce RTX 4090", 24_564, 8.9, "rtx4090"),
    ("NVIDIA A10G", 23_028, 8.6, "nvidia-a10g"),
    ("Tesla T4", 15_360, 7.5, "t4"),
    ("NVIDIA H200 MIG 1g.18gb", 16_384, 9.0, "nvidia-h200-mig-1g-18gb"),
]


@pytest.mark.parametrize(("device", "mib", "capability", "name"), DEVICES)
def test_a_gpu_goes_by_its_known_name(device: str, mib: int, capability: float, name: str) -> None:
    found = gpu_machine(device, mib / 1024, round(capability * 10))
    assert found.gpu == name
    assert device in found.text
    target = find_target(found.gpu, found)
    assert target.capability == found.capability == capability * 10
    assert target == KNOWN.get(name, target)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of PATH for a stand-in of the driver's program."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def says(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_the_driver_is_asked_where_a_gpu_computes(driver: Path) -> None:
    says(driver, f"echo \"$@\" > {driver}/asked; printf 'NVIDIA H200, 143771, 9.0\\nNVIDIA H200, 143771, 9.0\\n'")
    assert this_machine(on_cpu=False) == Machine("h200", "NVIDIA H200, 140 GiB, one of 2", 140.4, 90)
    assert "--query-gpu=name,memory.total,compute_cap" in (driver / "asked").read_text()
    assert this_machine(on_cpu=True).gpu == "cpu"


def test_the_first_gpu_that_may_be_used_counts(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    says(driver, f"echo \"$@\" > {driver}/asked; echo 'NVIDIA L4, 23034, 8.9'")
    assert this_machine(on_cpu=False).gpu == "l4"
    assert "--id 3" in (driver / "asked").read_text()


@pytest.mark.parametrize("script", ["exit 9", "echo none", "true"])
def test_a_driver_that_says_nothing_is_one_line(script: str, driver: Path) -> None:
    says(driver, script)
    with pytest.raises(BuildError, match="does not say which GPU this machine has"):
        this_machine(on_cpu=False)
    assert script != "exit 9" or gpu_memory() is None


def test_without_a_driver_the_cpu_computes(driver: Path) -> None:
    found = this_machine(on_cpu=False)
    assert found.gpu == "cpu"
    assert not found.on_gpu
    assert "cores" in found.text
    assert found.memory_gib > 0
    assert gpu_memory() is None
    assert find_target("cpu", found) == CPU
    with pytest.raises(BuildError, match=r"--gpu h9: not known; known are t4, .*, cpu$"):
        find_target("h9", found)


def test_the_memory_of_the_gpus_is_what_came_on_top_of_what_was_there(driver: Path) -> None:
    says(driver, f"cat {driver}/used")
    used = driver / "used"
    used.write_text("1000\n500\n")
    before = gpu_memory()
    assert before == 1500 << 20
    watch = MemoryWatch(1, before)
    for mib in (4000, 9000, 3000):
        used.write_text(f"{mib}\n500\n")
        watch.look()
    assert watch.peak_gpu_bytes == 8000 << 20
    assert MemoryWatch(1).peak_gpu_bytes is None


def test_a_cpu_runs_every_format() -> None:
    assert all(support(CPU, form).runs for form in FORMATS.values())
    assert "slow" in support(CPU, FORMATS["fp8"]).how
