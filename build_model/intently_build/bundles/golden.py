"""Golden vectors: examples with their ids and probabilities, made when packaging and recomputed when verifying."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from intently.v1 import bundle_pb2, intent_service_pb2
from intently_build.bundles.fault import Fault
from intently_build.bundles.manifest import MANIFEST, manifest_layout
from intently_build.calibration import probabilities
from intently_build.errors import BuildError
from intently_build.prompt import PromptEncoder, Speaker, Turn
from intently_build.recipe import Example
from intently_build.rows import Labels

if TYPE_CHECKING:
    from transformers import Qwen2ForSequenceClassification

TOKENIZER = "tokenizer.json"
ROLES = {Speaker.USER: intent_service_pb2.ROLE_USER, Speaker.ASSISTANT: intent_service_pb2.ROLE_ASSISTANT}

# Of a probability, in float32 on both sides: what versions of torch and processors have been seen to differ by is 1e-6.
TOLERANCE = 1e-4


def golden_vector(
    example: Example,
    classifier: "Qwen2ForSequenceClassification",
    encoder: PromptEncoder,
    temperature: float,
    labels: Labels,
) -> bundle_pb2.GoldenVector:
    """Returns the example with what `classifier`, in float32, makes of it."""
    from intently_build.reference import prompt_logits

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


def token_faults(folder: Path, manifest: bundle_pb2.BundleManifest) -> Iterator[Fault]:
    """Yields the golden vectors whose prompts have other token ids now than when they were made."""
    try:
        encoder = PromptEncoder(folder / TOKENIZER, manifest_layout(manifest.prompt))
    except Exception as error:  # the library raises no narrower one
        yield Fault(TOKENIZER, f"is no tokenizer: {error}")
        return
    speakers = {role: speaker for speaker, role in ROLES.items()}
    for number, golden in enumerate(manifest.golden_vectors):
        if any(turn.role not in speakers for turn in golden.context):
            yield Fault(MANIFEST, f"golden vector {number} has a turn of nobody")
            continue
        context = [Turn(speakers[turn.role], turn.text) for turn in golden.context]
        ids = encoder.encode(golden.text, context)
        if ids != list(golden.token_ids):
            yield Fault(
                MANIFEST,
                f"golden vector {number} has other token ids now ({len(ids)}) than when it was packaged "
                f"({len(golden.token_ids)}): tokenizer or prompt differ",
            )
        elif len(ids) > manifest.limits.max_input_tokens:
            yield Fault(MANIFEST, f"golden vector {number} has {len(ids)} tokens, more than limits.max_input_tokens")


def probability_faults(folder: Path, manifest: bundle_pb2.BundleManifest) -> Iterator[Fault]:
    """Yields the golden vectors whose probabilities transformers does not give again in float32, on the CPU.

    Raises BuildError where torch, transformers, or what the bundle's quantization needs beside them is not installed.
    """
    try:
        from intently_build.reference import load_classifier, prompt_logits

        classifier = load_classifier(folder)
    except ImportError as error:
        raise BuildError(f"{folder}: --golden needs what is not installed here: {error}") from error
    except Exception as error:  # transformers raises many kinds for what it cannot load
        yield Fault("config.json", f"transformers does not load the checkpoint: {error}")
        return
    for number, golden in enumerate(manifest.golden_vectors):
        answer = probabilities(prompt_logits(classifier, golden.token_ids), manifest.calibration.temperature)
        difference = float(np.abs(answer - np.asarray(golden.probabilities)).max())
        if not difference <= TOLERANCE:
            yield Fault(
                MANIFEST,
                f"golden vector {number} has probabilities that differ by {difference:.2g} from those that "
                f"transformers computes, over {TOLERANCE:g}",
            )
