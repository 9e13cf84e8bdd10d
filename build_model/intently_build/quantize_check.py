"""What a recipe's section `quantize` asks for, looked at before anything is trained: hours later is too late."""

from collections.abc import Mapping
from pathlib import Path

from intently_build.errors import BuildError
from intently_build.quantizing.checkpoint import read_checkpoint
from intently_build.quantizing.environment import here
from intently_build.quantizing.formats import find_format
from intently_build.quantizing.preflight import check_group
from intently_build.recipe import Architecture, Quantize
from intently_build.training_data import TrainingData

Linears = Mapping[str, tuple[int, int]]


def check_quantize(settings: Quantize, linears: Linears, data: TrainingData, made: bool) -> None:
    """Raises BuildError if groups divide a layer not, rows are too few, or the tool is missing.

    Args:
      settings: the section.
      linears: the decoder's Linear layers by name: (outputs, inputs).
      data: the rows, of which the tool looks at some for training.
      made: whether the quantized classifier is there already, so that no tool is needed.
    """
    form = find_format(settings.to)
    check_group(form, settings.group_size, linears, "quantize.group_size")
    different = len({row.text for row in data.train.in_scope})
    if form.calibrated and different < settings.samples:
        raise BuildError(
            f"quantize.samples: {settings.samples} asked for, and there are {different} different training rows"
        )
    if not made:
        here().python_with(form.tool)


def linears_of(model: Path | Architecture) -> Linears:
    """Returns the Linear layers of a checkpoint; or of a model that will be made, one of each number of inputs."""
    if isinstance(model, Path):
        return read_checkpoint(model).linears
    hidden, inner = model.hidden_size, model.intermediate_size
    return {"model.layers.0.self_attn.q_proj": (hidden, hidden), "model.layers.0.mlp.down_proj": (hidden, inner)}
