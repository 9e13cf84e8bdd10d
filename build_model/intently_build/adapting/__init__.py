"""LoRA: adapters trained here or elsewhere, the bases that they belong to, and merging the two."""
