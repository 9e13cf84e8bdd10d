"""The arguments of `intently bench`, its utterances, and what it does without its extra."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently import Priority
from intently.bench import command
from intently.bench.arguments import seconds
from intently.bench.exit_code import USAGE
from intently.bench.plan import Arrivals, Plan, Shape
from intently.bench.utterances import made, read


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTENTLY_TOKEN_FILE", raising=False)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="intently bench")
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def plan_of(*arguments: str) -> Plan:
    return command.plan_of(parse(*arguments))


def test_without_arguments_it_is_a_closed_loop_of_ten_seconds() -> None:
    plan = plan_of()
    assert (plan.rate, plan.duration_s, plan.requests, plan.shape) == (None, 10.0, None, Shape.UNARY)
    assert len(plan.utterances) > 100


def test_arguments_become_the_plan() -> None:
    plan = plan_of(
        *("--rate", "250.5", "--arrivals", "constant", "--shape", "batch", "--batch-size", "4", "--processes", "2"),
        *("--warm-up", "500ms", "--duration", "2m", "--timeout", "1.5s", "--connections", "3", "--seed", "7"),
        *("--priority", "low", "--metadata", "X-Team=a=b", "--max-outstanding", "9", "--retry"),
    )
    assert (plan.rate, plan.arrivals, plan.shape, plan.batch_size) == (250.5, Arrivals.CONSTANT, Shape.BATCH, 4)
    assert (plan.processes, plan.connections, plan.seed, plan.max_outstanding, plan.retry) == (2, 3, 7, 9, True)
    assert (plan.warm_up_s, plan.duration_s, plan.timeout_s) == (0.5, 120.0, 1.5)
    assert (plan.metadata, plan.priority) == ((("x-team", "a=b"),), Priority.LOW)


def test_the_token_s_file_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = [tmp_path / "of the environment", tmp_path / "of the arguments"]
    for file in files:
        file.write_text("token\n", encoding="ascii")
    monkeypatch.setenv("INTENTLY_TOKEN_FILE", str(files[0]))
    assert plan_of().credentials.token == str(files[0])
    assert plan_of("--token-file", str(files[1])).credentials.token == str(files[1])


def test_a_number_of_requests_takes_as_long_as_it_takes() -> None:
    assert plan_of("--requests", "5").duration_s is None
    assert plan_of("--requests", "5", "--duration", "3").duration_s == 3.0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--rate", "1", "--concurrency", "1"],
        ["--concurrency", "0"],
        ["--duration", "0"],
        ["--duration", "ten"],
        ["--processes", "-1"],
        ["--metadata", "nothing"],
        ["--metadata", "grpc-timeout=1"],
        ["--metadata", "key=café"],
        ["--max-errors", "-1"],
        ["--shape", "round"],
        ["--max-p99", "0ms"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        parse(*arguments)
    assert exit_info.value.code == USAGE
    assert arguments[-2] in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--concurrency", "1", "--processes", "2"],
        ["--shape", "stream", "--streams", "1", "--processes", "2"],
        ["--utterances", "does-not-exist"],
        ["--json", "does-not-exist/report.json"],
        ["--token-file", "does-not-exist"],
        ["--certificate", __file__],
        ["--token-file", __file__, "--address", "example.org:443"],
        ["--shape", "stream", "--metadata", "a=b"],
    ],
)
def test_what_does_not_fit_together_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(parse(*arguments)) == USAGE
    assert capsys.readouterr().err.startswith("intently bench: ")


@given(number=st.integers(min_value=1, max_value=10_000))
def test_times_have_units(number: int) -> None:
    assert seconds(f"{number}ms") == pytest.approx(number / 1e3)
    assert seconds(f"{number}us") == pytest.approx(number / 1e6)
    assert seconds(f"{number}s") == seconds(str(number)) == number
    assert seconds(f"{number}m") == number * 60


def test_the_help_says_the_exit_codes_and_the_thresholds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "Exit codes: 0 done; 1 a threshold failed" in said
    assert "3 the generator was the bottleneck" in said
    assert "90 % of a core" in said


def test_made_utterances_are_varied_and_the_same_for_a_seed() -> None:
    assert made(3) == made(3) != made(4)
    assert len(set(made(3))) > 200
    assert all("{" not in text for text in made(3))


def test_utterances_are_lines_of_text_or_of_json(tmp_path: Path) -> None:
    text, rows = tmp_path / "utterances.txt", tmp_path / "utterances.jsonl"
    text.write_text("wake me up\n\n  what's {this}?  \n", encoding="utf-8")
    rows.write_text('{"text": "wake me up", "intent": "alarm"}\n{"text": "早上好"}\n', encoding="utf-8")
    assert read(text) == ("wake me up", "what's {this}?")
    assert read(rows) == ("wake me up", "早上好")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has no utterances"),
        ('{"text": "a"}\nmy secret', "line 2"),
        ('{"said": "my secret"}', "line 1"),
        ('{"text": 5}', "line 1"),
    ],
)
def test_a_bad_file_is_refused_without_telling_what_is_in_it(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "utterances"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=said) as caught:
        read(file)
    assert "secret" not in str(caught.value)


def run_python(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_importing_the_command_needs_nothing_of_the_extra() -> None:
    ended = run_python(
        "import sys, intently.bench.command\nsys.exit(bool({'hdrh', 'rich', 'uvloop', 'psutil'} & set(sys.modules)))"
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("hdrh", []),
        ("rich", []),
        ("uvloop", []),
        ("aiohttp", ["--against", "http://127.0.0.1:1"]),
        ("jinja2", ["--html", "report.html"]),
    ],
)
def test_without_the_extra_it_says_how_to_get_it(missing: str, arguments: list[str]) -> None:
    ended = run_python(
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import argparse\n"
        "from intently.bench.command import add_arguments, run\n"
        "parser = argparse.ArgumentParser(); add_arguments(parser)\n"
        f"sys.exit(run(parser.parse_args({arguments})))"
    )
    assert ended.returncode == 2
    assert f"{missing} is missing" in ended.stderr or f"{missing}." in ended.stderr
    assert "pip install 'intently[bench]'" in ended.stderr
