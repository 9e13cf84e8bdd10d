"""The command `intently-build quantize`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands
from intently_build.errors import BuildError
from intently_build.gguf_export.gguf_type import GGUF_TYPES
from intently_build.quantizing.formats import FORMATS

GGUF = "gguf"
PROOF_ROWS = 256


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Quantizes the decoder of a checkpoint; the head stays in bfloat16."
    parser = commands.add_parser("quantize", help=about, description=about)
    parser.add_argument("checkpoint", type=Path, help="folder of a classifier or a causal model; a bundle is one too")
    parser.add_argument("--to", required=True, choices=(*FORMATS, GGUF), dest="form", help="the format")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="ROWS",
        help="JSON Lines with in-domain rows, which the tool looks at; fp8 and bnb-int8 need none",
    )
    parser.add_argument(
        "--test",
        type=Path,
        action="append",
        metavar="ROWS",
        help="JSON Lines whose rows must not be among these; may be given again (the recipe's test rows always are, "
        "and of a bundle those of its own recipe where they can be found)",
    )
    parser.add_argument(
        "--leave-out-test", action="store_true", help="go on without the calibration rows that are test rows too"
    )
    parser.add_argument(
        "--recipe",
        type=Path,
        help="the recipe whose prompt the rows are laid out in (default: the prompt of the checkpoint's bundle.json, "
        "else the text alone)",
    )
    parser.add_argument(
        "--group-size",
        type=int,
        default=128,
        metavar="N",
        help="weights that share a scale in the 4-bit formats (default: %(default)s)",
    )
    parser.add_argument("--samples", type=int, default=128, metavar="N", help="rows to look at (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="chooses the rows and seeds the tool (default: %(default)s)"
    )
    _add_gguf(parser)
    parser.add_argument("--replace", action="store_true", help="write over a folder that is there")
    parser.set_defaults(command=_run)


def _add_gguf(parser: argparse.ArgumentParser) -> None:
    gguf = parser.add_argument_group(
        "--to gguf",
        "One file for llama.cpp, and a Modelfile for Ollama, whose one-token answer is the label's code token. "
        "Prompt and labels are those of --recipe, or of the bundle.",
    )
    gguf.add_argument(
        "--gguf-type", type=str.lower, choices=GGUF_TYPES, help="how its matrices are stored (default: q8_0)"
    )
    gguf.add_argument(
        "--proof-rows",
        type=int,
        metavar="N",
        help="validation rows on which llama.cpp must agree with transformers; 0 leaves the proof out "
        f"(default: {PROOF_ROWS})",
    )


def _run(parsed: argparse.Namespace) -> None:
    if parsed.form == GGUF:
        _export(parsed)
        return
    if parsed.gguf_type is not None or parsed.proof_rows is not None:
        raise BuildError(f"--gguf-type and --proof-rows belong to --to gguf, not to --to {parsed.form}")
    _quantize(parsed)


def _export(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.gguf_export.classification import read_classification
    from intently_build.gguf_export.export import Request, export
    from intently_build.gguf_export.gguf_type import find_type

    if parsed.calibration or parsed.test:
        raise BuildError("--to gguf looks at no rows while it quantizes: leave --calibration and --test out")
    rows = PROOF_ROWS if parsed.proof_rows is None else parsed.proof_rows
    if rows < 0:
        raise BuildError(f"--proof-rows {rows}: must not be negative")
    request = Request(
        checkpoint=parsed.checkpoint,
        stored=find_type(parsed.gguf_type or "q8_0"),
        task=read_classification(parsed.checkpoint, parsed.recipe, rows),
        output=parsed.output,
        replace=parsed.replace,
    )
    export(request, Console())


def _quantize(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.bundles.manifest import MANIFEST, manifest_layout, read_manifest
    from intently_build.evaluation.dataset import own_files
    from intently_build.layout import prompt_layout
    from intently_build.quantizing.calibration_rows import check_not_measured_on
    from intently_build.quantizing.quantize import Request, quantize
    from intently_build.recipe import load_recipe
    from intently_build.rows import split_files

    if parsed.samples < 1:
        raise BuildError(f"--samples {parsed.samples}: must be at least 1")
    layout, tests = None, list(parsed.test or ())
    if (parsed.checkpoint / MANIFEST).exists():
        manifest = read_manifest(parsed.checkpoint)
        layout = manifest_layout(manifest.prompt)
        tests += own_files(parsed.checkpoint, manifest, "test")
        if parsed.calibration:
            check_not_measured_on(manifest, parsed.calibration)
    if parsed.recipe:
        recipe, _ = load_recipe(parsed.recipe)
        layout = prompt_layout(recipe.prompt)
        if recipe.data.test:
            tests += split_files(parsed.recipe.parent / recipe.data.folder, recipe.data, "test")
    request = Request(
        checkpoint=parsed.checkpoint,
        form=parsed.form,
        output=parsed.output,
        calibration=parsed.calibration,
        tests=tuple(tests),
        leave_out_test=parsed.leave_out_test,
        layout=layout,
        group_size=parsed.group_size,
        samples=parsed.samples,
        seed=parsed.seed,
        replace=parsed.replace,
    )
    quantize(request, Console())
