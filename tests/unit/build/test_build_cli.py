"""The command line: complete help without heavy imports, and one line for what the user can mend."""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from intently_build.cli import build_parser, main
from intently_build.interrupts import terminated_as_interrupted


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from intently_build.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'transformers', 'sklearn', 'grpc'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "default: runs/ and the recipe's name" in " ".join(done.stdout.split())


def test_every_option_is_explained_with_its_default() -> None:
    subparsers = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    options = [action for parser in subparsers.choices.values() for action in parser._actions if action.option_strings]
    assert len(options) > 10
    for option in options:
        assert option.help
        if option.default not in (None, False, argparse.SUPPRESS):
            assert "%(default)s" in option.help


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "gone.yaml"], "gone.yaml: cannot read the recipe"),
        (["inspect", "gone"], "cannot read the manifest"),
        (["evaluate", "gone"], "cannot read the manifest"),
        (["evaluate", "gone", "--in-flight", "0"], "--in-flight 0: must be at least 1"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    line = capsys.readouterr().err
    assert line.startswith("intently-build: ")
    assert line.count("\n") == 1
    assert says in line


def test_to_be_told_to_end_is_to_be_interrupted() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
