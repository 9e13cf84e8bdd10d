"""A run's folder: whose it is, and which of its checkpoints can be trusted."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from intently_build.errors import BuildError
from intently_build.run_folder import RunFolder, RunIdentity
from intently_build.steps.journal import keep_journal

MINE = RunIdentity("abc", {"train.jsonl": "1"})


def checkpoint(run: RunFolder, step: int, state: str | None) -> Path:
    path = run.checkpoints / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    if state is not None:
        (path / "trainer_state.json").write_text(state)
    return path


def test_a_run_is_taken_up_again_by_its_own_recipe(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.claim(MINE, restart=False)
    kept = checkpoint(run, 10, json.dumps({}))
    run.claim(MINE, restart=False)
    assert run.last_checkpoint() == kept


def test_another_recipes_run_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.claim(MINE, restart=False)
    with pytest.raises(BuildError, match="made from another files than the recipe now gives; train with --restart"):
        run.claim(RunIdentity("abc", {"train.jsonl": "2"}), restart=False)
    with pytest.raises(BuildError, match="made from another training fingerprint"):
        run.check(RunIdentity("xyz", {"train.jsonl": "1"}))


def test_restart_throws_the_earlier_run_away(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.claim(MINE, restart=False)
    checkpoint(run, 10, json.dumps({}))
    other = RunIdentity("xyz", {})
    run.claim(other, restart=True)
    run.check(other)
    assert run.last_checkpoint() is None


def test_what_a_claim_left_that_was_stopped_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".run.json.17").write_text("")
    RunFolder(tmp_path).claim(MINE, restart=False)
    RunFolder(tmp_path).check(MINE)


def test_restart_keeps_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "thesis.txt").write_text("years of work")
    run = RunFolder(tmp_path / "run")
    run.claim(MINE, restart=False)
    (run.path / "link").symlink_to(tmp_path / "far")
    run.claim(MINE, restart=True)
    assert [path.name for path in run.path.iterdir()] == ["run.json"]
    assert (tmp_path / "far" / "thesis.txt").exists()


def test_a_run_that_is_at_work_is_neither_joined_nor_thrown_away(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.claim(MINE, restart=False)
    quiet = Console(quiet=True)
    with keep_journal(run.path, quiet):
        with (
            pytest.raises(BuildError, match=r"logs: another intently-build is at work there"),
            keep_journal(run.path, quiet),
        ):
            pass
        with pytest.raises(BuildError, match="at work there"):
            run.claim(RunIdentity("xyz", {}), restart=True)
    run.check(MINE)
    with keep_journal(run.path, quiet):
        pass


@pytest.mark.parametrize("restart", [True, False])
def test_a_folder_with_other_things_is_left_alone(tmp_path: Path, restart: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BuildError, match="not empty and not a run of ours"):
        RunFolder(tmp_path).claim(MINE, restart=restart)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_checkpoints_that_were_cut_short_are_passed_over(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    complete = checkpoint(run, 9, json.dumps({"global_step": 9}))
    checkpoint(run, 5, json.dumps({"global_step": 5}))
    torn = [checkpoint(run, 10, None), checkpoint(run, 11, '{"global_')]
    assert run.last_checkpoint() == complete
    assert not any(path.exists() for path in torn)


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no training run there"):
        RunFolder(tmp_path).check(MINE)
