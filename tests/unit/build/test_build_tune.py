"""`intently-build tune`: the rule of the limits, what confirms a profile, what is kept, and what may be said."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from intently_build.bundles.manifest import read_manifest
from intently_build.cli import main
from intently_build.errors import BuildError
from intently_build.tuning.bench import Step
from intently_build.tuning.candidate import Candidate, Found, Trial
from intently_build.tuning.confirming import judge
from intently_build.tuning.given import as_flags, given_settings
from intently_build.tuning.kept import Kept
from intently_build.tuning.profile import HEADER, check_may_be_written
from intently_build.tuning.rule import Prompts, admission_limits, promised_rate
from intently_build.tuning.target import Slo, parse_seconds, parse_slo
from intently_build.tuning.utterances import COUNT, write_utterances
from support.paths import BUNDLE

SLO = Slo("99", 0.082, "p99=82ms")
PROMPTS = Prompts(longest=30, limit=1024)
FOUND = Found(rate=945.0, failed_above=990.0, percentile_s=0.08, mean_s=0.04, goodput=944.0)


def test_the_rule_on_an_example() -> None:
    limits = admission_limits(900.0, 0.04, 0.082, 128, PROMPTS)

    assert limits.max_wait == 0.16
    assert limits.max_running == 72
    assert limits.max_in_flight == 288
    assert limits.max_queued_tokens == 288 * 30
    assert limits.settings()["max_wait"] == 0.16


@given(
    st.floats(0.1, 1e5), st.floats(1e-4, 10), st.floats(1e-3, 60), st.none() | st.integers(1, 4096), st.integers(1, 900)
)
def test_the_rule_starves_nobody(
    rate: float, mean_s: float, limit_s: float, sequences: int | None, longest: int
) -> None:
    limits = admission_limits(rate, mean_s, limit_s, sequences, Prompts(longest, 1024))

    assert limits.max_wait >= limit_s - 1e-6
    assert rate * limits.max_wait / 3 >= 4 / 3 * rate * mean_s * (1 - 1e-3)  # what the server lets its engine have
    assert limits.max_running >= min(2 * (sequences or 128), max(32, math.floor(2 * rate * mean_s * (1 - 1e-3))))
    assert limits.max_running <= 2 * (sequences or 128)
    assert limits.max_in_flight >= max(2 * limits.max_running, 256, math.floor(2 * rate * limits.max_wait))
    assert limits.max_queued_tokens >= max(4 * 1024, limits.max_in_flight * longest)


def test_the_rate_promised_is_the_lower_end_of_what_is_known() -> None:
    assert promised_rate(FOUND, 0.05) == 900.0


GOOD = Step(rate=900, percentile_s=0.08, mean_s=0.04, goodput=899, sent=4000, refused=0, failed=0)
DOUBLE = Step(rate=1800, percentile_s=0.15, mean_s=0.1, goodput=1000, sent=8000, refused=3500, failed=0)


@pytest.mark.parametrize(
    ("promised", "overload", "words"),
    [
        (GOOD, DOUBLE, []),
        (replace(GOOD, refused=4), DOUBLE, []),  # a tenth of what may be late
        (replace(GOOD, percentile_s=0.083), DOUBLE, ["at 900/s p99 was 83.0 ms"]),
        (replace(GOOD, refused=5), DOUBLE, ["5 were refused"]),
        (replace(GOOD, failed=5), DOUBLE, ["5 failed"]),
        (replace(GOOD, goodput=0), DOUBLE, ["at 900/s"]),
        (GOOD, replace(DOUBLE, percentile_s=0.161), ["at 1800/s p99 of those that were taken was 161.0 ms, over max_"]),
        (GOOD, replace(DOUBLE, failed=1), ["1 calls of 8000 failed, not refused"]),
        (GOOD, replace(DOUBLE, goodput=0), ["nothing was answered"]),
        (replace(GOOD, percentile_s=1), replace(DOUBLE, percentile_s=1), ["at 900/s", "at 1800/s"]),
    ],
)
def test_what_is_against_a_profile_is_told(promised: Step, overload: Step, words: list[str]) -> None:
    failures = judge(promised, overload, SLO, 0.16)

    assert len(failures) == len(words)
    assert [word for word, failure in zip(words, failures, strict=True) if word not in failure] == []


TRIALS = [
    Trial(Candidate(), FOUND),
    Trial(Candidate(64, 4096), FOUND, to_beat=900.0),
    Trial(Candidate(64, None), None, to_beat=900.0, late_s=0.1),
]


@pytest.mark.parametrize("trial", TRIALS)
def test_what_was_measured_is_kept_for_the_same_question_alone(tmp_path: Path, trial: Trial) -> None:
    question = {"bundle": "r", "machine": "m", "given": {"kv_cache_gib": 1}}
    Kept(tmp_path / "kept", question).save(trial)

    assert Kept(tmp_path / "kept", question).load(trial.candidate, trial.to_beat) == trial
    assert Kept(tmp_path / "kept", question).load(trial.candidate, 1.0) is None
    assert Kept(tmp_path / "kept", question).load(Candidate(1), trial.to_beat) is None
    assert Kept(tmp_path / "kept", {**question, "machine": "n"}).load(trial.candidate, trial.to_beat) is None


def test_what_was_kept_and_damaged_is_named(tmp_path: Path) -> None:
    kept = Kept(tmp_path, {})
    kept.save(TRIALS[0])
    [path] = tmp_path.iterdir()
    path.write_text("{}")

    with pytest.raises(BuildError, match=f"{path}: cannot read what was kept there.*delete the file"):
        kept.load(Candidate(), None)


def test_settings_that_are_given_have_their_types_and_become_flags() -> None:
    given = given_settings(["kv-cache-gib=0.5", "enforce_eager=true", "--max_sequences=8", "dtype=float32"])

    assert given == {"kv_cache_gib": 0.5, "enforce_eager": True, "max_sequences": 8, "dtype": "float32"}
    assert as_flags(given) == ["--kv-cache-gib=0.5", "--enforce-eager", "--max-sequences=8", "--dtype=float32"]
    assert as_flags({"enforce_eager": False}) == ["--no-enforce-eager"]


def test_a_latency_and_times() -> None:
    slo = parse_slo("p99.9=1.5s")

    assert (slo.percent, slo.limit_s, slo.allowed, slo.least_calls) == ("99.9", 1.5, 0.001, 20_000)
    assert (parse_seconds("budget", "10m"), parse_seconds("budget", "2")) == (600.0, 2.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--slo", "82ms"], "--slo 82ms: must be a latency"),
        (["--slo", "p98=82ms"], "--slo p98=82ms: must be a latency"),
        (["--slo", "p99=0ms"], "--slo 0ms: must be a time above 0"),
        (["--slo", "p99=1s", "--budget", "soon"], "--budget soon: must be a time"),
        (["--slo", "p99=1s", "--tokens", "24-8"], "--tokens 24-8: must be"),
        (["--slo", "p99=1s", "--tokens", "8-5000"], "--tokens 8-5000: the bundle has room for"),
        (["--slo", "p99=1s", "--precision", "2"], "--precision 2: must be a share"),
        (["--slo", "p99=1s", "--processes", "0"], "--processes 0: must be at least 1"),
        (["--slo", "p99=1s", "--rate", "0"], "--rate 0: must be"),
        (["--slo", "p99=1s", "--set", "address=0.0.0.0:1"], "--set address=0.0.0.0:1: must be NAME=VALUE"),
        (["--slo", "p99=1s", "--set", "max_wait"], "--set max_wait: must be NAME=VALUE"),
        (["--slo", "p99=1s", "--set", "max_wait=[1]"], "--set max_wait=[1]: must have a number"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", str(BUNDLE), "--output", str(tmp_path / "tuned.yaml"), *arguments]) == 2

    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_start_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "no-such-program"
    command = ["tune", str(BUNDLE), "--slo", "p50=1s", "--output", str(tmp_path / "tuned.yaml")]

    assert main([*command, "--server-command", str(there)]) == 2

    assert f"{there}: cannot be started: No such file" in capsys.readouterr().err
    assert not (tmp_path / "tuned.yaml").exists()


def test_only_a_profile_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    check_may_be_written(path)
    path.write_text(f"{HEADER}\nformat: 1\n")
    check_may_be_written(path)
    path.write_text("run_dir: runs/release\n")

    with pytest.raises(BuildError, match="is there, and no profile"):
        check_may_be_written(path)


@pytest.mark.parametrize("bundle", [BUNDLE, BUNDLE.with_name("mini-massive-zh")], ids=lambda path: path.name)
def test_utterances_have_the_tokens_that_were_asked_for(tmp_path: Path, bundle: Path) -> None:
    write_utterances(tmp_path / "said", bundle, read_manifest(bundle), (8, 24))

    texts = [json.loads(line)["text"] for line in (tmp_path / "said").read_text(encoding="utf-8").splitlines()]
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    lengths = [len(each.ids) for each in tokenizer.encode_batch(texts, add_special_tokens=False)]
    assert set(lengths) == set(range(8, 25))
    assert len(texts) == COUNT
    assert len(set(texts)) > 0.7 * COUNT


def test_a_bundle_without_golden_utterances_is_refused(tmp_path: Path) -> None:
    manifest = read_manifest(BUNDLE)
    del manifest.golden_vectors[:]

    with pytest.raises(BuildError, match="no golden utterances"):
        write_utterances(tmp_path / "said", BUNDLE, manifest, (8, 24))
