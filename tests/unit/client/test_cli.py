"""The command intently, where no server is needed."""

import socket

import pytest

from intently import cli


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize("command", [["classify", "hello"], ["models"], ["intents"]])
def test_no_server_is_said_with_the_address_and_the_remedy(
    command: list[str], closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*command, "--address", f"127.0.0.1:{closed_port}"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"no server answers at 127.0.0.1:{closed_port}" in said.err
    assert "make run" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["classify"], ["classify", "hello", "--context", "hello"], ["classify", "x", "--top-k", "many"], ["sing"]],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        cli.run(arguments)
    assert exit_info.value.code == cli.USAGE
    assert "usage: intently" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["classify", "models", "intents"])
def test_help_names_the_server_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        cli.run([command, "--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--address", "--timeout", "--wait", "--json"))
