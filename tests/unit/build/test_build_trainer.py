"""The Trainer with a loss of ours: where it is told to compute in bfloat16, the loss is computed so too."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import transformers

from intently_build.trainer import LabelTrainer


class Noting:
    """A loss that notes in what type a matrix product came out."""

    def __init__(self) -> None:
        self.types: set[torch.dtype] = set()

    def __call__(
        self, model: torch.nn.Module, batch: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        weight = next(model.parameters())  # as a loss of ours does: not by the model's own forward
        found = batch["x"] @ weight.T
        self.types.add(found.dtype)
        return found.float().square().mean(), {}


@pytest.mark.parametrize(("bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_loss_is_computed_in_the_type_that_was_asked_for(tmp_path: Path, bf16: bool, dtype: torch.dtype) -> None:
    loss, model = Noting(), torch.nn.Linear(4, 4)
    before = model.weight.detach().clone()
    settings = transformers.TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, bf16=bf16, max_steps=1, report_to="none", disable_tqdm=True
    )
    examples = [{"x": torch.ones(4)}] * 8
    trainer = LabelTrainer(loss, model=model, args=settings, train_dataset=examples)
    trainer.args.remove_unused_columns = False
    trainer.train()
    assert loss.types == {dtype}
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)
