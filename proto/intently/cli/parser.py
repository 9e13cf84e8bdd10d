"""The commands and their arguments."""

import argparse
from collections.abc import Sequence

from intently.answers import Role, Turn
from intently.cli import calls, stream
from intently.cli.connection import connection_options


def parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for these arguments: those of a command that costs time to know are made only if it is named."""
    common = connection_options()
    top = argparse.ArgumentParser(prog="intently", description="Ask an Intently server what a user wants.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
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
    _add_item_options(classify)
    classify.set_defaults(command=calls.classify, repeatable=True)
    _add_stream(commands.add_parser("stream", parents=[common], help="the intents of lines from standard input"))
    models = commands.add_parser("models", parents=[common], help="what the server serves")
    models.set_defaults(command=calls.models, repeatable=True)
    intents = commands.add_parser("intents", parents=[common], help="the intents of a model")
    intents.add_argument("model", nargs="?", metavar="MODEL", help="its name (default: the first that is served)")
    intents.set_defaults(command=calls.intents, repeatable=True)
    bench = commands.add_parser("bench", help="load for a server, and how long its answers take")
    if list(arguments[:1]) == ["bench"]:
        from intently.bench import command as load

        load.add_arguments(bench)
        bench.set_defaults(command=None, run=load.run)
    return top


def _add_item_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--top-k", type=int, metavar="N", help="predictions to show at most (default: the server's)")
    parser.add_argument(
        "--candidate", action="append", default=[], metavar="INTENT", help="an intent that makes sense; may be repeated"
    )
    parser.add_argument("--min-confidence", type=float, metavar="P", help="leave out predictions below P, 0 to 1")
    parser.add_argument("--allow-truncation", action="store_true", help="cut an input that is too long")


def _add_stream(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Classifies each line of standard input as it comes, on one stream that outlives restarts of the server. "
        "Prints a line for each: its number, the outcome, and the likeliest intent. Ends when input has ended and all "
        "is answered; exits with 1 if any line was not."
    )
    parser.add_argument("--ordered", action="store_true", help="print results in the order of the lines")
    parser.add_argument(
        "--accumulate-context",
        action="store_true",
        help="each line is a user's turn of one conversation, context to those after it; implies --ordered",
    )
    parser.add_argument(
        "--max-in-flight", type=int, default=0, metavar="N", help="lines under way at once (default: the server's)"
    )
    _add_item_options(parser)
    parser.set_defaults(command=stream.stream, repeatable=False)


def _turn(value: str) -> Turn:
    role, colon, text = value.partition(":")
    name = role.strip().upper()
    if not colon or name not in Role.__members__:
        raise argparse.ArgumentTypeError(f'{value!r} does not begin with "user:" or "assistant:"')
    return Turn(Role[name], text.strip())
