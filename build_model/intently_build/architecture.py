"""The causal model: a small Qwen2 with tied embeddings, made from a recipe's sizes."""

from transformers import Qwen2Config, Qwen2ForCausalLM

from intently_build.errors import BuildError
from intently_build.recipe import Architecture

MAX_PARAMETERS = 20_000_000  # that rows as few as these can teach anything
LARGE = 1_000_000_000  # parameters: from there on a GPU trains in bfloat16


def build_causal_model(sizes: Architecture, vocab_size: int, positions: int, pad_token_id: int) -> Qwen2ForCausalLM:
    """Returns a causal model with random weights.

    Args:
      sizes: of the decoder.
      vocab_size: of the whole tokenizer, special tokens included.
      positions: the longest prompt, in tokens.
      pad_token_id: the token that batches are filled with.

    Raises BuildError if it has more than MAX_PARAMETERS parameters.
    """
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=vocab_size,
            hidden_size=sizes.hidden_size,
            intermediate_size=sizes.intermediate_size,
            num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.heads,
            num_key_value_heads=sizes.kv_heads,
            max_position_embeddings=positions,
            tie_word_embeddings=True,
            pad_token_id=pad_token_id,
            eos_token_id=pad_token_id,
            bos_token_id=None,
        )
    )
    parameters = count_parameters(model)
    if parameters > MAX_PARAMETERS:
        raise BuildError(
            f"model: {parameters:,} parameters, over the limit of {MAX_PARAMETERS:,}; "
            "lower tokenizer.vocab_size or the sizes of the model"
        )
    return model


def count_parameters(model: Qwen2ForCausalLM) -> int:
    """Returns the number of parameters; tied ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())
