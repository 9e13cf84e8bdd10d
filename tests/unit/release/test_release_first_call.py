"""The command that `up` proposes: it is there, and shows what callers must show."""

import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from intently.cli.parser import parser
from intently_release.commands.first_call import first_call
from intently_release.config import ReleaseConfig

NOWHERE = Path("/nowhere/python")


def words(python: Path = NOWHERE, **parts: Any) -> list[str]:
    """The command's words."""
    return shlex.split(first_call(ReleaseConfig.model_validate(parts), python))


def test_the_client_beside_python_is_named_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "a folder" / "bin" / "intently"
    client.parent.mkdir(parents=True)
    assert words(client.with_name("python"))[0] == "intently"
    client.touch(mode=0o755)

    assert words(client.with_name("python"))[0] == str(client)
    monkeypatch.chdir(tmp_path)
    assert words(client.with_name("python"))[0] == "a folder/bin/intently"


def test_the_running_pythons_own_is_the_default() -> None:
    first = shlex.split(first_call(ReleaseConfig()))[0]

    assert os.access(first, os.X_OK)


@pytest.mark.parametrize(
    ("parts", "needed"),
    [
        ({}, []),
        ({"listener": {"tls": {"folder": "/tls"}}}, ["--ca", "--server-name"]),
        (
            {"listener": {"tls": {"folder": "/tls", "client_ca": "ca.crt"}}},
            ["--ca", "--server-name", "--certificate", "--key"],
        ),
        ({"servers": {"token_file": "/secrets/token"}}, ["--token-file"]),
    ],
)
def test_it_shows_what_callers_must_show_and_the_client_understands_it(
    parts: dict[str, Any], needed: list[str]
) -> None:
    command = words(**parts)

    assert [word for word in command if word.startswith("--")] == ["--address", *needed]
    options = parser(command[1:]).parse_args(command[1:])
    assert options.address == "127.0.0.1:50051"
