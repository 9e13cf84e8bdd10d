"""The disagreement report on a whole stack: utterances replayed to both colors, one of which swaps two intents."""

import io
import json
import os
import pty
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from intently.v1 import bundle_pb2, intent_service_pb2
from support.bundles import read_manifest
from support.paths import BUNDLE
from support.release_stack import COMMAND, Stack, stack
from support.swapping_bundle import SWAPPED, swapping_bundle

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

GOLDEN = read_manifest(BUNDLE).golden_vectors
UNKNOWN = "zebra umbrella quartz"  # out of scope to an engine in memory
QUICK = {"patience": 1.2}


def started(made: Stack, bundle: Path) -> Path:
    """The bundle, once it runs beside the stable one, without traffic."""
    done = made.run("deploy", str(bundle))
    assert done.code == 3, done.errors + made.logs()
    return bundle


@pytest.fixture(scope="module")
def both() -> Iterator[Stack]:
    """A stack with the swapping bundle on green, which has no traffic."""
    with stack("--step-ms", "2", "--batch", "64", releasing=QUICK) as made:
        started(made, swapping_bundle(made, "second"))
        yield made


def golden_line(golden: bundle_pb2.GoldenVector) -> dict[str, Any]:
    """As an object of a file to replay."""
    roles = {intent_service_pb2.ROLE_USER: "user", intent_service_pb2.ROLE_ASSISTANT: "assistant"}
    return {"text": golden.text, "context": [{"role": roles[turn.role], "text": turn.text} for turn in golden.context]}


def utterances(made: Stack, lines: Iterable[dict[str, Any]]) -> Path:
    """A file of them."""
    path = made.folder / "utterances.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def compared(made: Stack, *arguments: str) -> dict[str, Any]:
    """The report."""
    done = made.run("compare", *arguments)
    assert done.code == 0, done.errors + made.logs()
    [report] = done.events
    return report


def said_to_people(made: Stack, *arguments: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
    """What the command prints without --json."""
    command = [*COMMAND, "compare", *arguments, "--config", str(made.config)]
    environment = {**made.environment, "COLUMNS": "160"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.run(command, text=True, timeout=120, check=False, env=environment, **pipes)


def test_what_differs_is_told_exactly_and_no_utterance_is(both: Stack) -> None:
    lines = [golden_line(golden) for golden in GOLDEN] * 20 + [{"text": UNKNOWN}]

    report = compared(both, str(utterances(both, lines)), "--concurrency", "8")

    swapped = [golden.intent for golden in GOLDEN if golden.intent in SWAPPED]
    assert (report["sent"], report["compared"], report["differ"]) == (161, 161, 20 * len(swapped))
    low, high = report["differ_wilson_95"]
    assert low < report["differ_share"] < high
    pairs = {(pair["stable"]["intent"], pair["canary"]["intent"]): pair["count"] for pair in report["pairs"]}
    assert pairs == {(intent, SWAPPED[intent]): 20 * swapped.count(intent) for intent in swapped}
    assert report["confident_differ"] == report["intents_differ"] == report["differ"]
    assert report["mean_confidence_difference_where_they_agree"] == pytest.approx(0, abs=1e-6)
    for color, bundle in (("blue", "first"), ("green", "second")):
        part = report["stable" if color == "blue" else "canary"]
        assert (part["color"], part["errors"], part["answered"]) == (color, {}, 161)
        assert part["revisions"] == [read_manifest(both.folder / bundle).revision]
        assert 0 < part["latency_ms"]["p50"] <= part["latency_ms"]["p99"]
    assert report["strongest"] is None
    written = json.dumps(report) + both.logs() + (both.run_dir / "history.jsonl").read_text()
    assert not any(line["text"] in written for line in lines)


def test_utterances_are_shown_on_request_alone(both: Stack) -> None:
    path = utterances(both, map(golden_line, GOLDEN))
    kept = both.folder / "report.json"

    silent = said_to_people(both, str(path))
    shown = said_to_people(both, str(path), "--show-utterances", "1", "--json", str(kept))

    assert (silent.returncode, shown.returncode) == (0, 0), silent.stderr + shown.stderr
    assert "stable says" in silent.stdout
    assert not any(golden.text in silent.stdout + silent.stderr for golden in GOLDEN)
    [strongest] = json.loads(kept.read_text())["strongest"]
    assert strongest["UTTERANCE"] == GOLDEN[strongest["line"] - 1].text
    assert "WITH UTTERANCES" in shown.stdout
    assert strongest["UTTERANCE"] in shown.stdout


def test_standard_input_may_be_plain_lines(both: Stack) -> None:
    done = said_to_people(both, "-", "--json", input=f"{GOLDEN[0].text}\n\n{GOLDEN[0].text}\n")

    report = json.loads(done.stdout)
    assert (report["sent"], report["differ_share"], report["unusable_lines"]) == (2, 1.0, 0)
    assert done.stderr == ""


def test_a_terminal_sees_how_far_it_is(both: Stack) -> None:
    path = utterances(both, map(golden_line, GOLDEN))
    ours, theirs = pty.openpty()
    with io.FileIO(ours) as terminal:
        done = said_to_people(both, str(path), stderr=theirs)
        os.close(theirs)
        seen = terminal.read(65_536) or b""

    assert done.returncode == 0
    assert b"compared" in seen
    assert not any(golden.text.encode() in seen for golden in GOLDEN)


def test_lines_that_are_no_utterances_are_counted(both: Stack) -> None:
    path = both.folder / "mixed.jsonl"
    path.write_text(json.dumps({"text": GOLDEN[0].text}) + "\nnonsense of a user\n")

    done = said_to_people(both, str(path))

    assert "1 lines are no utterances, the first of them: 2" in done.stdout
    assert "nonsense" not in done.stdout + done.stderr


def test_what_both_refuse_is_an_error_of_both(both: Stack) -> None:
    done = both.run("compare", str(utterances(both, [{"text": "word " * 5000}])))

    [report] = done.events
    assert done.code == 3
    assert (report["compared"], report["differ_share"]) == (0, None)
    assert report["stable"]["errors"] == report["canary"]["errors"] == {"INVALID_ARGUMENT": 1}


def test_what_makes_no_sense_is_refused(both: Stack) -> None:
    path = utterances(both, [{"text": "hello"}])

    refused = [
        both.run("compare"),
        both.run("compare", str(both.folder / "nowhere")),
        both.run("compare", str(path), "--concurrency", "0"),
        both.run("compare", str(path), "--deadline", "nan"),
        both.run("compare", str(path), "--confident", "1.5"),
    ]
    overwriting = said_to_people(both, str(path), "--json", str(path))

    assert [each.code for each in refused] == [2] * 5
    assert "no such file" in refused[1].errors.lower()
    assert overwriting.returncode == 2
    assert path.read_text() == '{"text": "hello"}\n'


def test_errors_of_one_color_are_its_own() -> None:
    flags = ("--step-ms", "2", "--batch", "64", "--fault", "internal", "--faulty-bundle", "second")
    with stack(*flags, releasing=QUICK) as made:
        started(made, made.bundle("second"))

        report = compared(made, str(utterances(made, [*map(golden_line, GOLDEN), {"text": UNKNOWN}])))

    assert (report["sent"], report["compared"], report["differ"]) == (9, 8, 0)
    assert (report["stable"]["errors"], report["canary"]["errors"]) == ({}, {"INTERNAL": 1})


def test_it_takes_two_colors() -> None:
    with stack() as made:
        done = made.run("compare", str(utterances(made, [{"text": "hello"}])))

    assert done.code == 2
    assert "green does not run" in done.errors
