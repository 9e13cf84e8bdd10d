"""The server on a GPU answers as the bundle says, uses the prefix cache, and ends as it should."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from intently.v1 import intent_service_pb2 as pb
from intently.v1 import intent_service_pb2_grpc as pb_grpc
from intently_server.bundle import Bundle
from intently_server.calibration import probabilities
from support.paths import CLINC150

pytestmark = pytest.mark.gpu

CALLS_IN_FLIGHT = 128


def classify_all(address: str, texts: list[str], top_k: int) -> list[pb.ClassifyResponse]:
    """Answers to all texts, in order, through gRPC."""

    async def run() -> list[pb.ClassifyResponse]:
        room = asyncio.Semaphore(CALLS_IN_FLIGHT)
        async with grpc.aio.insecure_channel(address) as channel:
            stub = pb_grpc.IntentServiceStub(channel)

            async def one(text: str) -> pb.ClassifyResponse:
                async with room:
                    return await stub.Classify(pb.ClassifyRequest(text=text, top_k=top_k))

            return await asyncio.gather(*map(one, texts))

    return asyncio.run(run())


def test_answers_and_end(start_server: Callable[..., Any], bundle: Bundle, bundle_path: Path) -> None:
    process, address = start_server()
    rows = [json.loads(line) for line in (CLINC150 / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    started = time.monotonic()
    answers = classify_all(address, [row["text"] for row in rows], top_k=len(bundle.model.intents))
    seconds = time.monotonic() - started

    right = [answer.predictions[0].intent == row["intent"] for answer, row in zip(answers, rows, strict=True)]
    evaluation = next(e for e in bundle.manifest.evaluations if e.split == "test")
    print(f"accuracy {np.mean(right):.4f}, manifest {evaluation.accuracy:.4f}, {len(rows) / seconds:.0f} calls/s")  # noqa: T201
    assert abs(float(np.mean(right)) - evaluation.accuracy) <= 0.002
    assert all(answer.cached_tokens >= 128 for answer in answers[-100:])

    difference = greatest_difference(bundle, bundle_path, rows[:64], answers[:64])
    print(f"greatest difference from transformers in float32: {difference:.2e}")  # noqa: T201
    assert difference <= 2e-2

    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0


def greatest_difference(
    bundle: Bundle, path: Path, rows: list[dict[str, str]], answers: list[pb.ClassifyResponse]
) -> float:
    """Between served probabilities and those of transformers in float32 on the same checkpoint."""
    model = bundle.model
    reference = AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32).eval()
    greatest = 0.0
    for row, answer in zip(rows, answers, strict=True):
        ids = torch.tensor([bundle.encoder.encode(row["text"]).token_ids])
        with torch.inference_mode():
            logits = reference(ids).logits[0].numpy()
        expected = dict(zip(model.intents, probabilities(logits, model.calibration.temperature), strict=False))
        served = {prediction.intent: prediction.confidence for prediction in answer.predictions}
        greatest = max(greatest, *(abs(expected[intent] - served[intent]) for intent in served))
    return greatest


def test_a_killed_server_leaves_no_engine_behind(start_server: Callable[..., Any]) -> None:
    process, _ = start_server("--enforce-eager")
    children = psutil.Process(process.pid).children(recursive=True)

    process.kill()

    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_the_end_of_the_engine_ends_the_server(start_server: Callable[..., Any]) -> None:
    process, _ = start_server("--enforce-eager")
    children = psutil.Process(process.pid).children(recursive=True)
    core = next(
        child for child in children if "EngineCore" in " ".join(child.cmdline()) or "EngineCore" in child.name()
    )
    core.kill()
    assert process.wait(timeout=2) == 1
