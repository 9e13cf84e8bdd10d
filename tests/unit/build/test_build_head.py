"""The cut head answers as the causal model does, and the shared prefix as a whole prompt does."""

import pytest
import torch

from intently_build.architecture import build_causal_model, count_parameters
from intently_build.errors import BuildError
from intently_build.head import cut_head, prove_head
from intently_build.objective import last_states, tail_states
from intently_build.recipe import Architecture

SIZES = Architecture(hidden_size=64, intermediate_size=128, layers=2, heads=2, kv_heads=1)
CODES = [90, 92, 97]
NAMES = ["yes", "no", "oos"]


@pytest.fixture
def causal() -> torch.nn.Module:
    torch.manual_seed(5)
    model = build_causal_model(SIZES, vocab_size=100, positions=64, pad_token_id=99).eval()
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)  # so that answers differ from label to label
    return model


def test_the_cut_head_is_the_masked_softmax(causal: torch.nn.Module) -> None:
    classifier = cut_head(causal, CODES, NAMES)
    prompts = [[1, 2, 3], [7] * 20, [50, 3, 60, 8]]
    assert prove_head(causal, classifier, CODES, prompts) <= 1e-6
    with torch.inference_mode():
        answers = torch.stack([classifier(input_ids=torch.tensor([prompt])).logits[0] for prompt in prompts])
    assert answers.softmax(-1).std(dim=0).max() > 1e-3


def test_a_head_with_rows_in_another_order_is_refused(causal: torch.nn.Module) -> None:
    classifier = cut_head(causal, [92, 90, 97], NAMES)
    with pytest.raises(BuildError, match="the cut head differs from the causal model"):
        prove_head(causal, classifier, CODES, [[1, 2, 3]])


def test_the_classifiers_config_names_the_labels(causal: torch.nn.Module) -> None:
    config = cut_head(causal, CODES, NAMES).config
    assert config.id2label == {0: "yes", 1: "no", 2: "oos"}
    assert config.num_labels == 3
    assert config.pad_token_id == 99


def test_states_after_a_shared_prefix_are_those_of_whole_prompts(causal: torch.nn.Module) -> None:
    prefix, tails = [5, 6, 7, 8], [[1, 2, 3], [4], [9, 10]]
    width = max(len(tail) for tail in tails)
    batch = torch.tensor([tail + [99] * (width - len(tail)) for tail in tails])
    with torch.inference_mode():
        states = tail_states(causal.model, torch.tensor(prefix), batch)
        shared = last_states(states, torch.tensor([len(tail) - 1 for tail in tails]))
        whole = [causal.model(input_ids=torch.tensor([prefix + tail])).last_hidden_state[0, -1] for tail in tails]
    torch.testing.assert_close(shared, torch.stack(whole), atol=1e-5, rtol=1e-5)


def test_the_prefix_learns_from_every_row(causal: torch.nn.Module) -> None:
    prefix = torch.tensor([5, 6])
    states = tail_states(causal.model, prefix, torch.tensor([[1], [2]]))
    states.sum().backward()
    gradient = causal.model.embed_tokens.weight.grad
    assert gradient is not None
    assert gradient[prefix].abs().sum(dim=1).min() > 0


def test_a_model_over_the_limit_is_refused() -> None:
    sizes = Architecture(hidden_size=1024, intermediate_size=2048, layers=4, heads=16, kv_heads=2)
    with pytest.raises(BuildError, match=r"parameters, over the limit of 20,000,000; lower tokenizer\.vocab_size"):
        build_causal_model(sizes, vocab_size=4000, positions=64, pad_token_id=0)


def test_tied_parameters_count_once(causal: torch.nn.Module) -> None:
    assert causal.lm_head.weight is causal.model.embed_tokens.weight
    assert count_parameters(causal) == sum(tensor.numel() for tensor in {*causal.parameters()})
