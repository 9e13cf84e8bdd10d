"""The step from a causal checkpoint as others published it, quantized or not, to a classifier.

The rows of the code tokens are taken out of the language-model head, which no format quantizes, and the head is left
out; whatever the decoder is stored in is copied.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from intently_build.adapting.checkpoint import TOKENIZER, read_json, tensor_shapes, weight_files
from intently_build.adapting.comparison import proving_device
from intently_build.adapting.probes import Probes
from intently_build.architecture import count_parameters
from intently_build.dequantizing import dequantize
from intently_build.errors import BuildError
from intently_build.head import prove_head
from intently_build.head_step import TOOLS, code_ids, copy_tokenizer
from intently_build.reference import load_classifier
from intently_build.steps.journal import Journal
from intently_build.steps.step import Proof, Step
from intently_build.trainer import quiet

HEAD = "lm_head.weight"
EMBEDDINGS = "model.embed_tokens.weight"
INDEX = "model.safetensors.index.json"
DTYPE = "bfloat16"  # that is computed in: float16 Qwen2.5 can overflow


def published_head_step(model: Path, folder: Path, names: Sequence[str], codes: Sequence[str], probes: Probes) -> Step:
    """Returns the step that cuts a classifier out of the causal checkpoint `model`.

    Args:
      model: the checkpoint, in the format that it is to be served in.
      folder: where the classifier will stand.
      names: the label of each row of the head.
      codes: the token that stands for each row of the head.
      probes: prompts that the classifier is proved on.
    """

    def make(partial: Path, journal: Journal) -> Proof:
        quiet()
        config = read_published(model)
        ids = code_ids(model / TOKENIZER, codes)
        _cut_tensors(model, partial, ids)
        _write_config(config, names, partial)
        copy_tokenizer(model, partial)
        prompts = probes.ids(partial / TOKENIZER, int(config["vocab_size"]))
        device = proving_device()
        causal, parameters = _causal(model, config)
        worst = prove_head(causal.to(device), load_classifier(partial).to(device), ids, prompts)
        journal.say(f"  head: {len(names)} rows, within {worst:.0e} of the causal model's masked softmax")
        return {
            "prompts": len(prompts),
            "largest_probability_difference": worst,
            "code_token_ids": ids,
            "parameters": parameters,
        }

    settings = {"labels": list(names), "code_tokens": list(codes), "probes": list(probes.texts)}
    return Step("head", folder, {"model": model}, settings, make, TOOLS)


def read_published(folder: Path) -> dict[str, Any]:
    """Returns the config of a causal Qwen2, quantized or not. Raises BuildError."""
    config = read_json(folder / "config.json", f"is {folder} a checkpoint in Hugging Face's layout?")
    if config.get("architectures") != ["Qwen2ForCausalLM"]:
        raise BuildError(
            f"{folder}: holds {config.get('architectures')}; a head can be cut out of Qwen2ForCausalLM only"
        )
    said = config.get("quantization_config") or {}
    if said.get("desc_act"):
        raise BuildError(f"{folder}: GPTQ with desc_act, which vLLM 0.32 serves no more; quantize it without")
    if said.get("checkpoint_format", "gptq") not in ("gptq", ""):
        raise BuildError(f"{folder}: GPTQ in the format {said['checkpoint_format']!r}; only AutoGPTQ's 'gptq' is known")
    if not weight_files(folder):
        raise BuildError(f"{folder}: no *.safetensors there; a checkpoint without weights")
    return config


def _cut_tensors(model: Path, folder: Path, ids: list[int]) -> None:
    """Copies every tensor but the head, and adds the rows `ids` of the head to the last file."""
    files = {file: names for file in weight_files(model) if (names := _kept(file))}
    rows = _head_rows(model, ids)
    places: dict[str, str] = {}
    size = 0
    for file, names in files.items():
        stored = load_file(file)
        tensors = {name: stored[name] for name in names}
        if file == [*files][-1]:
            tensors["score.weight"] = rows
        save_file(tensors, folder / file.name, metadata={"format": "pt"})
        places |= dict.fromkeys(tensors, file.name)
        size += sum(tensor.nbytes for tensor in tensors.values())
    if len(files) > 1:
        index = {"metadata": {"total_size": size}, "weight_map": places}
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _kept(file: Path) -> list[str]:
    return [name for name in tensor_shapes(file) if not name.startswith("lm_head.")]


def _head_rows(model: Path, ids: list[int]) -> torch.Tensor:
    """Returns the rows `ids` of the language-model head, which are those of the embeddings where it has none."""
    places = {name: file for file in weight_files(model) for name in tensor_shapes(file)}
    name = HEAD if HEAD in places else EMBEDDINGS
    if name not in places:
        raise BuildError(f"{model}: has neither {HEAD} nor {EMBEDDINGS}; its head is stored in a way that is not known")
    with safe_open(places[name], framework="pt") as opened:
        return torch.as_tensor(opened.get_tensor(name)[ids].to(torch.bfloat16))


def _write_config(config: dict[str, Any], names: Sequence[str], folder: Path) -> None:
    said = {key: value for key, value in config.items() if key not in ("torch_dtype", "transformers_version")}
    said |= {
        "architectures": ["Qwen2ForSequenceClassification"],
        "dtype": DTYPE,
        "id2label": {str(row): name for row, name in enumerate(names)},
        "label2id": {name: row for row, name in enumerate(names)},
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _causal(model: Path, config: dict[str, Any]) -> tuple[Any, int]:
    """Returns the causal model in float32, its quantized weights spelled out, and how many parameters it has."""
    plain = {key: value for key, value in config.items() if key not in ("quantization_config", "torch_dtype", "dtype")}
    causal: Any = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**plain)).float()
    weights = dequantize(model)
    causal.load_state_dict({HEAD: weights[EMBEDDINGS]} | weights)
    parameters = count_parameters(causal)
    # The classifier's head is stored in bfloat16, and so must be what it is compared with.
    head = causal.lm_head.weight.detach().to(torch.bfloat16).float()
    causal.lm_head.weight = torch.nn.Parameter(head)
    return causal.eval(), parameters
