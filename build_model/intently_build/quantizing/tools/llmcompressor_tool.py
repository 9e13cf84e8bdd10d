"""llmcompressor: GPTQ and AWQ in 4 bits, INT8 and FP8, in the format of compressed-tensors."""

from typing import Any

from intently_build.quantizing.job import Job

UNTOUCHED = ["lm_head", "score"]  # the answers are read off these


def quantize(job: Job) -> None:
    """Writes the checkpoint. Errors are the tool's own."""
    import torch
    import transformers
    from llmcompressor import oneshot

    architecture = transformers.AutoConfig.from_pretrained(job.checkpoint).architectures[0]
    model = getattr(transformers, architecture).from_pretrained(job.checkpoint, dtype=torch.bfloat16)
    calibration: dict[str, Any] = {}
    if job.prompts:
        calibration = {
            "dataset": _dataset(job),
            "num_calibration_samples": len(job.prompts),
            "max_seq_length": max(map(len, job.prompts)),
            "shuffle_calibration_samples": False,  # so that the same rows give the same bytes
        }
    if not torch.accelerator.is_available():
        _pin_nothing()
    oneshot(model=model, recipe=_recipe(job), **calibration)
    model.save_pretrained(job.output, save_compressed=True)


def _pin_nothing() -> None:
    """AWQ pins memory for an accelerator even where there is none, at which torch raises."""
    from llmcompressor.pipelines.cache import IntermediatesCache

    IntermediatesCache.pin_memory = lambda *_batch: None


def _recipe(job: Job) -> list[Any]:
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform import AWQModifier

    if job.form == "gptq-int4":
        return [GPTQModifier(config_groups=_four_bits(job.group_size, symmetric=True), ignore=UNTOUCHED)]
    if job.form == "int8":
        return [GPTQModifier(targets="Linear", scheme="W8A8", ignore=UNTOUCHED)]
    if job.form == "fp8":
        return [QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=UNTOUCHED)]
    groups = _four_bits(job.group_size, symmetric=False)
    return [AWQModifier(), QuantizationModifier(config_groups=groups, ignore=UNTOUCHED)]


def _four_bits(group_size: int, symmetric: bool) -> dict[str, Any]:
    weights = {"num_bits": 4, "type": "int", "symmetric": symmetric, "strategy": "group", "group_size": group_size}
    return {"group_0": {"targets": ["Linear"], "weights": weights}}


def _dataset(job: Job) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {"input_ids": [list(ids) for ids in job.prompts], "attention_mask": [[1] * len(ids) for ids in job.prompts]}
    )
