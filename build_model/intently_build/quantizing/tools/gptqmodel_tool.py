"""gptqmodel: GPTQ in 4 bits, in the checkpoint format of AutoGPTQ.

The tool knows causal models alone. A classifier is given to it as a causal model with tied embeddings, whose decoder is
the same; the head is put back afterwards.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from intently_build.quantizing.checkpoint import TOKENIZER_FILES, WEIGHTS, Checkpoint, read_checkpoint
from intently_build.quantizing.job import Job

NONE_TOO_SHORT = 0  # tokens; by itself the tool leaves out prompts of up to 10 in silence, and then may have none


def quantize(job: Job) -> None:
    """Writes the checkpoint. Errors are the tool's own."""
    from gptqmodel import GPTQModel, QuantizeConfig

    source = read_checkpoint(job.checkpoint)
    causal, raw = job.scratch / "causal", job.scratch / "raw"
    _as_causal(source, causal)
    settings = QuantizeConfig(bits=4, group_size=job.group_size, desc_act=False, sym=True)
    model = GPTQModel.load(str(causal), settings, dtype="bfloat16")
    prompts = [{"input_ids": list(ids), "attention_mask": [1] * len(ids)} for ids in job.prompts]
    # quantize() takes the same argument, and passes it on to nobody.
    model.prepare_dataset = partial(model.prepare_dataset, calibration_data_min_length=NONE_TOO_SHORT)
    model.quantize(prompts, batch_size=1)
    model.save(str(raw))
    _with_head(source, raw, job.output)


def _as_causal(source: Checkpoint, folder: Path) -> None:
    """Lays the checkpoint out again as a causal model; the weights are linked, not copied."""
    folder.mkdir()
    config = dict(source.config)
    if config["architectures"] != ["Qwen2ForCausalLM"]:
        for key in ("id2label", "label2id", "num_labels", "problem_type"):
            config.pop(key, None)
        config |= {"architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    names = {path.name for path in source.folder.glob("*.safetensors*")} | set(TOKENIZER_FILES)
    for path in sorted(source.folder.iterdir()):
        if path.name in names:
            (folder / path.name).symlink_to(path.resolve())


def _with_head(source: Checkpoint, raw: Path, output: Path) -> None:
    """Writes the quantized decoder with the head of `source`, in one file, by name."""
    import torch
    from safetensors.torch import save_file

    quantized = read_checkpoint(raw)
    tensors = {name: _tensor(quantized, name) for name in sorted(quantized.tensors)}
    tied = source.head == "score.weight" or source.head is None
    if tied:
        tensors.pop("lm_head.weight", None)
    if source.head:
        tensors[source.head] = _tensor(source, source.head).to(torch.bfloat16)
    output.mkdir()
    save_file(tensors, output / WEIGHTS, metadata={"format": "pt"})
    config = {"quantization_config": quantized.config["quantization_config"]}
    (output / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _tensor(checkpoint: Checkpoint, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(checkpoint.tensors[name].file, framework="pt") as file:
        return file.get_tensor(name).contiguous()
