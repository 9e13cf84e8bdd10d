"""`intently-build quantize --to gguf`: checks, writes, proves, and only then puts the folder in place."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from intently_build.errors import BuildError
from intently_build.gguf_export.agreement import Agreement, compare, reference
from intently_build.gguf_export.answers import Answers, read_answers
from intently_build.gguf_export.classification import Classification
from intently_build.gguf_export.gguf_type import GgufType
from intently_build.gguf_export.job import ExportJob, Task
from intently_build.gguf_export.modelfile import MODELFILE, modelfile, rendered
from intently_build.gguf_export.preflight import check_blocks, check_disk, check_model
from intently_build.gguf_export.record import lies_there, made_from, write_json, write_record
from intently_build.gguf_export.vocabulary import Vocabulary, read_vocabulary
from intently_build.gguf_export.worker import ANSWERS, TOOLS, WRITTEN
from intently_build.quantizing.checkpoint import Checkpoint, read_checkpoint
from intently_build.quantizing.environment import INSTALL, Environments, here
from intently_build.quantizing.tool_process import run_tool
from intently_build.steps.disk import disk_errors
from intently_build.steps.perform import put_in_place

LABELS = "labels.json"  # what each answer means: the token as it is printed, to the label
WORKER = "intently_build.gguf_export.worker"
BINDING = "llama-cpp-python==0.3.36"


@dataclass(frozen=True)
class Request:
    """What to export.

    Attributes:
      checkpoint: folder of a causal model, or of a classifier whose head was cut out of one.
      stored: the type.
      task: what it is asked; with no rows, nothing is proved.
      output: folder to write.
      replace: whether to write over a folder that is there.
    """

    checkpoint: Path
    stored: GgufType
    task: Classification
    output: Path
    replace: bool = False


@dataclass(frozen=True)
class _Export:
    """What the parts of an export share."""

    request: Request
    source: Checkpoint
    vocabulary: Vocabulary
    code_ids: tuple[int, ...]
    console: Console

    @property
    def weights(self) -> str:
        """The name of the GGUF file."""
        return f"{self.request.task.name}-{self.request.stored.name}.gguf"

    @property
    def context(self) -> int:
        """How many tokens a prompt and its answer may have."""
        return min(self.request.task.tokens + 1, int(self.source.config["max_position_embeddings"]))

    @property
    def modelfile(self) -> str:
        """The text of the Modelfile. Raises BuildError if the prompt cannot stand in one."""
        stop = self.vocabulary.tokens[self.vocabulary.end]
        return modelfile(self.weights, self.request.task.layout, stop, self.context)


def export(request: Request, console: Console, environments: Environments | None = None) -> Agreement | None:
    """Writes the folder. Returns how far llama.cpp agrees with the reference, or None if that was not asked.

    Raises BuildError if a check fails, a tool is not installed or fails, too few answers agree, or another folder is
    in the way; then nothing is left at `output`.
    """
    from intently_build.head_step import code_ids

    source = read_checkpoint(request.checkpoint)
    check_model(source, len(request.task.labels))
    check_blocks(source, request.stored)
    ids = tuple(code_ids(request.checkpoint / "tokenizer.json", request.task.codes))
    vocabulary = read_vocabulary(request.checkpoint, source.config, ids)
    work = _Export(request, source, vocabulary, ids, console)
    texts = [row.text for row in request.task.rows]
    identity = made_from(source, request.stored, [work.modelfile, _printed(work), ids], texts)
    if lies_there(request.output, work.weights, identity) and not request.replace:
        console.print(f"{request.output}: lies there already, made from the same", highlight=False, soft_wrap=True)
        return None
    if request.output.exists() and not request.replace:
        raise BuildError(f"{request.output}: exists; give --replace to write it anew")
    writes, answers = _pythons(request, environments or here())
    check_disk(source, request.stored, request.output)
    partial = request.output.absolute().parent / f".{request.output.name}.partial"
    try:
        with disk_errors(request.output):
            agreement = _into(partial, work, identity, writes, answers)
            put_in_place(partial / "result", request.output.absolute())
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _say(work, agreement)
    return agreement


def _pythons(request: Request, environments: Environments) -> tuple[Path, Path | None]:
    """Returns the Python that writes, and the one that answers if rows are to be answered. Raises BuildError."""
    binding = f"{INSTALL} && {environments.build}/bin/python -m pip install {BINDING}"
    whole = ("gguf", "llama_cpp") if request.stored.name not in ("f16", "q8_0") else ("gguf",)
    writes = environments.python_with(*whole, install=binding if len(whole) > 1 else INSTALL)
    if not request.task.rows:
        return writes, None
    try:
        return writes, environments.python_with("llama_cpp", install=binding)
    except BuildError as error:
        raise BuildError(f"{error}; --proof-rows 0 exports without the proof") from error


def _into(
    partial: Path, work: _Export, identity: dict[str, Any], writes: Path, answers: Path | None
) -> Agreement | None:
    """Leaves the checked folder in `partial`/result."""
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was interrupted
    scratch, result = partial / "scratch", partial / "result"
    scratch.mkdir(parents=True)
    result.mkdir()
    tools = _done(work, "write", partial, writes)
    agreement = None
    if answers is not None:
        tools |= _done(work, "answer", partial, answers)
        agreement = _agreement(work, read_answers(scratch / ANSWERS))
    error = json.loads((scratch / WRITTEN).read_text())
    write_record(result, work.weights, identity, tools, error, agreement.to_json() if agreement else None)
    write_json(result / LABELS, _printed(work))
    (result / MODELFILE).write_text(work.modelfile, encoding="utf-8")
    return agreement


def _done(work: _Export, task: Task, partial: Path, python: Path) -> dict[str, Any]:
    """Has a task done in a process of its own. Returns the versions of the tools that did it."""
    asked = work.request.task
    job = ExportJob(
        task=task,
        checkpoint=work.request.checkpoint.absolute(),
        output=partial / "result" / work.weights,
        scratch=partial / "scratch",
        gguf_type=work.request.stored.name,
        name=asked.name,
        code_ids=work.code_ids,
        prompts=tuple(rendered(asked.layout, row.text) for row in asked.rows) if task == "answer" else (),
        context=work.context,
    )
    log = partial.parent / f"{work.request.output.name}.gguf.log"
    run_tool(python, job, log, work.console, WORKER)
    log.unlink()
    return dict(json.loads((job.scratch / TOOLS).read_text()))


def _agreement(work: _Export, answers: Answers) -> Agreement:
    """Returns how far the answers agree with the reference's. Raises BuildError if too few do."""
    task, stored = work.request.task, work.request.stored
    if answers.printed != tuple(_printed(work)):
        raise BuildError(f"{work.weights}: llama.cpp prints other code tokens than the tokenizer")
    with work.console.status("the reference answers"):
        ids, logits = reference(work.source, task, work.code_ids)
    found = compare(ids, logits, answers, work.code_ids, [row.label for row in task.rows])
    if found.same_answers < stored.least_agreement * found.rows:
        raise BuildError(
            f"{work.weights}: llama.cpp answers {found.same_answers} of {found.rows} validation rows as the reference "
            f"does, and reads {found.same_tokens} as the same tokens; {stored.least_agreement:.0%} must agree"
        )
    return found


