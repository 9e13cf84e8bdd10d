"""The token file: what it may hold, whose a token is, and that nothing of it is told."""

import hashlib
import logging
import shutil
import subprocess
from pathlib import Path

import pytest

from intently_server.security.problem import SecurityProblem
from intently_server.security.tokens import reloading_tokens
from intently_server.settings import Settings
from support.certificates import replace

FIRST, SECOND = "a-token-of-ann", "a-token-of-bob"


def sha(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "tokens"
    replace(made, f"# callers\n\nann {sha(FIRST)}\n  bob.2\t{sha(SECOND).upper()}  \n".encode())
    return made


def test_a_token_is_its_owner_s(file: Path) -> None:
    tokens = reloading_tokens(file).current

    assert [tokens.name_of(FIRST), tokens.name_of(SECOND)] == ["ann", "bob.2"]


@pytest.mark.parametrize("token", ["", "x", FIRST[:-1], f"{FIRST} ", FIRST.upper(), sha(FIRST), "\N{SNOWMAN}"])
def test_another_token_is_nobody_s(file: Path, token: str) -> None:
    assert reloading_tokens(file).current.name_of(token) is None


def test_a_name_may_have_two_tokens(file: Path) -> None:
    replace(file, f"ann {sha(FIRST)}\nann {sha(SECOND)}".encode())
    tokens = reloading_tokens(file).current

    assert tokens.name_of(FIRST) == tokens.name_of(SECOND) == "ann"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no token"),
        ("# nobody\n\n", "holds no token"),
        (f"ann {sha(FIRST)}\n{sha(SECOND)}", "line 2 is not a name and"),
        (f"ann {sha(FIRST)[:-1]}", "line 1 is not a name and"),
        (f"ann {sha(FIRST)}  -", "line 1 is not a name and"),
        (f"ann {FIRST}", "line 1 is not a name and"),
        (f"an/n {sha(FIRST)}", "line 1 is not a name and"),
        (f"{'a' * 65} {sha(FIRST)}", "line 1 is not a name and"),
        (f"ann {sha(FIRST)}\nbob {sha(FIRST).upper()}", "line 2 repeats a token"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_its_line(file: Path, content: str, said: str) -> None:
    replace(file, content.encode())

    with pytest.raises(SecurityProblem, match=said) as caught:
        reloading_tokens(file)

    assert str(file) in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (FIRST, sha(FIRST)[:8], sha(SECOND)[:8]))


def test_a_file_that_is_no_text_is_refused(file: Path) -> None:
    replace(file, b"ann \xff\xfe")

    with pytest.raises(SecurityProblem, match="is not UTF-8"):
        reloading_tokens(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecurityProblem, match="nothing: unreadable: No such file"):
        reloading_tokens(tmp_path / "nothing")


def test_a_bad_change_keeps_the_last_good_tokens(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens = reloading_tokens(file)

    replace(file, b"")
    tokens.poll()
    assert tokens.current.name_of(FIRST) == "ann"
    replace(file, f"bob {sha(SECOND)}".encode())
    tokens.poll()
    assert tokens.current.name_of(FIRST) is None
    assert tokens.current.name_of(SECOND) == "bob"
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == f"{file}: holds no token; the last good one stays in use"


def test_a_file_that_everybody_can_read_is_said(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.chmod(0o644)
    reloading_tokens(file)

    assert f"{file}: everybody on this machine can read it" in caplog.text


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the command in --help uses openssl")
def test_the_command_in_the_setting_s_description_makes_a_token_and_its_line(tmp_path: Path) -> None:
    description = Settings.model_fields["token_file"].description or ""
    command = description[description.index("openssl") :].replace("NAME", "ann").replace("FILE", "tokens")
    for _ in range(2):
        subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, check=True)

    token = (tmp_path / "ann.token").read_text()
    tokens = reloading_tokens(tmp_path / "tokens").current
    assert len(token) == 64
    assert len(tokens.tokens) == 2
    assert tokens.name_of(token) == "ann"


def test_nothing_of_the_file_is_told(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    printed = repr(reloading_tokens(file).current) + caplog.text

    assert "2 tokens" in caplog.text
    assert not any(secret in printed.lower() for secret in (sha(FIRST)[:8], sha(SECOND)[:8]))
