"""Commands go by the configuration that `up` runs by: named once, and never another one by mistake."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.release_stack import COMMAND, Stack, prepared, stack, wait_serving

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

_PATIENT = {"per_try_timeout": 3.0, "sticky_header": "x-user"}


@pytest.fixture(scope="module")
def patient() -> Iterator[Stack]:
    """A stack whose routes are not the default ones."""
    with stack("--step-ms", "2", "--batch", "64", traffic=_PATIENT) as made:
        yield made


def said(made: Stack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command with no argument but these."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=dict(made.environment), check=False, timeout=60
    )


def files(made: Stack) -> dict[str, str]:
    """All that Envoy reads."""
    return {path.name: path.read_text() for path in (made.run_dir / "xds").glob("?ds/*.json")}


def another_config(made: Stack, **traffic: object) -> Path:
    """The stack's, with other settings of `traffic` and of the release."""
    document = made.document()
    document["traffic"] = {**document["traffic"], **traffic}
    document["releasing"] = {**document["releasing"], "dwell": 7.0}
    path = made.folder / "another.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize("arguments", [["shift", "0"], ["shift", "0", "--json"]])
def test_without_a_configuration_the_routes_stay_as_they_were_made(patient: Stack, arguments: list[str]) -> None:
    before = files(patient)

    done = said(patient, *arguments, "--run-dir", str(patient.run_dir))

    assert done.returncode == 0, done.stderr
    assert files(patient) == before
    assert '"per_try_timeout": "3s"' in before["rds.json"]


def test_another_configuration_is_refused_by_what_differs(patient: Stack) -> None:
    path, before = another_config(patient, per_try_timeout=5.0, sticky_header=None), files(patient)

    done = said(patient, "shift", "0", "--config", str(path))

    assert done.returncode == 2
    assert "by traffic.per_try_timeout, traffic.sticky_header:" in done.stderr
    assert "--config" in done.stderr
    assert files(patient) == before


def test_each_release_may_have_its_own_steps(patient: Stack) -> None:
    done = said(patient, "shift", "0", "--config", str(another_config(patient, mirror_percent=50)))

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["status", "history"])
def test_who_only_looks_may_have_any_configuration(patient: Stack, command: str) -> None:
    assert said(patient, command, "--config", str(another_config(patient, per_try_timeout=5.0))).returncode == 0


@pytest.mark.parametrize("with_config", [True, False])
def test_files_that_a_running_envoy_reads_are_not_rendered_anew(patient: Stack, with_config: bool) -> None:
    before = files(patient)
    which = ["--config", str(patient.config)] if with_config else ["--run-dir", str(patient.run_dir)]

    done = said(patient, "render", *which)

    assert done.returncode == 2
    assert "`intently-release up` (pid" in done.stderr
    assert files(patient) == before
    assert said(patient, "render", *which, "--out", str(patient.folder / "out")).returncode == 0


def test_what_is_kept_is_for_its_owner_alone_and_goes_with_the_stack() -> None:
    with prepared("--step-ms", "2", "--batch", "64", servers={"env": {"SECRET": "a secret"}}) as made:
        kept = made.run_dir / "release.json"
        process = made.start("up", "--bundle", str(made.bundle("first")))
        wait_serving(process, made)

        assert kept.stat().st_mode & 0o777 == 0o600
        assert json.loads(kept.read_text())["listener"]["address"] == made.address
        process.kill()
        process.communicate()
        assert kept.exists()

        again = subprocess.Popen(
            [*COMMAND, "up", "--run-dir", str(made.run_dir), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(made.environment),
        )
        assert wait_serving(again, made)["address"] == made.address
        again.terminate()
        again.communicate(timeout=60)
        assert not kept.exists()