def _printed(work: _Export) -> dict[str, str]:
    """Returns what each answer means: the code token as it is printed, to the label."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(work.source.folder / "tokenizer.json"))
    texts = [tokenizer.decode([code], skip_special_tokens=False) for code in work.code_ids]
    return dict(zip(texts, work.request.task.labels, strict=True))


def _say(work: _Export, found: Agreement | None) -> None:
    output = work.request.output
    size = (output / work.weights).stat().st_size
    lines = [f"{output / work.weights}: {size / 1e6:.2f} MB, of {work.source.size / 1e6:.2f} MB"]
    if found is None:
        lines.append("not proved: --proof-rows 0")
    else:
        lines.append(
            f"llama.cpp answers {found.same_answers} of {found.rows} validation rows as the reference does "
            f"({found.right} rightly, the reference {found.right_before}); probabilities differ by {found.worst:.1e} "
            f"at most, {found.mean:.1e} on average"
        )
        if found.same_tokens < found.rows:
            lines.append(
                f"warning: llama.cpp reads {found.rows - found.same_tokens} of {found.rows} prompts as other tokens "
                "than the server does"
            )
    lines.append(f"ollama create {work.request.task.name} -f {output / MODELFILE}")
    for line in lines:
        work.console.print(line, highlight=False, markup=False, soft_wrap=True)
