"""The command intently: ask a server from the shell."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from google.protobuf import json_format
from google.protobuf.message import Message

from intently.answers import Classification, Role, Turn
from intently.client import DEFAULT_TIMEOUT_S, IntentClient
from intently.errors import DeadlineExceededError, IntentlyError, UnavailableError

DEFAULT_ADDRESS = "127.0.0.1:50051"
FAILED, USAGE = 1, 2
_WAIT_STEP_S = 0.5

Command = Callable[[IntentClient, argparse.Namespace], Awaitable[str]]


def main() -> None:
    """Runs the command. Exit codes: 0 answered, 1 the call failed, 2 wrong usage."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs the command with these arguments and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        sys.stdout.write(f"{asyncio.run(_run(options))}\n")
    except IntentlyError as error:
        sys.stderr.write(f"intently: {_explain(error, options.address)}\n")
        return FAILED
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--address", default=DEFAULT_ADDRESS, help="HOST:PORT of the server (default: %(default)s)")
    common.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="deadline in seconds (default: %(default)s)",
    )
    common.add_argument(
        "--wait", type=float, default=0.0, metavar="S", help="wait up to S seconds for a server that is not ready"
    )
    common.add_argument("--json", action="store_true", help="print the whole response as JSON")
    parser = argparse.ArgumentParser(prog="intently", description="Ask an Intently server what a user wants.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    classify = commands.add_parser("classify", parents=[common], help="the intent of an utterance")
    classify.add_argument("text", metavar="TEXT", help="the utterance")
    classify.add_argument(
        "--context",
        action="append",
        default=[],
        type=_turn,
        metavar="ROLE:TEXT",
        help='a turn before it, "user: …" or "assistant: …"; repeat for more, oldest first',
    )
    classify.add_argument("--top-k", type=int, metavar="N", help="predictions to show at most (default: the server's)")
    classify.add_argument(
        "--candidate", action="append", default=[], metavar="INTENT", help="an intent that makes sense; may be repeated"
    )
    classify.add_argument("--min-confidence", type=float, metavar="P", help="leave out predictions below P, 0 to 1")
    classify.add_argument("--allow-truncation", action="store_true", help="cut an input that is too long")
    classify.set_defaults(command=_classify)
    models = commands.add_parser("models", parents=[common], help="what the server serves")
    models.set_defaults(command=_models)
    intents = commands.add_parser("intents", parents=[common], help="the intents of a model")
    intents.add_argument("model", nargs="?", metavar="MODEL", help="its name (default: the first that is served)")
    intents.set_defaults(command=_intents)
    return parser


def _turn(value: str) -> Turn:
    role, colon, text = value.partition(":")
    name = role.strip().upper()
    if not colon or name not in Role.__members__:
        raise argparse.ArgumentTypeError(f'{value!r} does not begin with "user:" or "assistant:"')
    return Turn(Role[name], text.strip())


async def _run(options: argparse.Namespace) -> str:
    command: Command = options.command
    give_up = time.monotonic() + options.wait
    async with IntentClient(options.address, timeout_s=options.timeout) as client:
        while True:
            try:
                return await command(client, options)
            except UnavailableError:
                if time.monotonic() + _WAIT_STEP_S > give_up:
                    raise
                await asyncio.sleep(_WAIT_STEP_S)


async def _classify(client: IntentClient, options: argparse.Namespace) -> str:
    answer = await client.classify(
        options.text,
        context=options.context,
        top_k=options.top_k,
        candidate_intents=options.candidate,
        min_confidence=options.min_confidence,
        allow_truncation=options.allow_truncation,
    )
    return _as_json(answer.message) if options.json else _page(answer)


async def _models(client: IntentClient, options: argparse.Namespace) -> str:
    models = await client.list_models()
    if options.json:
        return json.dumps([_as_dict(model) for model in models], indent=2, ensure_ascii=False)
    return "\n".join(
        f"{model.name}  revision {model.revision[:12]}  {model.intent_count} intents"
        f"  label set {model.label_set_version}  labels: {', '.join(model.labels) or 'none'}"
        for model in models
    )


async def _intents(client: IntentClient, options: argparse.Namespace) -> str:
    name = options.model or (await client.list_models())[0].name
    intents = await client.list_intents(name if name.startswith("models/") else f"models/{name}")
    if options.json:
        return json.dumps([_as_dict(intent) for intent in intents], indent=2, ensure_ascii=False)
    width = max(len(intent.name) for intent in intents)
    return "\n".join(f"{intent.name:<{width}}  {intent.description}" for intent in intents)


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


def _as_dict(message: Message) -> dict[str, object]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _as_json(message: Message) -> str:
    return json_format.MessageToJson(message, preserving_proto_field_name=True, ensure_ascii=False)


def _explain(error: IntentlyError, address: str) -> str:
    """What went wrong and what would help, in a line."""
    if isinstance(error, UnavailableError) and not error.reason:
        return f"no server answers at {address}: start one (make run), or name another with --address"
    if isinstance(error, UnavailableError):
        return f"the server at {address} is not ready: {error}; --wait 120 waits for it"
    if isinstance(error, DeadlineExceededError):
        return f"no answer from {address} in time: {error}; --timeout gives it longer"
    return str(error)
