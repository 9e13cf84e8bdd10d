"""The choice: never one that breaks a limit, the best of the others; the Pareto front; and the command."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_build.cli import main
from intently_build.comparing.choosing import Aim, Limits, choose
from intently_build.comparing.clause import LONGEST, one_clause
from intently_build.comparing.compared import RESULTS, Choice, Compared, Missing, front, read_compared, write_compared
from intently_build.comparing.machine import Machine
from intently_build.errors import BuildError
from intently_build.evaluation.figures import Level
from intently_build.planning.gpus import GIB

H200 = Machine("h200", "NVIDIA H200, 140 GiB", 140.4, 90)
LOSS = st.integers(-2000, 3000).map(lambda thousandths: thousandths / 1000)
LEVEL = st.builds(
    Level,
    in_flight=st.integers(1, 64),
    calls=st.just(100),
    seconds=st.floats(0.1, 100),
    p50_ms=st.just(1.0),
    p99_ms=st.floats(1, 100),
)


def bundle(
    name: str,
    lost: float = 0.0,
    memory: int | None = GIB,
    levels: tuple[Level, ...] = (),
    size: int = 8_000_000,
    f1_lost: float = 0.0,
) -> Choice:
    """A bundle of which this was measured."""
    stored, engine = "bfloat16", "intently-server vllm 0.32.0 bfloat16"
    good = 0.9 - lost / 100
    return Choice(name, f"bundles/{name}", "ab" * 32, stored, engine, good, good, lost, f1_lost, size, memory, levels)


def level(in_flight: int, rate: float, p99: float) -> Level:
    return Level(in_flight, 500, 500 / rate, p99 / 2, p99)


def compared(*choices: Choice, machine: Machine = H200, missing: tuple[Missing, ...] = ()) -> Compared:
    return Compared(
        recipe="toy",
        target="h200",
        machine=machine,
        dataset="toys",
        split="validation",
        in_scope_rows=100,
        out_of_scope_rows=10,
        data_sha256=("cd" * 32,),
        reference="bf16",
        dtype="auto",
        kv_cache_gib=1.0,
        choices=choices,
        missing=missing,
        front=front(choices),
    )


BUNDLES = st.lists(
    st.builds(
        bundle,
        name=st.just(""),
        lost=LOSS,
        memory=st.none() | st.integers(GIB // 2, 8 * GIB),
        levels=st.lists(LEVEL, max_size=3).map(tuple),
        size=st.integers(1, 10**7),
        f1_lost=LOSS,
    ),
    max_size=6,
).map(lambda found: [dataclasses.replace(each, name=f"b{place}") for place, each in enumerate(found)])
LIMITS = st.builds(
    Limits,
    p99_ms=st.none() | st.floats(1, 100),
    rate=st.none() | st.floats(1, 1000),
    memory_gib=st.none() | st.floats(0.5, 8),
    accuracy_points=LOSS.map(abs),
    macro_f1_points=LOSS.map(abs),
)


def speed(found: Choice, limits: Limits) -> float:
    """The most calls in a second among the levels within the limit on p99."""
    kept = [each for each in found.levels if limits.p99_ms is None or each.p99_ms <= limits.p99_ms]
    return max((each.calls_per_second for each in kept), default=0.0)


def keeps(found: Choice, limits: Limits) -> bool:
    """Whether a bundle keeps every limit, spelled out once more."""
    if found.accuracy_lost > limits.accuracy_points + 1e-6 or found.macro_f1_lost > limits.macro_f1_points + 1e-6:
        return False
    if limits.memory_gib is not None and (found.memory_bytes is None or found.memory_bytes > limits.memory_gib * GIB):
        return False
    if limits.p99_ms is None and limits.rate is None:
        return True
    return speed(found, limits) >= (limits.rate or 0.0) and speed(found, limits) > 0


def merit(found: Choice, limits: Limits, aim: Aim) -> float:
    least = -(found.memory_bytes or 10**12)
    return {"speed": speed(found, limits), "accuracy": found.accuracy, "memory": least}[aim]


@given(choices=BUNDLES, limits=LIMITS, aim=st.sampled_from(["speed", "accuracy", "memory"]))
def test_what_is_named_keeps_every_limit_and_is_the_best_of_those_that_do(
    choices: list[Choice], limits: Limits, aim: Aim
) -> None:
    chosen = choose(compared(*choices), limits, aim)
    passing = [each for each in choices if keeps(each, limits)]
    assert [each.choice for each in chosen.verdicts] == choices
    if not passing:
        assert chosen.named is None
        assert chosen.nearest is None or chosen.nearest in choices
        return
    assert chosen.named in passing
    assert chosen.nearest is None
    assert chosen.named
    assert merit(chosen.named, limits, aim) == max(merit(each, limits, aim) for each in passing)


@given(choices=BUNDLES, limits=LIMITS)
def test_each_bundle_that_is_out_says_why_and_no_other_does(choices: list[Choice], limits: Limits) -> None:
    for verdict in choose(compared(*choices), limits, "speed").verdicts:
        assert verdict.passes is keeps(verdict.choice, limits)
        assert verdict.passes is not any(excess.text and excess.share >= 0 for excess in verdict.excesses)


@given(choices=BUNDLES)
def test_on_the_front_are_just_those_that_no_other_dominates(choices: list[Choice]) -> None:
    measured = [each for each in choices if each.levels and each.memory_bytes]
    points = {
        each.name: (each.accuracy, each.calls_per_second or 0, -(each.memory_bytes or 0), -each.bytes_on_disk)
        for each in measured
    }
    dominated = {
        name
        for name, point in points.items()
        for other in points.values()
        if other != point and all(theirs >= ours for theirs, ours in zip(other, point, strict=True))
    }
    assert set(front(tuple(measured))) == set(points) - dominated
    assert bool(measured) is bool(front(tuple(measured)))


def test_speed_that_was_not_measured_of_all_does_not_count_in_the_front() -> None:
    fast = bundle("fast", lost=1, levels=(level(8, 900, 9),))
    assert front((bundle("good"), fast)) == ("good",)
    assert front((bundle("good", levels=(level(8, 90, 9),)), fast)) == ("good", "fast")


BF16 = bundle("bf16", memory=16 * GIB, size=15_000, levels=(level(1, 60, 17), level(32, 400, 90)))
FP8 = bundle("fp8", lost=0.2, memory=9 * GIB, size=8_000, levels=(level(1, 90, 12), level(32, 700, 60)))
INT4 = bundle("gptq-int4", lost=0.7, memory=6 * GIB, size=4_500, levels=(level(1, 80, 13), level(32, 500, 75)))


@pytest.mark.parametrize(
    ("limits", "aim", "named", "nearest"),
    [
        (Limits(), "speed", "fp8", None),
        (Limits(), "accuracy", "bf16", None),
        (Limits(accuracy_points=1), "memory", "gptq-int4", None),
        (Limits(p99_ms=15, rate=80), "speed", "fp8", None),
        (Limits(p99_ms=15, rate=100), "speed", None, "fp8"),  # one level has the speed, another the latency
        (Limits(memory_gib=8), "speed", None, "fp8"),
        (Limits(memory_gib=8, accuracy_points=0.8), "speed", "gptq-int4", None),
        (Limits(rate=1000), "speed", None, "fp8"),
    ],
)
def test_the_choice_follows_the_limits(limits: Limits, aim: Aim, named: str | None, nearest: str | None) -> None:
    chosen = choose(compared(BF16, FP8, INT4), limits, aim)
    assert (chosen.named and chosen.named.name, chosen.nearest and chosen.nearest.name) == (named, nearest)


def test_a_figure_that_was_not_measured_keeps_no_limit() -> None:
    chosen = choose(compared(bundle("bf16", memory=None)), Limits(memory_gib=100, rate=1), "speed")
    assert chosen.named is chosen.nearest is None
    assert [excess.text for excess in chosen.verdicts[0].excesses] == [
        "speed was not measured",
        "memory was not measured",
    ]


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    found = compared(BF16, FP8, missing=(Missing("bnb-int8", "no tool"),))
    write_compared(tmp_path / RESULTS, found)
    assert read_compared(tmp_path) == read_compared(tmp_path / RESULTS) == found


@pytest.mark.parametrize(
    ("text", "says"), [("{}", "not results of a comparison: recipe"), ("no", "not results of"), (None, "cannot read")]
)
def test_what_is_no_comparison_is_refused(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / RESULTS).write_text(text)
    with pytest.raises(BuildError, match=says):
        read_compared(tmp_path)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_compared(tmp_path / RESULTS, compared(BF16, FP8, INT4, missing=(Missing("awq", "the tool ended"),)))
    return tmp_path


def test_the_command_names_one_and_says_where_it_was_measured(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["choose", str(results), "--p99-ms", "80", "--rate", "450"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    for words in (
        "measured on NVIDIA H200, 140 GiB",
        "fp8: bundles/fp8, revision abababababab",
        "awq is out: the tool",
    ):
        assert words in page


def test_a_p99_of_few_calls_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = Level(1, 75, 1.0, 10.0, 13.0)
    write_compared(tmp_path / RESULTS, compared(dataclasses.replace(BF16, levels=(few,))))
    assert main(["choose", str(tmp_path)]) == 0
    assert "warning: its p99 is that of 75 calls" in capsys.readouterr().out


def test_the_command_ends_with_1_where_none_keeps_the_limits(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["choose", str(results), "--memory", "4", "--max-loss", "1"]) == 1
    said = capsys.readouterr().out
    assert "none keeps the limits; gptq-int4 comes nearest" in said
    assert "gptq-int4 is out: holds 6.00 GiB, 4 allowed" in said
    assert "warning" not in said


def test_the_choice_is_json_too(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["choose", str(results), "--memory", "10", "--max-loss", "1", "--prefer", "memory", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["named"] == "gptq-int4"
    assert content["machine"]["gpu"] == "h200"
    assert content["limits"]["memory_gib"] == 10
    out = {each["name"]: each["out"] for each in content["bundles"]}
    assert out == {"bf16": ["holds 16.00 GiB, 10 allowed"], "fp8": [], "gptq-int4": []}
    assert content["bundles"][1]["level"]["calls_per_second"] == 700


def test_another_gpu_is_refused_unless_one_insists(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["choose", str(results), "--gpu", "l4"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "measured on h200 (NVIDIA H200, 140 GiB), and asked about l4" in line
    assert main(["choose", str(results), "--gpu", "l4", "--anyway"]) == 0
    elsewhere = Machine("cpu", "CPU Xeon, 2 cores, 8 GiB", 8.0, None)
    write_compared(results / RESULTS, compared(BF16, machine=elsewhere))
    assert main(["choose", str(results)]) == 2  # compared for the H200, but not on one
    assert "measured on cpu" in capsys.readouterr().err
    assert main(["choose", str(results), "--gpu", "cpu"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--p99-ms", "0"], "--p99-ms 0: must be a number over 0"),
        (["--rate", "nan"], "--rate nan: must be a number over 0"),
        (["--memory", "inf"], "--memory inf"),
        (["--max-loss", "-1"], "--max-loss -1: must be at least 0"),
    ],
)
def test_limits_that_make_no_sense_are_one_line(
    arguments: list[str], says: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["choose", str(results), *arguments]) == 2
    assert says in capsys.readouterr().err


TRACE = (
    "intently-server ended with exit code 1: pydantic_core._pydantic_core.ValidationError: 1 validation error for "
    "VllmConfig / Value error, Unknown quantization method: bitsandbytes. Must be one of ['awq', 'fp8'] "
    f"[type=value_error, input_value=ArgsKwargs((), {{'config': ModelConfig({'a very long configuration, ' * 40})}}), "
    "input_type=ArgsKwargs] / For further information visit https://errors.pydantic.dev/2.12/v/value_error"
)


@pytest.mark.parametrize(
    ("reason", "clause"),
    [
        (
            TRACE,
            "intently-server ended with exit code 1: Value error, Unknown quantization method: bitsandbytes",
        ),
        ("h200 does not run it: no kernel", "h200 does not run it: no kernel"),
        (
            "intently-server was not ready after 600 s: it said nothing",
            "intently-server was not ready after 600 s: it said nothing",
        ),
        ("x" * 1000, "x" * (LONGEST - 1) + "…"),
    ],
)
def test_a_reason_is_one_clause(reason: str, clause: str) -> None:
    assert one_clause(reason) == clause


def test_a_long_reason_is_short_on_the_terminal_and_whole_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = bundle("bf16", levels=(level(1, 100, 10),))
    write_compared(tmp_path / RESULTS, compared(one, missing=(Missing("bnb-int8", TRACE),)))
    assert main(["choose", str(tmp_path), "--anyway"]) == 0
    said = capsys.readouterr().out
    assert "bnb-int8 is out: intently-server ended with exit code 1: Value error, Unknown quantization method" in said
    assert "a very long configuration" not in said
    assert main(["choose", str(tmp_path), "--anyway", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"][0]["reason"] == TRACE
