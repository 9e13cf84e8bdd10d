"""From the command line to what is measured: targets, ramps, searches, comparisons, and what does not go together."""

import argparse
import json
from pathlib import Path

import pytest

from intently.bench import command
from intently.bench.arguments import ramp, share, span
from intently.bench.exit_code import USAGE
from intently.bench.ordering import order_of
from intently.bench.studies.kind import Kind
from intently.bench.studies.order import Order
from intently.bench.targets.target import Speech, Target
from intently.bench.thresholds import Threshold
from intently.bench.utterances import read_rows
from intently.bench.words import made_of_words


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="intently bench")
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def order(*arguments: str) -> Order:
    options = parse(*arguments)
    return order_of(options, command.plan_of(options))


@pytest.mark.parametrize(
    ("text", "speech", "address"),
    [
        ("127.0.0.1:50051", Speech.GRPC, "127.0.0.1:50051"),
        ("unix:/run/server", Speech.GRPC, "unix:/run/server"),
        ("grpc://host:1", Speech.GRPC, "host:1"),
        ("http://host:8000", Speech.HTTP, "http://host:8000"),
        ("https://host/v2/classify", Speech.HTTP, "https://host/v2/classify"),
        ("python:a.b:Name?key=value", Speech.PYTHON, "a.b:Name?key=value"),
    ],
)
def test_a_target_says_how_it_is_spoken_to(text: str, speech: Speech, address: str) -> None:
    assert Target.parse(text) == Target(speech, address)


@pytest.mark.parametrize("text", ["python:module", "python:mod-ule:name", "http://", "ftp://host"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|names no host"):
        Target.parse(text)


def test_without_more_it_is_one_load() -> None:
    found = order("--rate", "100")
    assert (found.kind, len(found.plans), [leg.rate for leg in found.legs]) == (Kind.RUN, 1, [100.0])


def test_a_ramp_has_a_leg_for_each_step() -> None:
    assert ramp("100:1000:10") == tuple(float(rate) for rate in range(100, 1001, 100))
    assert ramp("100,250.5") == (100.0, 250.5)
    found = order("--ramp", "10:30:3", "--duration", "2s", "--warm-up", "1s")
    assert (found.kind, found.plans[0].rate) == (Kind.RAMP, 10.0)
    assert [(leg.rate, leg.duration_s, leg.warm_up_s) for leg in found.legs] == [
        (rate, 2.0, 1.0) for rate in (10, 20, 30)
    ]
    closed = order("--ramp-concurrency", "1,16", "--rounds", "1")
    assert [(leg.rate, leg.concurrency) for leg in closed.legs] == [(None, 1), (None, 16)]


def test_a_search_has_its_latency_and_how_to_go_about_it() -> None:
    found = order("--slo", "p99=82ms", "--precision", "5%", "--confirmations", "3", "--fail-if", "found<900")
    assert found.search is not None
    assert (found.kind, found.search.slo.limit_s) == (Kind.SEARCH, 0.082)
    assert (found.search.precision, found.search.confirmations, found.search.trust) == (0.05, 3, False)


def test_a_comparison_has_two_targets_and_one_in_python_has_one_process() -> None:
    found = order("--against", "python:a:B", "--processes", "4", "--rounds", "7", "--fail-if", "ratio<0.97")
    assert (found.kind, found.rounds) == (Kind.COMPARISON, 7)
    assert [(plan.address, plan.processes) for plan in found.plans] == [("127.0.0.1:50051", 4), ("python:a:B", 1)]
    assert found.thresholds == (Threshold("ratio", below=True, bound=0.97),)


def test_the_older_thresholds_are_thresholds() -> None:
    found = order("--max-p99", "82ms", "--max-errors", "3")
    assert found.thresholds == (Threshold("p99", False, 0.082), Threshold("errors", False, 3))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fail-if", "ratio<1"],
        ["--fail-if", "found<1"],
        ["--slo", "p99=1s", "--ramp", "1:2:2"],
        ["--slo", "p99=1s", "--requests", "5"],
        ["--slo", "p99=1s", "--shape", "stream"],
        ["--slo", "p99=1s", "--against", "h:1", "--fail-if", "p99-ratio>1"],
        ["--against", "h:1", "--ramp", "1:2:2"],
        ["--against", "127.0.0.1:50051"],
        ["--against", "ftp://host"],
        ["--address", "http://h:1", "--shape", "stream"],
        ["--ramp-concurrency", "1,2", "--processes", "2"],
        ["--ramp-concurrency", "1,2", "--shape", "stream"],
        ["--bundle", "does-not-exist"],
        ["--html", "does-not-exist/report.html"],
        ["--html", "does-not-exist/report.json"],
        ["--token-file", __file__, "--address", "http://example.org"],
    ],
)
def test_what_does_not_go_together_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(parse(*arguments)) == USAGE
    said = capsys.readouterr().err
    assert said.startswith("intently bench: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("text", ["1:2", "2:1:1", "1,x", "0:5:2", "1:2:3:4"])
def test_what_is_no_ramp_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        ramp(text)


def test_shares_and_spans() -> None:
    assert (share("2%"), share("0.5")) == (0.02, 0.5)
    assert (span("8"), span("8-24")) == ((8, 8), (8, 24))
    for read, text in ((share, "100%"), (span, "9-8"), (span, "-3"), (span, "0")):
        with pytest.raises(argparse.ArgumentTypeError):
            read(text)


def test_words_are_as_many_as_asked_and_the_same_for_a_seed() -> None:
    said = made_of_words(3, 8, 24)
    assert said == made_of_words(3, 8, 24) != made_of_words(4, 8, 24)
    assert {len(text.split()) for text in said} == set(range(8, 25))
    assert len(set(said)) > 1900
    assert command.plan_of(parse("--words", "5")).utterances == made_of_words(0, 5, 5)


def test_token_ids_stand_beside_the_text_where_all_rows_have_them(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a", "token_ids": [1, 2]}\n{"text": "b", "token_ids": [3]}\n', encoding="utf-8")
    assert command.plan_of(parse("--utterances", str(rows))).token_ids == ((1, 2), (3,))
    rows.write_text('{"text": "a", "token_ids": [1, 2]}\n{"text": "b"}\n', encoding="utf-8")
    assert command.plan_of(parse("--utterances", str(rows))).token_ids == ()
    for bad in ('"1 2"', "[1.5]", "[-1]", "null"):
        rows.write_text(f'{{"text": "my secret", "token_ids": {bad}}}\n', encoding="utf-8")
        with pytest.raises(ValueError, match="line 1") as caught:
            read_rows(rows)
        assert "secret" not in str(caught.value)


def test_a_bundle_frames_the_utterance(tmp_path: Path) -> None:
    manifest = {"prompt": {"prefix": "<task>", "utterance_open": "<u>", "suffix": "</u>"}}
    (tmp_path / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert command.plan_of(parse("--bundle", str(tmp_path))).frame == ("<task><u>", "</u>")
    (tmp_path / "bundle.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="no manifest"):
        command.plan_of(parse("--bundle", str(tmp_path)))
