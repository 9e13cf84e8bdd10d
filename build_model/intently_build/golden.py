"""Golden vectors: examples with their ids and probabilities, which a server recomputes when it starts."""

import numpy as np
from transformers import Qwen2ForSequenceClassification

from intently.v1 import bundle_pb2, intent_service_pb2
from intently_build.calibration import probabilities
from intently_build.prompt import PromptEncoder, Speaker, Turn
from intently_build.recipe import Example
from intently_build.reference import prompt_logits
from intently_build.rows import Labels

ROLES = {Speaker.USER: intent_service_pb2.ROLE_USER, Speaker.ASSISTANT: intent_service_pb2.ROLE_ASSISTANT}


def golden_vector(
    example: Example,
    classifier: Qwen2ForSequenceClassification,
    encoder: PromptEncoder,
    temperature: float,
    labels: Labels,
) -> bundle_pb2.GoldenVector:
    """Returns the example with what `classifier`, in float32, makes of it."""
    speakers = (Speaker.USER, Speaker.ASSISTANT)
    context = [Turn(speakers[place % 2], text) for place, text in enumerate(example.context)]
    ids = encoder.encode(example.text, context)
    answer = probabilities(prompt_logits(classifier, ids), temperature)
    return bundle_pb2.GoldenVector(
        text=example.text,
        context=[intent_service_pb2.Turn(role=ROLES[turn.speaker], text=turn.text) for turn in context],
        token_ids=ids,
        probabilities=answer.tolist(),
        intent=labels.intents[int(np.argmax(answer[: len(labels.intents)]))].name,
    )
