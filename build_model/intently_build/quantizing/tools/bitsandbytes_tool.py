"""bitsandbytes: INT8 weights, without calibration (LLM.int8)."""

from intently_build.quantizing.job import Job


def quantize(job: Job) -> None:
    """Writes the checkpoint. Errors are the tool's own."""
    import torch
    import transformers

    architecture = transformers.AutoConfig.from_pretrained(job.checkpoint).architectures[0]
    settings = transformers.BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=["lm_head", "score"])
    model = getattr(transformers, architecture).from_pretrained(
        job.checkpoint, dtype=torch.bfloat16, quantization_config=settings, device_map="auto"
    )
    model.save_pretrained(job.output)
