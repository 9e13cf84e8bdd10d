"""A base with LoRA on it, ready to be trained, and how its labels are read."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers

from intently_build.adapting.checkpoint import Checkpoint
from intently_build.adapting.load_peft import load_peft
from intently_build.architecture import LARGE
from intently_build.errors import BuildError
from intently_build.quantizing.environment import INSTALL, here
from intently_build.recipe import AdaptRecipe, Lora

EMBEDDINGS = ("embed_tokens", "lm_head")


class AdaptedCodes:
    """Reads the code tokens out of the language-model head, trained rows of it included."""

    def __init__(self, code_ids: list[int]) -> None:
        self._codes = torch.tensor(code_ids)

    def decoder(self, model: Any) -> torch.nn.Module:
        """Returns the Qwen2Model in it."""
        found: torch.nn.Module = model.get_base_model().model
        return found

    def labels(self, model: Any, states: torch.Tensor) -> torch.Tensor:
        """Returns (rows, labels) for states (rows, hidden size)."""
        return self.vocabulary(model, states)[:, self._codes.to(states.device)]

    def vocabulary(self, model: Any, states: torch.Tensor) -> torch.Tensor:
        """Returns (rows, tokens) for states (rows, hidden size)."""
        logits: torch.Tensor = model.get_base_model().lm_head(states)
        return logits


class AdaptedScore:
    """Reads the labels out of a head that is trained beside the adapter."""

    def decoder(self, model: Any) -> torch.nn.Module:
        """Returns the Qwen2Model in it."""
        found: torch.nn.Module = model.get_base_model().model
        return found

    def labels(self, model: Any, states: torch.Tensor) -> torch.Tensor:
        """Returns (rows, labels) for states (rows, hidden size)."""
        logits: torch.Tensor = model.get_base_model().score(states)
        return logits

    def vocabulary(self, model: Any, states: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  # as a readout must
        """Raises BuildError: a recipe with such a loss is refused."""
        raise BuildError("training.utterance_loss: a trained head has no vocabulary")


def add_lora(recipe: AdaptRecipe, base: Checkpoint, code_ids: list[int], labels: int, gpu: bool) -> Any:
    """Returns the peft model in training.

    Args:
      recipe: says how.
      base: what it is put on; has the code tokens.
      code_ids: the tokens that stand for the labels; none for a trained head.
      labels: rows of a trained head.
      gpu: whether it will train on one.

    Raises BuildError if the settings do not fit the base.
    """
    lora = recipe.adapt.lora
    check_lora(lora, base)
    check_lora_tools(lora)
    peft = load_peft()
    model = _load(base.folder, lora, gpu, labels if not code_ids else None)
    saved = (*lora.modules_to_save, *(() if code_ids else ("score",)))
    tokens = None
    if code_ids and lora.train_code_tokens and not set(saved) & set(EMBEDDINGS):
        tokens = {"embed_tokens" if base.tied else "lm_head": sorted(code_ids)}
    config = peft.LoraConfig(
        task_type="CAUSAL_LM" if code_ids else "SEQ_CLS",
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        modules_to_save=list(saved) or None,
        trainable_token_indices=tokens,
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        raise BuildError(f"adapt.lora: peft refuses it: {' '.join(str(error).split())[:300]}") from error


def check_lora(lora: Lora, base: Checkpoint) -> None:
    """Raises BuildError if the base has not the modules that the settings name, or cannot train them so."""
    tied = set(lora.modules_to_save) & set(EMBEDDINGS)
    if base.tied and tied:
        raise BuildError(
            f"adapt.lora.modules_to_save: embeddings and head of {base.folder} are one matrix, so {tied.pop()} cannot "
            "be trained apart; leave it to train_code_tokens"
        )
    names = {name.removesuffix(".weight").rpartition(".")[2] for name in base.shapes}
    for key in ("target_modules", "modules_to_save"):
        for module in getattr(lora, key):
            if module not in names:
                raise BuildError(f"adapt.lora.{key}: {base.folder} has no module {module!r}")


def check_lora_tools(lora: Lora) -> None:
    """Raises BuildError if this environment lacks what training with these settings needs."""
    if lora.quantized_base and find_spec("bitsandbytes") is None:  # transformers would miss it much later
        build = here().build
        raise BuildError(
            f"adapt.lora.quantized_base: needs bitsandbytes, which is not installed here; `{INSTALL}` installs it in "
            f"{build}: train with {build}/bin/intently-build"
        )


def _load(folder: Path, lora: Lora, gpu: bool, labels: int | None) -> Any:
    """Returns the base, as a classifier if `labels` is given."""
    causal = labels is None
    kind = transformers.Qwen2ForCausalLM if causal else transformers.Qwen2ForSequenceClassification
    more: dict[str, Any] = {} if causal else {"num_labels": labels}
    if not lora.quantized_base:
        model = kind.from_pretrained(folder, dtype=torch.float32 if not gpu else "auto", **more)
        small = sum(weight.numel() for weight in model.parameters()) < LARGE
        return model.float() if small or not gpu else model.to(torch.bfloat16)  # float16 Qwen2.5 can overflow
    four_bits = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    where = {"": torch.cuda.current_device() if gpu else torch.device("cpu")}  # accelerate asks for a GPU's number
    model = kind.from_pretrained(folder, quantization_config=four_bits, dtype=torch.bfloat16, device_map=where, **more)
    return load_peft().prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
