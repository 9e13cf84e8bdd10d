"""How studies are carried out: what is done is not done again, and what fails or lasts too long stops no other."""

import dataclasses
import json
import time
from pathlib import Path

import pytest

from support.benchmarks.asked import Asked, Model
from support.benchmarks.studies import Study, carry_out, studies
from support.benchmarks.world import World


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """Hardly anything."""
    return Asked(
        work=tmp_path / "work",
        model=Model("toy", "bf16", 2, 10, 100),
        settings={},
        forms=("int8",),
        labels=(2,),
        prefixes=(0,),
        lengths=(8,),
        concurrencies=(1,),
        tokens=(8, 24),
        slo="p99=82ms",
        seconds=0.1,
        processes=1,
        rate=1.0,
        profiler=None,
        at_once=False,
        patience=1.0,
    )


def noting(name: str) -> Study:
    """A study that notes its name."""
    return Study(name, 5.0, lambda world: world.record.note(said=name))


def test_each_study_writes_its_file(asked: Asked, tmp_path: Path) -> None:
    assert carry_out([noting("a"), noting("b")], asked, tmp_path, {"date": "today"}, 60.0) == []
    record = json.loads((tmp_path / "b.json").read_text())
    assert (record["study"], record["done"], record["notes"], record["date"]) == ("b", True, {"said": "b"}, "today")


def test_what_is_done_is_not_done_again(asked: Asked, tmp_path: Path) -> None:
    carry_out([noting("a")], asked, tmp_path, {}, 60.0)
    before = (tmp_path / "a.json").read_bytes()
    carry_out([dataclasses.replace(noting("other"), name="a")], asked, tmp_path, {}, 60.0)
    assert (tmp_path / "a.json").read_bytes() == before


def test_a_study_that_fails_stops_no_other(asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(world: World) -> None:
        world.record.note(half="kept")
        raise RuntimeError("no server")

    assert carry_out([Study("a", 5.0, fail), noting("b")], asked, tmp_path, {}, 60.0) == ["a"]
    record = json.loads((tmp_path / "a.json").read_text())
    assert (record["done"], record["error"]) == (False, "RuntimeError: no server")
    assert record["notes"] == {"half": "kept"}
    assert json.loads((tmp_path / "b.json").read_text())["done"]
    assert "a (0 s): FAILED: RuntimeError: no server" in capsys.readouterr().err


def test_a_study_that_lasts_too_long_is_given_up(asked: Asked, tmp_path: Path) -> None:
    assert carry_out([Study("a", 0.05, lambda _: time.sleep(30))], asked, tmp_path, {}, 60.0) == ["a"]
    assert json.loads((tmp_path / "a.json").read_text())["error"] == "TimeoutError: not done within 0.05 s"


def test_none_begins_when_the_time_is_up(asked: Asked, tmp_path: Path) -> None:
    assert carry_out([noting("a")], asked, tmp_path, {}, -1.0) == ["a"]
    assert not (tmp_path / "a.json").exists()


def test_every_study_has_a_name_of_its_own(asked: Asked) -> None:
    names = [study.name for study in studies(asked, ["max_sequences=128"])]
    assert len(set(names)) == len(names)
    assert {"rate-beside-serve", "form-int8", "setting-max_sequences=128"} <= {*names}
