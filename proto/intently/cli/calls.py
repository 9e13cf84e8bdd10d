"""The commands that make one call and print its answer: classify, models, intents. Each returns the exit code."""

import argparse
import json
import sys

from intently.answers import Classification
from intently.cli.as_json import as_dict, as_json
from intently.client import IntentClient


async def classify(client: IntentClient, options: argparse.Namespace) -> int:
    """Prints the intent of an utterance."""
    answer = await client.classify(
        options.text,
        context=options.context,
        top_k=options.top_k,
        candidate_intents=options.candidate,
        min_confidence=options.min_confidence,
        allow_truncation=options.allow_truncation,
    )
    return _print(as_json(answer.message) if options.json else _page(answer))


async def models(client: IntentClient, options: argparse.Namespace) -> int:
    """Prints what the server serves."""
    found = await client.list_models()
    if options.json:
        return _print(json.dumps([as_dict(model) for model in found], indent=2, ensure_ascii=False))
    return _print(
        "\n".join(
            f"{model.name}  revision {model.revision[:12]}  {model.intent_count} intents"
            f"  label set {model.label_set_version}  labels: {', '.join(model.labels) or 'none'}"
            for model in found
        )
    )


async def intents(client: IntentClient, options: argparse.Namespace) -> int:
    """Prints the intents of a model."""
    name = options.model or (await client.list_models())[0].name
    found = await client.list_intents(name if name.startswith("models/") else f"models/{name}")
    if options.json:
        return _print(json.dumps([as_dict(intent) for intent in found], indent=2, ensure_ascii=False))
    width = max(len(intent.name) for intent in found)
    return _print("\n".join(f"{intent.name:<{width}}  {intent.description}" for intent in found))


def _page(answer: Classification) -> str:
    message = answer.message
    inference_ms = message.timing.inference.ToNanoseconds() / 1e6
    return "\n".join(
        [
            answer.outcome.name.replace("_", " "),
            *(f"  {prediction.confidence:7.2%}  {prediction.intent}" for prediction in answer.predictions),
            f"out of scope {answer.out_of_scope_confidence:.2%} · {message.model.model} "
            f"{message.model.revision[:12]} · {inference_ms:.1f} ms inference · "
            f"{message.cached_tokens} of {message.input_tokens} tokens cached",
        ]
    )


def _print(text: str) -> int:
    sys.stdout.write(f"{text}\n")
    return 0
