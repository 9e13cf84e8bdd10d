"""`intently-build synth`: a bundle of a named shape with random weights, that a server loads as any other."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from intently_build.errors import BuildError
from intently_build.planning.model import published
from intently_build.planning.shapes import Shape
from intently_build.prompt import PromptLayout
from intently_build.steps.disk import disk_errors
from intently_build.steps.perform import partial_folder, put_in_place
from intently_build.synth.checkpoint import PLAIN, TOKENIZER_FILES, RandomModel, check_model, write_checkpoint
from intently_build.synth.describe import Description, label_names, make_bundle
from intently_build.synth.prefix import synthetic_layout
from intently_build.synth.speech import requests
from intently_build.tokenizer import save_tokenizer, train_tokenizer
from intently_build.trainer import Device, on_gpu

FORMS = (PLAIN, "fp8", "int8", "gptq-int4", "awq")
TOY = Shape("toy", 256, 512, 2, 4, 2, 64, 2048, False)  # for a try without a GPU
ROOM = 1024  # tokens of a prompt beside its prefix

_TRAINED_ON = 2000  # requests
_TRAINED_TOKENS = 700


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
      shape: name of a published shape, or "toy".
      layers: how many of its blocks, or None for all.
      labels: rows of the head.
      prefix_tokens: tokens that all prompts begin with.
      max_tokens: of a whole prompt, or None for the prefix and ROOM.
      form: how the weights are stored, one of FORMS.
      group_size: weights that share a scale, in the formats with groups.
      tokenizer: a folder with tokenizer.json, or None to train a small one.
      output: the folder to write.
      device: where to make the weights.
      seed: of the weights and the prompt.
      replace: whether to write over what lies there.
    """

    shape: str
    layers: int | None
    labels: int
    prefix_tokens: int
    max_tokens: int | None
    form: str
    group_size: int
    tokenizer: Path | None
    output: Path
    device: Device
    seed: int
    replace: bool


def synth(asked: Request, console: Console) -> None:
    """Writes the bundle. Raises BuildError; then nothing is left at `output`."""
    shape = find_shape(asked.shape, asked.layers)
    _check(asked)
    device = torch.device("cuda" if on_gpu(asked.device) else "cpu")
    labels = label_names(asked.labels)
    model = RandomModel(shape, labels, asked.form, asked.group_size, asked.seed, device)
    with _tokenizer(asked.tokenizer) as tokenizer:
        layout = synthetic_layout(tokenizer / TOKENIZER_FILES[0], asked.prefix_tokens, asked.seed)
        check_model(model, tokenizer, asked.output)
        partial = partial_folder(asked.output.absolute())
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was interrupted
        try:
            with disk_errors(asked.output):
                partial.mkdir(parents=True)
                size = write_checkpoint(model, tokenizer, partial, console)
                with console.status("computing golden vectors"):
                    revision = make_bundle(partial, _description(asked, model, layout), device.type)
                put_in_place(partial, asked.output.absolute())
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    console.print(
        f"{asked.output}: {shape.name}, {shape.layers} layers, {asked.form}, {asked.labels} labels, a prefix of "
        f"{asked.prefix_tokens} tokens; {size / 1e6:,.1f} MB of random weights, revision {revision[:12]}",
        highlight=False,
        soft_wrap=True,
    )


def find_shape(name: str, layers: int | None) -> Shape:
    """Returns a published shape or the toy, cut to so many layers if that is given. Raises BuildError."""
    shape = TOY if name == TOY.name else published(name).shape
    if layers is None:
        return shape
    if not 1 <= layers <= shape.layers:
        raise BuildError(f"--layers {layers}: must be from 1 to {shape.layers}, which {shape.name} has")
    return replace(shape, layers=layers)


def write_tokenizer(folder: Path, codes: int = 0) -> None:
    """Writes a small byte-level BPE, trained on made-up requests, with so many code tokens."""
    save_tokenizer(train_tokenizer(requests(0, _TRAINED_ON), _TRAINED_TOKENS, codes), folder)


def _check(asked: Request) -> None:
    if asked.labels < 2:
        raise BuildError(f"--labels {asked.labels}: must be at least 2")
    if asked.prefix_tokens < 0:
        raise BuildError(f"--prefix-tokens {asked.prefix_tokens}: must be at least 0")
    if asked.max_tokens is not None and asked.max_tokens < asked.prefix_tokens + 128:
        raise BuildError(f"--max-tokens {asked.max_tokens}: must leave room for 128 tokens after the prefix")
    if asked.tokenizer and not (asked.tokenizer / TOKENIZER_FILES[0]).is_file():
        raise BuildError(f"{asked.tokenizer / TOKENIZER_FILES[0]}: no such file; give a folder that has one")
    if asked.output.exists() and not asked.replace:
        raise BuildError(f"{asked.output}: exists; give --replace to write it anew")


@contextmanager
def _tokenizer(given: Path | None) -> Iterator[Path]:
    """Yields a folder with a tokenizer: the one that was given, or a small one of our own while the block lasts."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="intently-build-") as folder:
        write_tokenizer(Path(folder))
        yield Path(folder)


def _description(asked: Request, model: RandomModel, layout: PromptLayout) -> Description:
    shape = model.shape
    made_by = (
        f"intently-build synth --shape {shape.name} --layers {shape.layers} --labels {asked.labels} "
        f"--prefix-tokens {asked.prefix_tokens} --quant {asked.form} --group-size {asked.group_size} "
        f"--seed {asked.seed}"
    )
    return Description(
        name=re.sub("[^a-z0-9]+", "-", f"synthetic-{shape.name}-{asked.form}"),
        labels=tuple(model.labels),
        code_ids=(),
        layout=layout,
        max_tokens=asked.max_tokens or asked.prefix_tokens + ROOM,
        form=asked.form,
        group_size=asked.group_size,
        made_by=f"{made_by} (on {model.device.type})\n",
        model=f"synthetic: random weights of the shape {shape.name}, {shape.layers} layers",
        parameters=shape.parameters,
    )
