"""Steps: what is whole stays, what changed is made anew, and what is interrupted leaves nothing."""

import errno
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from intently_build.bar import progress_bar
from intently_build.errors import BuildError
from intently_build.steps.digests import Digests
from intently_build.steps.journal import LOGS, Journal, keep_journal
from intently_build.steps.perform import Performer, put_in_place
from intently_build.steps.step import RECORD, Proof, Step, read_record

Make = Callable[[Path, Journal], Proof]


def perform(*steps: Step) -> str:
    """Performs them as one run. Returns what it printed."""
    said = io.StringIO()
    performer = Performer(Journal(Console(file=said, width=200)), Digests(), len(steps))
    for step in steps:
        performer.perform(step)
    return said.getvalue()


def upper(source: Path) -> Make:
    def make(partial: Path, _journal: Journal) -> Proof:
        (partial / "result.txt").write_text(source.read_text().upper())
        return {"characters": len(source.read_text())}

    return make


@pytest.fixture
def step(tmp_path: Path) -> Step:
    source = tmp_path / "source.txt"
    source.write_text("words")
    return Step("upper", tmp_path / "run" / "upper", {"text": source}, {"case": "upper"}, upper(source), ("pytest",))


def test_a_step_leaves_its_result_and_its_record(step: Step) -> None:
    assert "[1/1] upper: begins" in perform(step)
    assert (step.folder / "result.txt").read_text() == "WORDS"
    record = read_record(step.record_file)
    assert record is not None
    assert record.proof == {"characters": 5}
    assert record.tools == {"pytest": pytest.__version__}
    assert set(record.outputs) == {"result.txt"}
    assert [path.name for path in step.folder.parent.iterdir()] == ["upper"]


def test_what_is_done_is_not_done_again(step: Step) -> None:
    perform(step)
    before = (step.folder / RECORD).stat().st_mtime_ns
    assert "upper: done before" in perform(step)
    assert (step.folder / RECORD).stat().st_mtime_ns == before


def test_another_input_makes_it_anew(step: Step) -> None:
    perform(step)
    step.inputs["text"].write_text("others")
    assert "made anew, since its inputs changed" in perform(step)
    assert (step.folder / "result.txt").read_text() == "OTHERS"


def test_other_settings_make_it_anew(step: Step) -> None:
    perform(step)
    assert "made anew, since its settings changed" in perform(replace(step, settings={"case": "lower"}))


def test_what_another_version_of_the_program_made_is_made_anew(step: Step) -> None:
    perform(step)
    later = replace(step, version=2)
    assert "made anew, since another version of this command made it" in perform(later)
    assert "done before" in perform(later)
    assert "made anew, since another version of this command made it" in perform(step)


def test_a_record_without_a_version_is_of_the_first(step: Step) -> None:
    perform(step)
    record = json.loads(step.record_file.read_text())
    del record["identity"]["version"]
    step.record_file.write_text(json.dumps(record))
    assert "done before" in perform(step)
    assert "made anew" in perform(replace(step, version=2))


def test_settings_are_compared_as_json(step: Step) -> None:
    listed = replace(step, settings={"names": ("a", "b"), "sizes": {1: 2}})
    perform(listed)
    assert "done before" in perform(listed)


@pytest.mark.parametrize("harm", ["change", "remove", "add"])
def test_a_damaged_result_is_made_anew(step: Step, harm: str) -> None:
    perform(step)
    if harm == "change":
        (step.folder / "result.txt").write_text("WORDZ")
    elif harm == "remove":
        (step.folder / "result.txt").unlink()
    else:
        (step.folder / "more.txt").write_text("more")
    assert "made anew, since its result was changed or damaged" in perform(step)
    assert (step.folder / "result.txt").read_text() == "WORDS"
    assert not (step.folder / "more.txt").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": "upper"}'])
def test_without_a_record_that_can_be_read_it_is_made_anew(step: Step, text: str) -> None:
    perform(step)
    (step.folder / RECORD).write_text(text)
    assert "upper: begins" in perform(step)


def test_what_depends_on_a_changed_result_is_made_anew_too(step: Step) -> None:
    result = step.folder / "result.txt"
    after = Step("again", step.folder.with_name("again"), {"before": step.folder}, {}, upper(result))
    perform(step, after)
    step.inputs["text"].write_text("others")
    said = perform(step, after)
    assert "[2/2] again: made anew, since its inputs changed" in said
    assert (after.folder / "result.txt").read_text() == "OTHERS"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("ours"), BuildError("theirs")])
def test_a_step_that_fails_leaves_nothing_and_the_former_result(step: Step, error: BaseException) -> None:
    perform(step)
    step.inputs["text"].write_text("others")

    def fail(partial: Path, _journal: Journal) -> Proof:
        (partial / "result.txt").write_text("HALF")
        raise error

    with pytest.raises(type(error)):
        perform(replace(step, make=fail))
    assert (step.folder / "result.txt").read_text() == "WORDS"
    assert [path.name for path in step.folder.parent.iterdir()] == ["upper"]
    assert "made anew" in perform(step)


def test_what_cannot_be_put_in_place_leaves_the_former_result(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "former.txt").write_text("former")
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "gone", tmp_path / "result")
    assert [path.name for path in tmp_path.rglob("*")] == ["result", "former.txt"]


