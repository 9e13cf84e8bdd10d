"""Evaluating bundles side by side: asked through real sockets, gone on with after a failure, judged by the gate."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.torch import load_file, save_file

from intently_build.bundles.manifest import manifest_layout, read_manifest
from intently_build.cli import main
from intently_build.errors import BuildError
from intently_build.evaluation.answering import ServerAnswering
from intently_build.evaluation.asking import Asked, ask
from intently_build.evaluation.dataset import Source
from intently_build.evaluation.evaluate import Request, evaluate
from intently_build.evaluation.memory import tree_memory
from intently_build.evaluation.server_process import RunningServer
from intently_build.prompt import PromptEncoder
from support.bundles import Manifest, copy_bundle, edit_manifest
from support.in_memory_server import in_memory_server
from support.paths import BUNDLE, CLINC150
from support.processes import descendants
from support.rows import read_rows

EACH, OUTSIDE = 3, 40
IN_FLIGHT = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some rows of every intent, and some out of scope."""
    folder = tmp_path_factory.mktemp("data")
    shutil.copyfile(CLINC150 / "labels.json", folder / "labels.json")
    seen: dict[str, int] = {}
    for name, most in (("test", EACH), ("oos_test", OUTSIDE)):
        lines = []
        for row in read_rows(CLINC150 / f"{name}.jsonl"):
            seen[row["intent"]] = seen.get(row["intent"], 0) + 1
            if seen[row["intent"]] <= most:
                lines.append(json.dumps(row) + "\n")
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The bundle, and one whose prompts are others, so that the engine in memory answers otherwise."""
    folder = tmp_path_factory.mktemp("bundles")
    same, other = copy_bundle(BUNDLE, folder / "same"), copy_bundle(BUNDLE, folder / "other")

    def ask_otherwise(manifest: Manifest) -> None:
        manifest.prompt.utterance_open += " please"
        encoder = PromptEncoder(other / "tokenizer.json", manifest_layout(manifest.prompt))
        del manifest.golden_vectors[1:]
        [golden] = manifest.golden_vectors
        del golden.context[:]
        golden.token_ids[:] = encoder.encode(golden.text)

    edit_manifest(other, ask_otherwise)
    return same, other


class Servers:
    """Serves bundles by the engine in memory, and remembers which; the one named `ill` refuses every call."""

    def __init__(self, folder: Path, ill: str = "") -> None:
        self.served: list[str] = []
        self._folder = folder
        self._ill = ill

    @contextlib.contextmanager
    def __call__(self, bundle: Path) -> Iterator[RunningServer]:
        self.served.append(bundle.name)
        flags = ("--fault", "unavailable", "--faulty-bundle", self._ill) if self._ill else ()
        with in_memory_server(self._folder, *flags, bundle=bundle) as server:
            yield RunningServer(server.address, server.process.pid)


def request(bundles: tuple[Path, ...], data: Path, output: Path | None = None) -> Request:
    return Request(
        bundles=bundles,
        reference=None,
        source=Source("test", folder=data),
        in_flight=IN_FLIGHT,
        losses=(0.05,),
        costs=None,
        output=output,
        write=False,
    )


def test_answers_come_in_order_and_never_more_calls_are_under_way_than_asked_for(tmp_path: Path, data: Path) -> None:
    texts = [row["text"] for row in read_rows(data / "test.jsonl")][:120]
    intents = [intent.name for intent in read_manifest(BUNDLE).label_set.intents]
    advanced = []

    def asked(address: str, in_flight: int) -> Asked:
        return asyncio.run(ask(address, texts, intents, in_flight, lambda: advanced.append(1)))

    with Servers(tmp_path)(BUNDLE) as server:
        many, one = asked(server.address, 32), asked(server.address, 1)
        assert tree_memory(server.pid) > 10 * 2**20
    assert len(advanced) == 2 * len(texts)
    for found, in_flight in ((many, 32), (one, 1)):
        assert len(found.answers) == len(found.latencies) == len(texts)
        assert found.latencies.min() > 0
        assert found.latencies.sum() <= found.seconds * in_flight
    assert many.answers.intents.tolist() == one.answers.intents.tolist()
    assert len(set(one.answers.intents.tolist())) > 10
    assert np.allclose(many.answers.confidences, one.answers.confidences)
    assert np.allclose(one.answers.out_of_scope, 1 - one.answers.confidences, atol=1e-6)
    assert tree_memory(server.pid) == 0


def test_bundles_stand_side_by_side(tmp_path: Path, data: Path, bundles: tuple[Path, Path]) -> None:
    servers = Servers(tmp_path)
    asked = replace(request(bundles, data), reference=bundles[1], write=True)
    before = [read_manifest(bundle).revision for bundle in bundles]
    results = evaluate(asked, ServerAnswering(servers, "auto", IN_FLIGHT), Console(quiet=True))
    assert servers.served == ["other", "same"]
    assert results.reference == "other"
    assert (results.in_scope_rows, results.out_of_scope_rows) == (150 * EACH, OUTSIDE)
    reference, other = results.bundles
    assert (reference.name, reference.comparison, other.name) == ("other", None, "same")
    assert other.comparison is not None
    # Both engines answer at random, of 150 intents.
    assert other.comparison.agreement < 0.1
    right = round(reference.quality.accuracy * 150 * EACH), round(other.quality.accuracy * 150 * EACH)
    assert other.comparison.only_reference_right - other.comparison.only_this_right == right[0] - right[1]
    for bundle, folder in zip(results.bundles, bundles[::-1], strict=True):
        assert bundle.performance is not None
        assert bundle.performance.calls == 150 * EACH + OUTSIDE
        assert bundle.performance.p50_ms <= bundle.performance.p99_ms
        assert (bundle.performance.peak_memory_bytes or 0) > 10 * 2**20
        assert bundle.bytes_on_disk >= sum(file.size for file in read_manifest(folder).files)
    assert [read_manifest(bundle).revision for bundle in bundles] == before
    written = read_manifest(bundles[0]).evaluations[-1]
    assert written.agreement == pytest.approx(other.comparison.agreement)
    assert written.reference.startswith(f"other {before[1][:12]}")


def test_an_evaluation_goes_on_with_the_bundle_that_failed(
    tmp_path: Path, data: Path, bundles: tuple[Path, Path]
) -> None:
    kept = tmp_path / "kept"
    asked = request(bundles, data, kept)
    first = Servers(tmp_path, ill="other")
    with pytest.raises(BuildError, match=r"^other: .*UNAVAILABLE") as failed:
        evaluate(asked, ServerAnswering(first, "auto", IN_FLIGHT), Console(quiet=True))
    assert first.served == ["same", "other"]
    texts = {row["text"] for name in ("test", "oos_test") for row in read_rows(data / f"{name}.jsonl")}
    assert not any(text in str(failed.value) for text in texts)
    again, at_once = Servers(tmp_path), Servers(tmp_path)
    results = evaluate(asked, ServerAnswering(again, "auto", IN_FLIGHT), Console(quiet=True))
    assert again.served == ["other"]
    assert evaluate(asked, ServerAnswering(at_once, "auto", IN_FLIGHT), Console(quiet=True)) == results
    assert at_once.served == []
    for path in kept.glob("*/answers.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [row["row"] for row in rows] == list(range(150 * EACH + OUTSIDE))
        assert all(set(row) == {"row", "prediction", "confidence", "out_of_scope_confidence"} for row in rows)
    assert len(list(kept.iterdir())) == 2


def test_bundles_of_other_intents_cannot_stand_side_by_side(data: Path, bundles: tuple[Path, Path]) -> None:
    chinese = BUNDLE.with_name("mini-massive-zh")
    with pytest.raises(BuildError, match="cannot stand side by side: their intents differ"):
        evaluate(
            replace(request((BUNDLE, chinese), data), source=Source("test")),
            ServerAnswering(Servers(data), "auto", IN_FLIGHT),
            Console(quiet=True),
        )
    with pytest.raises(BuildError, match="named twice"):
        evaluate(
            request((bundles[0], bundles[0]), data),
            ServerAnswering(Servers(data), "auto", IN_FLIGHT),
            Console(quiet=True),
        )


def test_the_command_ends_with_1_where_a_bundle_fails_the_gate(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = copy_bundle(BUNDLE, tmp_path / "good"), copy_bundle(BUNDLE, tmp_path / "bad")
    weights = load_file(bad / "model.safetensors")
    weights["score.weight"] = weights["score.weight"].roll(1, dims=0).contiguous()  # each intent is taken for the next
    save_file(weights, bad / "model.safetensors", {"format": "pt"})
    costs = tmp_path / "costs.json"
    costs.write_text('{"default": 2, "costs": {}}')
    arguments = ["evaluate", str(good), str(bad), "--engine", "transformers", "--data", str(data)]
    arguments += ["--costs", str(costs), "--report", str(tmp_path / "report.html"), "--output", str(tmp_path / "kept")]
    assert main([*arguments, "--gate-macro-f1", "100"]) == 1
    said = capsys.readouterr()
    [line] = said.err.splitlines()
    assert line.startswith("intently-build: bad fails the gate on accuracy: ")
    assert "bad, worst hit: " in said.out
    content = json.loads((tmp_path / "report.json").read_text())
    assert [bundle["name"] for bundle in content["bundles"]] == ["good", "bad"]
    assert content["bundles"][0]["quality"]["accuracy"] > 0.85
    assert 1.5 < content["bundles"][1]["quality"]["mean_cost"] <= 2
    assert main([*arguments, "--gate-macro-f1", "100", "--gate-accuracy", "100"]) == 0
    assert "good: answers kept from before" in capsys.readouterr().out


@pytest.mark.engine
def test_no_server_outlives_an_evaluation_that_is_told_to_end(tmp_path: Path, data: Path) -> None:
    command = [sys.executable, "-m", "intently_build.cli", "evaluate", str(BUNDLE), "--data", str(data)]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen([*command, "--output", str(tmp_path / "kept")], stdout=said, stderr=said)
    try:
        give_up = time.monotonic() + 60
        while not (below := descendants(process.pid)):
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < give_up
            time.sleep(0.05)
        process.terminate()
        assert process.wait(90) == 130
    finally:
        process.kill()
    assert not any(each.is_running() for each in below)
    assert not (tmp_path / "kept").exists()
    assert (tmp_path / "said").read_text().split("\n")[-2:] == ["intently-build: stopped; run it again to go on", ""]
