"""The load generator against what is no Intently server: vLLM's /classify over HTTP, and objects of Python."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from intently.bench import command
from intently.bench.exit_code import FAILED
from support.paths import BUNDLE, ROOT
from support.vllm_classify import VllmClassify, response, vllm_classify

pytestmark = pytest.mark.timeout(60)


class Bench:
    """Runs the command in a thread, so that what serves in the test goes on."""

    def __init__(self, folder: Path) -> None:
        self._report = folder / "report.json"

    async def run(self, address: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the report."""
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        options = ["--address", address, "--json", str(self._report), "--allow-limited", *arguments]
        code = await asyncio.to_thread(command.run, parser.parse_args(options))
        return code, json.loads(self._report.read_text(encoding="utf-8"))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The command, run where targets in Python are found."""
    monkeypatch.chdir(ROOT / "tests")
    return Bench(tmp_path)


@pytest.fixture
async def peer() -> AsyncIterator[VllmClassify]:
    """A server with vLLM's /classify."""
    async with vllm_classify() as served:
        yield served


def statuses(report: dict[str, Any]) -> dict[str, int]:
    return {each["status"]: each["utterances"] for each in report["total"]["by_status"]}


async def test_text_is_sent_in_the_prompt_of_the_bundle(peer: VllmClassify, bench: Bench, tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    said.write_text("wake me up\n", encoding="utf-8")
    prompt = json.loads((BUNDLE / "bundle.json").read_text(encoding="utf-8"))["prompt"]

    code, report = await bench.run(
        *(peer.url, "--requests", "20", "--concurrency", "4", "--processes", "2", "--utterances", str(said)),
        *("--bundle", str(BUNDLE), "--model", "mine", "--metadata", "x-key=value"),
    )

    assert code == 0
    assert statuses(report) == {"OK": 20}
    assert len(peer.bodies) == 22  # each process asks once when it connects
    whole = prompt["prefix"] + prompt.get("utterance_open", "") + "wake me up" + prompt["suffix"]
    assert all(body == {"model": "mine", "input": whole} for body in peer.bodies)
    assert all(headers["x-key"] == "value" for headers in peer.headers)
    assert report["targets"] == [{"address": peer.url, "speaks": "HTTP"}]


@pytest.mark.parametrize("batch", [False, True])
async def test_token_ids_go_before_text(peer: VllmClassify, bench: Bench, tmp_path: Path, batch: bool) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a", "token_ids": [1, 2]}\n{"text": "b", "token_ids": [3]}\n', encoding="utf-8")
    shape = ("--shape", "batch", "--batch-size", "2") if batch else ()

    code, report = await bench.run(peer.url, "--requests", "10", "--rate", "200", "--utterances", str(rows), *shape)

    assert code == 0
    assert statuses(report) == {"OK": 20 if batch else 10}
    assert report["options"]["by_token_ids"]
    assert all(sorted(each) == [[1, 2], [3]] if batch else each in ([1, 2], [3]) for each in peer.inputs)


async def test_a_server_that_is_not_ready_is_waited_for_and_failures_are_counted(
    peer: VllmClassify, bench: Bench
) -> None:
    peer.status = lambda number: 503 if number < 3 else 500 if number > 13 else 200

    code, report = await bench.run(peer.url, "--requests", "20", "--concurrency", "1")

    assert code == 0
    assert statuses(report) == {"OK": 10, "HTTP_500": 10}
    assert report["total"]["latency"]["count"] == report["total"]["failed_latency"]["count"] == 10


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (400, response, "refuses: FAILED_PRECONDITION: HTTP status 400 to /classify"),
        (401, response, "refuses: UNAUTHENTICATED: HTTP status 401 to /classify"),
        (200, lambda _: {"data": [{"embedding": [0.1]}]}, "what answers to /classify is no classification"),
    ],
)
async def test_what_is_no_classifier_is_told(
    peer: VllmClassify, bench: Bench, capfd: pytest.CaptureFixture[str], status: int, answer: Any, said: str
) -> None:
    peer.status, peer.answer = lambda _: status, answer
    code, report = await bench.run(peer.url, "--requests", "2", "--concurrency", "1")
    assert code == FAILED
    [failure] = report["failures"]
    assert said in failure
    assert capfd.readouterr().err == ""


async def test_an_object_of_python_is_a_target_in_one_process(bench: Bench) -> None:
    code, report = await bench.run(
        "python:support.queue_target:Queue?per_s=1000", "--requests", "30", "--concurrency", "4", "--processes", "2"
    )
    assert code == 0
    assert statuses(report) == {"OK": 30}
    assert [each["sent"] for each in report["processes"]] == [30]
    assert report["targets"][0]["speaks"] == "Python"


async def test_a_target_that_is_not_there_is_told(bench: Bench) -> None:
    code, report = await bench.run("python:support.queue_target:Nobody", "--requests", "2")
    assert code == FAILED
    assert "NOT_FOUND" in report["failures"][0]
