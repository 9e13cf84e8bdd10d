"""What fits where, computed without a GPU: weights, KV cache and activations of a model, by format and GPU."""