def test_what_an_interrupted_step_left_is_no_part_of_the_next(step: Step) -> None:
    left = step.folder.parent / ".upper.partial"
    left.mkdir(parents=True)
    (left / "old.txt").write_text("old")
    perform(step)
    assert not left.exists()
    assert not (step.folder / "old.txt").exists()


def test_a_record_may_stand_apart_and_what_others_change_is_let_be(step: Step, tmp_path: Path) -> None:
    apart = replace(step, record=tmp_path / "records", changing=("result.txt",))
    perform(apart)
    assert [path.name for path in apart.folder.iterdir()] == ["result.txt"]
    (apart.folder / "result.txt").write_text("noted")
    assert "done before" in perform(apart)
    (apart.folder / "result.txt").unlink()
    assert "made anew" in perform(apart)


def test_a_record_apart_says_beforehand_where_the_result_will_stand(step: Step, tmp_path: Path) -> None:
    apart = replace(step, record=tmp_path / "run" / "records")
    perform(apart)
    step.inputs["text"].write_text("others")

    def stop(_partial: Path, _journal: Journal) -> Proof:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(replace(apart, make=stop))
    record = read_record(apart.record_file)
    assert record is not None
    assert (record.identity, record.place) == ({}, "upper")
    step.inputs["text"].write_text("words")  # what stands there was made of these, but nothing says so any more
    assert "upper: begins" in perform(apart)
    beside = replace(apart, folder=tmp_path / "beside")
    perform(beside)
    found = read_record(beside.record_file)
    assert found is not None
    assert found.place == str(tmp_path / "beside")


def test_what_may_not_be_written_is_one_line(step: Step, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match=r"/file/\.upper\.partial: Not a directory$"):
        perform(replace(step, folder=tmp_path / "file" / "upper"))


def test_a_full_disk_is_one_line(step: Step) -> None:
    def fill(_partial: Path, _journal: Journal) -> Proof:
        with Path("/dev/full").open("w") as full:  # the kernel refuses every byte, as a full disk does
            full.write("x")
        return {}

    with pytest.raises(BuildError, match=r"the disk is full \(\d+ MB free\); make room and run it again") as caught:
        perform(replace(step, make=fill))
    assert str(caught.value).startswith(str(step.folder))
    assert not step.folder.exists()


def test_a_full_disk_is_known_when_a_library_says_it(step: Step) -> None:
    def fill(_partial: Path, _journal: Journal) -> Proof:
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(BuildError, match="the disk is full"):
        perform(replace(step, make=fill))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        RuntimeError("basic_ios::clear: iostream error"),  # PyTorch's words for a full disk too, which this one is not
    ],
)
def test_another_error_of_the_system_is_not_taken_for_a_full_disk(step: Step, error: Exception) -> None:
    def fail(_partial: Path, _journal: Journal) -> Proof:
        raise error

    with pytest.raises(type(error), match="error"):
        perform(replace(step, make=fail))


def test_a_missing_input_is_named(step: Step, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"gone\.txt: cannot read it: No such file"):
        perform(replace(step, inputs={"text": tmp_path / "gone.txt"}))


def test_a_missing_tool_is_named_with_what_installs_it(step: Step) -> None:
    with pytest.raises(BuildError, match="upper: no-such-tool is not installed here; `make build-env` installs it"):
        perform(replace(step, tools=("no-such-tool",)))
    assert not step.folder.exists()


def test_a_run_keeps_a_log_with_what_was_proved(step: Step, tmp_path: Path) -> None:
    for _ in range(2):
        with keep_journal(tmp_path, Console(quiet=True)) as journal:
            Performer(journal, Digests(), 1).perform(step)
    first, second = (path.read_text() for path in sorted((tmp_path / LOGS).iterdir()))
    assert "[1/1] upper: begins" in first
    assert f"upper: proof {json.dumps({'characters': 5})}" in first
    assert "[1/1] upper: done before" in second
    assert "begins" not in second


def test_a_bar_that_an_interrupt_left_gives_the_terminal_back(tmp_path: Path) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, force_interactive=True, width=80)

    def train() -> None:
        with keep_journal(tmp_path, console) as journal:
            bar = progress_bar(console)
            bar.add_task("training", total=2)
            journal.show(bar)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert hide in terminal.getvalue()
    assert terminal.getvalue().rindex(show) > terminal.getvalue().rindex(hide)


def test_a_bar_says_nothing_where_nobody_looks() -> None:
    said = io.StringIO()
    with progress_bar(Console(file=said)) as bar:
        bar.advance(bar.add_task("training", total=2))
    assert said.getvalue() == ""


def test_a_folders_digest_depends_on_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = Digests().of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = Digests().of(tmp_path)
    (tmp_path / RECORD).write_text("{}")
    assert len({first, renamed, Digests().of(tmp_path)}) == 3
    assert Digests().of(tmp_path, leave_out=(RECORD,)) == renamed


def test_a_file_that_was_renamed_is_known(tmp_path: Path) -> None:
    digests, path = Digests(), tmp_path / "a"
    path.write_text("1")
    first = digests.file(path)
    path.rename(tmp_path / "b")
    assert digests.file(tmp_path / "b") == first
    path.write_text("22")
    assert digests.file(path) != first


def test_a_file_that_changed_is_hashed_again(tmp_path: Path) -> None:
    digests, path = Digests(), tmp_path / "a"
    path.write_text("1")
    first = digests.file(path)
    path.write_text("22")
    assert digests.file(path) != first
