"""The command `intently-build synth`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Makes a bundle of a published shape with random weights, to measure speed and memory with."
    parser = commands.add_parser("synth", help=about, description=f"{about} Its answers mean nothing.")
    parser.add_argument("--shape", required=True, metavar="NAME", help="such as qwen2.5-7b, 7b, or toy")
    parser.add_argument("--layers", type=int, metavar="N", help="so many of its layers (default: all)")
    parser.add_argument("--labels", type=int, default=100, metavar="N", help="rows of the head (default: %(default)s)")
    parser.add_argument(
        "--quant",
        default="bf16",
        choices=("bf16", "fp8", "int8", "gptq-int4", "awq"),
        dest="form",
        help="how the weights are stored; rounded to the nearest, in the layout of the tools (default: %(default)s)",
    )
    parser.add_argument(
        "--group-size", type=int, default=128, metavar="N", help="weights to a scale in 4 bits (default: %(default)s)"
    )
    parser.add_argument(
        "--prefix-tokens",
        type=int,
        default=600,
        metavar="N",
        help="tokens that all prompts begin with, exactly (default: %(default)s)",
    )
    parser.add_argument(
        "--max-tokens", type=int, metavar="N", help="of a whole prompt (default: those of the prefix and 1,024)"
    )
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FOLDER",
        help="one with tokenizer.json (default: a small one of English words)",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the bundle")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to make the weights (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and prompt (default: %(default)s)")
    parser.add_argument("--replace", action="store_true", help="write over a folder that is there")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.synth.synth import Request, synth

    request = Request(
        shape=parsed.shape,
        layers=parsed.layers,
        labels=parsed.labels,
        prefix_tokens=parsed.prefix_tokens,
        max_tokens=parsed.max_tokens,
        form=parsed.form,
        group_size=parsed.group_size,
        tokenizer=parsed.tokenizer,
        output=parsed.output,
        device=parsed.device,
        seed=parsed.seed,
        replace=parsed.replace,
    )
    synth(request, Console())
