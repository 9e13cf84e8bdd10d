"""The reference for probabilities: transformers on the same checkpoint, one unpadded prompt at a time."""

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from intently_server.calibration import probabilities
from intently_server.types import Query


class Reference:
    """Computes calibrated probabilities of a bundle with transformers in float32, each prompt once.

    Args:
        bundle: Whose checkpoint and calibration.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._model = AutoModelForSequenceClassification.from_pretrained(bundle.path, dtype=torch.float32).eval()
        self._known: dict[Query, dict[str, float]] = {}

    def probabilities(self, query: Query) -> dict[str, float]:
        """Probability of each intent."""
        if query not in self._known:
            with _one_thread():
                self._known[query] = self._compute(query)
        return self._known[query]

    def _compute(self, query: Query) -> dict[str, float]:
        ids = torch.tensor([self._bundle.encoder.encode_query(query).token_ids])
        with torch.inference_mode():
            logits = self._model(ids).logits[0].float().numpy()
        model = self._bundle.model
        full = probabilities(logits, model.calibration.temperature)
        return dict(zip(model.intents, full.tolist(), strict=False))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads would wait for each other while an engine has the other cores: ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def greatest_difference(answer: pb.ClassifyResponse, expected: Mapping[str, float]) -> float:
    """Between an answer that names all intents and what was expected of each."""
    served = {prediction.intent: prediction.confidence for prediction in answer.predictions}
    assert set(served) == set(expected)
    return float(np.abs([served[intent] - expected[intent] for intent in expected]).max())
