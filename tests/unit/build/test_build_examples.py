"""Training examples: what noise may change, and what it never does."""

import pytest
import torch

from intently_build.examples import NO_TARGET, Collator, ExampleSet
from intently_build.prompt import PromptEncoder
from intently_build.recipe import Noise
from intently_build.rows import Row
from intently_build.tokenizer import save_tokenizer, train_tokenizer
from unit.build.toy_prompt import LAYOUT, TEXTS

ORDINARY = 300
ROWS = [Row(text, label) for label, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> PromptEncoder:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(TEXTS, ORDINARY, len(TEXTS)), folder)
    return PromptEncoder(folder / "tokenizer.json", LAYOUT)


def draws(encoder: PromptEncoder, noise: Noise) -> list[list[int]]:
    torch.manual_seed(0)
    examples = ExampleSet(ROWS, encoder, noise, ORDINARY)
    return [examples[0].tail for _ in range(200)]


def test_without_noise_an_example_is_the_prompts_tail(encoder: PromptEncoder) -> None:
    example = ExampleSet(ROWS, encoder, None, ORDINARY)[2]
    assert encoder.prefix_ids + example.tail == encoder.encode(TEXTS[2])
    assert example.label == 2


def test_targets_are_the_utterances_next_tokens(encoder: PromptEncoder) -> None:
    example = ExampleSet(ROWS, encoder, None, ORDINARY)[0]
    wanted = [(place, target) for place, target in enumerate(example.targets) if target != NO_TARGET]
    assert [target for _, target in wanted] == encoder.text_ids([TEXTS[0]])[0]
    assert all(example.tail[place + 1] == target for place, target in wanted)


def test_replaced_tokens_are_still_the_targets(encoder: PromptEncoder) -> None:
    torch.manual_seed(0)
    example = ExampleSet(ROWS, encoder, Noise(replace_tokens=0.5), ORDINARY)[0]
    words = encoder.text_ids([TEXTS[0]])[0]
    assert [target for target in example.targets if target != NO_TARGET] == words
    assert example.tail != encoder.tail(words)
    assert len(example.tail) == len(encoder.tail(words))


def test_dropped_tokens_leave_at_least_one(encoder: PromptEncoder) -> None:
    shortest = len(encoder.tail([0]))
    lengths = {len(tail) for tail in draws(encoder, Noise(drop_tokens=0.9))}
    assert min(lengths) == shortest
    assert len(lengths) > 1


def test_surface_noise_writes_the_same_words_otherwise(encoder: PromptEncoder) -> None:
    seen = {tuple(tail) for tail in draws(encoder, Noise(surface=0.99, closing_marks=("?",)))}
    texts = [TEXTS[0], "What" + TEXTS[0][4:], TEXTS[0] + "?", "What" + TEXTS[0][4:] + "?"]
    assert seen == {tuple(encoder.tail(ids)) for ids in encoder.text_ids(texts)}


def test_context_stands_before_the_utterance_and_leaves_it_alone(encoder: PromptEncoder) -> None:
    plain = encoder.tail(encoder.text_ids([TEXTS[0]])[0])
    tails = draws(encoder, Noise(context=0.5))
    assert all(tail[-len(plain) :] == plain for tail in tails)
    with_context = sum(len(tail) > len(plain) for tail in tails)
    assert 60 <= with_context <= 140


def test_a_batch_is_filled_up_at_the_end(encoder: PromptEncoder) -> None:
    examples = ExampleSet(ROWS, encoder, None, ORDINARY)
    batch = Collator(pad_token_id=7)([examples[row] for row in range(len(ROWS))])
    assert batch["tail"].shape == batch["targets"].shape
    assert batch["tail"].shape[1] % 8 == 0
    assert batch["labels"].tolist() == [0, 1, 2, 3]
    for row in range(len(ROWS)):
        end = int(batch["last"][row]) + 1
        assert batch["tail"][row, :end].tolist() == examples[row].tail
        assert (batch["tail"][row, end:] == 7).all()
        assert (batch["targets"][row, end:] == NO_TARGET).all()
