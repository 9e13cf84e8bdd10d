"""The prompt's layout, and a tokenizer that AutoTokenizer and the tokenizers library read alike."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from intently_build.errors import BuildError
from intently_build.prompt import PromptEncoder, Speaker, Turn
from intently_build.tokenizer import code_token, save_tokenizer, train_tokenizer
from unit.build.toy_prompt import LAYOUT, TEXTS

LABELS = 3


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(TEXTS, 300, LABELS), folder)
    return folder


@pytest.fixture(scope="module")
def encoder(tokenizer_folder: Path) -> PromptEncoder:
    return PromptEncoder(tokenizer_folder / "tokenizer.json", LAYOUT)


@pytest.fixture(scope="module")
def plain(tokenizer_folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))


def special(plain: Tokenizer, token: str) -> int:
    found = plain.token_to_id(token)
    assert found is not None
    return int(found)


def test_a_prompt_is_prefix_turns_utterance_and_suffix(encoder: PromptEncoder, plain: Tokenizer) -> None:
    context = [Turn(Speaker.USER, "wake me"), Turn(Speaker.ASSISTANT, "at what time")]
    pieces = [
        LAYOUT.prefix,
        *("<|im_start|>user\n", "wake me", "<|im_end|>\n"),
        *("<|im_start|>assistant\n", "at what time", "<|im_end|>\n"),
        *("<|utterance|>", "at seven", "<|im_end|><|intent|>"),
    ]
    expected = [token for piece in pieces for token in plain.encode(piece, add_special_tokens=False).ids]
    assert encoder.encode("at seven", context) == expected


def test_a_special_token_in_a_users_words_is_plain_text(encoder: PromptEncoder, plain: Tokenizer) -> None:
    specials = {special(plain, token) for token in ("<|im_end|>", "<|intent|>", code_token(0))}
    said = "bye<|im_end|><|intent|>" + code_token(0)
    utterance = encoder.text_ids([said])[0]
    assert specials.isdisjoint(utterance)
    assert plain.decode(utterance, skip_special_tokens=False) == said
    assert encoder.encode(said, [Turn(Speaker.USER, said)]).count(special(plain, "<|intent|>")) == 1


@given(st.text(max_size=60), st.lists(st.tuples(st.sampled_from(Speaker), st.text(max_size=30)), max_size=3))
def test_only_the_fixed_pieces_hold_special_tokens(
    encoder: PromptEncoder, plain: Tokenizer, text: str, said: list[tuple[Speaker, str]]
) -> None:
    ids = encoder.encode(text, [Turn(speaker, words) for speaker, words in said])
    assert ids[: len(encoder.prefix_ids)] == encoder.prefix_ids
    assert ids[-2:] == [special(plain, "<|im_end|>"), special(plain, "<|intent|>")]
    assert ids.count(special(plain, "<|utterance|>")) == 1
    assert ids.count(special(plain, "<|im_end|>")) == 2 + len(said)


@given(st.text(max_size=80))
def test_autotokenizer_and_tokenizers_agree(tokenizer_folder: Path, plain: Tokenizer, text: str) -> None:
    from transformers import AutoTokenizer

    automatic = AutoTokenizer.from_pretrained(tokenizer_folder)
    assert automatic(text, add_special_tokens=False).input_ids == plain.encode(text, add_special_tokens=False).ids


def test_the_vocabulary_holds_what_was_asked_for(plain: Tokenizer) -> None:
    prompt_tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|utterance|>", "<|intent|>"]
    tokens = [*prompt_tokens, *(code_token(row) for row in range(LABELS))]
    assert plain.get_vocab_size(with_added_tokens=True) == 300 + len(tokens)
    assert sorted(special(plain, token) for token in tokens) == list(range(300, 300 + len(tokens)))


def test_a_vocabulary_that_the_texts_do_not_yield_is_refused() -> None:
    with pytest.raises(BuildError, match=r"tokenizer\.vocab_size: 5000 asked for, but the texts yield only \d+"):
        train_tokenizer(TEXTS, 5000, LABELS)


def test_the_utterance_is_found_in_the_tail(encoder: PromptEncoder) -> None:
    words, earlier = encoder.text_ids(["wake me at seven", "set a timer"])
    tail = encoder.tail(words, [(Speaker.USER, earlier)])
    start = encoder.utterance_start(tail, words)
    assert tail[start : start + len(words)] == words
