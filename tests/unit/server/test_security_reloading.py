"""Files that change: every way to replace one is seen, a bad one keeps the last good value and is said once."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from intently_server.security.problem import SecurityProblem
from intently_server.security.reloading import Reloading


def number(contents: Sequence[bytes]) -> int:
    """Both files must hold the same number."""
    if len(set(contents)) != 1 or not contents[0].isdigit():
        raise SecurityProblem("these are no number")
    return int(contents[0])


class Numbers:
    """A number in two files, followed."""

    def __init__(self, folder: Path, doubt: Callable[[int], str | None] = lambda _value: None) -> None:
        self.files = folder / "a", folder / "b"
        self.taken: list[int] = []
        self.write("1")
        self.followed = Reloading(self.files, number, self.taken.append, doubt)

    def write(self, *texts: str) -> None:
        """Writes in place: one text for both, or one for each."""
        for file, text in zip(self.files, texts * (2 // len(texts)), strict=True):
            file.write_text(text)

    def poll(self) -> int:
        """The value after another look."""
        self.followed.poll()
        return self.followed.current


@pytest.fixture
def numbers(tmp_path: Path) -> Numbers:
    return Numbers(tmp_path)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_what_does_not_change_is_taken_once(numbers: Numbers) -> None:
    assert [numbers.poll(), numbers.poll()] == [1, 1]
    numbers.write("1")
    assert numbers.poll() == 1
    assert numbers.taken == [1]


def test_a_file_written_in_place_is_seen(numbers: Numbers) -> None:
    numbers.write("2")

    assert numbers.poll() == 2
    assert numbers.taken == [1, 2]


def test_a_renamed_file_is_seen(numbers: Numbers) -> None:
    for file in numbers.files:
        partial = file.with_name("partial")
        partial.write_text("2")
        partial.replace(file)

    assert numbers.poll() == 2


def test_a_symbolic_link_that_points_elsewhere_is_seen(tmp_path: Path) -> None:
    """As Kubernetes replaces the files of a secret: one link of several is swapped."""
    for version in ("1", "2"):
        folder = tmp_path / version
        folder.mkdir()
        (folder / "a").write_text(version)
        (folder / "b").write_text(version)
    current = tmp_path / "..data"
    current.symlink_to("1")
    taken: list[int] = []
    followed = Reloading([current / "a", current / "b"], number, taken.append)

    swapped = tmp_path / "..data_tmp"
    swapped.symlink_to("2")
    swapped.replace(current)
    followed.poll()

    assert taken == [1, 2]


def test_half_a_change_keeps_the_last_good_value_until_the_other_half_comes(
    numbers: Numbers, caplog: pytest.LogCaptureFixture
) -> None:
    numbers.write("2", "1")
    assert numbers.poll() == 1
    assert warnings(caplog) == ["these are no number; the last good one stays in use"]
    numbers.write("2")
    assert numbers.poll() == 2
    assert len(warnings(caplog)) == 1


def test_what_is_wrong_is_said_once_a_change(numbers: Numbers, caplog: pytest.LogCaptureFixture) -> None:
    for bad in ("x", "x", "y"):
        numbers.write(bad)
        assert [numbers.poll(), numbers.poll()] == [1, 1]
    assert len(warnings(caplog)) == 2

    numbers.write("1")
    numbers.poll()
    numbers.write("y")
    numbers.poll()
    assert len(warnings(caplog)) == 3
    assert numbers.taken == [1]


def test_a_file_that_is_gone_keeps_the_value_and_is_named(numbers: Numbers, caplog: pytest.LogCaptureFixture) -> None:
    numbers.files[1].unlink()

    assert [numbers.poll(), numbers.poll()] == [1, 1]
    [said] = warnings(caplog)
    assert said.startswith(f"{numbers.files[1]}: unreadable: No such file")
    numbers.write("2")
    assert numbers.poll() == 2


def test_files_that_make_no_sense_at_first_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")

    with pytest.raises(SecurityProblem, match="no number"):
        Reloading([tmp_path / "a"], number, lambda _: None)
    with pytest.raises(SecurityProblem, match=r"b: unreadable: No such file"):
        Reloading([tmp_path / "a", tmp_path / "b"], number, lambda _: None)


def test_a_parser_s_own_fault_is_a_problem_too_and_is_not_quoted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "a"

    def parse(contents: Sequence[bytes]) -> bytes:
        if contents[0] == b"secret":
            raise LookupError(contents[0])
        return contents[0]

    file.write_text("good")
    followed = Reloading([file], parse, lambda _: None)
    file.write_text("secret")
    followed.poll()
    assert warnings(caplog) == [f"{file}: cannot be understood (LookupError); the last good one stays in use"]
    with pytest.raises(SecurityProblem, match=r"cannot be understood \(LookupError\)") as caught:
        Reloading([file], parse, lambda _: None)
    assert caught.value.__cause__ is None
    file.write_text("better")
    followed.poll()
    assert followed.current == b"better"


def test_a_doubtful_value_is_used_at_first_and_refused_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    doubts = {1: "one is odd", 3: "three is odd"}
    numbers = Numbers(tmp_path, doubts.get)
    assert numbers.taken == [1]
    assert [numbers.poll(), numbers.poll()] == [1, 1]

    numbers.write("3")
    assert [numbers.poll(), numbers.poll()] == [1, 1]
    assert warnings(caplog) == ["one is odd, and is in use", "three is odd; the last good one stays in use"]
    del doubts[3]
    assert numbers.poll() == 3


def test_a_value_that_becomes_doubtful_stays_and_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    doubts: dict[int, str] = {}
    numbers = Numbers(tmp_path, doubts.get)
    numbers.poll()
    assert warnings(caplog) == []

    doubts[1] = "one is over"
    assert [numbers.poll(), numbers.poll()] == [1, 1]
    assert warnings(caplog) == ["one is over, and is in use"]
