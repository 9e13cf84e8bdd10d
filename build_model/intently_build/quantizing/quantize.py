"""`intently-build quantize`: checks, runs the tool, checks what it wrote, and only then puts it in place."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from intently_build.errors import BuildError
from intently_build.quantizing.artifact import Artifact, check_artifact
from intently_build.quantizing.calibration_rows import choose, read_texts, without_test_rows
from intently_build.quantizing.checkpoint import Checkpoint, read_checkpoint
from intently_build.quantizing.environment import Environments, here
from intently_build.quantizing.formats import Format, find_format
from intently_build.quantizing.job import Job
from intently_build.quantizing.outcome import Identity, assemble, made_from, prompts_sha256, source_sha256
from intently_build.quantizing.preflight import check_disk, check_group, check_weights, cpu_warnings
from intently_build.quantizing.prompts import Layout, token_ids
from intently_build.quantizing.tool_process import run_tool
from intently_build.quantizing.worker import TOOLS
from intently_build.steps.disk import disk_errors
from intently_build.steps.perform import partial_folder, put_in_place

DEFAULT_SAMPLES = 128


@dataclass(frozen=True)
class Request:
    """What to quantize, to what, and with which rows.

    Attributes:
      checkpoint: folder of a classifier or a causal model.
      form: name of the format.
      output: folder to write.
      calibration: JSON Lines with the rows that the tool looks at; None where the format needs none.
      tests: JSON Lines with the rows that these must not be.
      leave_out_test: whether calibration rows that are test rows too are left out rather than refused.
      layout: how a row becomes a prompt.
      group_size: weights that share a scale, where the format has groups.
      samples: how many rows.
      seed: chooses the rows, and seeds the tool.
      replace: whether to write over a folder that is there.
      log: file for what the tool says, which stays if it fails; None for one beside the output.
    """

    checkpoint: Path
    form: str
    output: Path
    calibration: Path | None
    tests: tuple[Path, ...]
    leave_out_test: bool
    layout: Layout
    group_size: int = 128
    samples: int = DEFAULT_SAMPLES
    seed: int = 0
    replace: bool = False
    log: Path | None = None


def quantize(request: Request, console: Console, environments: Environments | None = None) -> Artifact | None:
    """Writes the quantized checkpoint. Returns what it found in it, or None if the very same lay there already.

    Raises BuildError if a check fails, the tool is not installed or fails, or another folder is in the way; then
    nothing is left at `output`.
    """
    form = find_format(request.form)
    source = read_checkpoint(request.checkpoint)
    check_weights(source)
    check_group(form, request.group_size, source.linears)
    prompts = _prompts(request, form)
    identity = _identity(request, form, source, prompts)
    if _lies_there(request, identity, console):
        return None
    warnings = cpu_warnings(form, source.linears)
    if prompts and not request.tests:
        warnings.append("no test rows to keep out of the calibration: --test or --recipe names them")
    for warning in warnings:
        console.print(f"warning: {warning}", highlight=False, soft_wrap=True)
    needed = check_disk(source, form, request.group_size, request.output)
    python = (environments or here()).python_with(form.tool)
    console.print(f"{form.name} by {form.tool}; needs up to {needed / 1e6:,.0f} MB of disk", highlight=False)
    partial = partial_folder(request.output.absolute())
    try:
        with disk_errors(request.output):
            log = request.log or partial.with_name(f"{request.output.name}.quantize.log")
            found = _into(partial, log, python, source, form, identity, prompts, console)
            put_in_place(partial / "result", request.output.absolute())
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    console.print(
        f"{found.linears} Linear layers in {form.name}, {found.size_before / 1e6:.2f} MB of weights "
        f"before, {found.size / 1e6:.2f} MB now; vLLM serves it on: {form.served}",
        highlight=False,
        soft_wrap=True,
    )
    return found


def _prompts(request: Request, form: Format) -> tuple[tuple[int, ...], ...]:
    if not form.calibrated:
        return ()
    if request.calibration is None:
        raise BuildError(f"--to {form.name} looks at rows while it quantizes: give --calibration ROWS.jsonl")
    texts = read_texts(request.calibration)
    kept = without_test_rows(texts, request.calibration, request.tests, request.leave_out_test)
    chosen = choose(kept, request.samples, request.seed, request.calibration)
    return token_ids(request.checkpoint, request.layout, chosen)


def _identity(request: Request, form: Format, source: Checkpoint, prompts: tuple[tuple[int, ...], ...]) -> Identity:
    return Identity(
        form=form.name,
        group_size=form.group(request.group_size),
        seed=request.seed,
        samples=len(prompts),
        calibration_sha256=prompts_sha256(prompts),
        source_sha256=source_sha256(source),
    )


def _lies_there(request: Request, identity: Identity, console: Console) -> bool:
    if not request.output.exists() or request.replace:
        return False
    if made_from(request.output) == identity:
        console.print(f"{request.output}: lies there already, made from the same", highlight=False, soft_wrap=True)
        return True
    raise BuildError(f"{request.output}: exists; give --replace to write it anew")


def _into(
    partial: Path,
    log: Path,
    python: Path,
    source: Checkpoint,
    form: Format,
    identity: Identity,
    prompts: tuple[tuple[int, ...], ...],
    console: Console,
) -> Artifact:
    """Leaves the checked checkpoint in `partial`/result."""
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was interrupted
    scratch, raw, result = partial / "scratch", partial / "raw", partial / "result"
    scratch.mkdir(parents=True)
    log.parent.mkdir(exist_ok=True)
    job = Job(form.name, source.folder.absolute(), raw, scratch, identity.group_size, identity.seed, prompts)
    run_tool(python, job, log, console)
    log.unlink()
    assemble(raw, source, identity, json.loads((scratch / TOOLS).read_text()), result)
    return check_artifact(result, source, form, identity.group_size)
