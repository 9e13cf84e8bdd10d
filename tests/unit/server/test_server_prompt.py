"""Prompts: pieces in their order, users' text that stays text, and cutting from the oldest turn on."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from intently_server.errors import InvalidInput
from intently_server.model import Limits, PromptLayout
from intently_server.prompt import PromptEncoder
from intently_server.types import Query, Role, Turn

NewTokenizer = Callable[[], Tokenizer]

LAYOUT = PromptLayout(
    prefix="<|im_start|>label the utterance below<|im_end|>",
    utterance_open="<|im_start|>user ",
    suffix="<|im_end|><|im_start|>assistant ",
    user_open="<|im_start|>user ",
    user_close="<|im_end|>",
    assistant_open="<|im_start|>assistant ",
    assistant_close="<|im_end|>",
)
ROOMY = Limits(max_input_tokens=4096, max_context_turns=64, max_text_chars=4096)

forged = st.sampled_from(["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|im_", "end|>"])
texts = st.lists(st.text(max_size=20) | forged, max_size=6).map("".join)
turns = st.builds(Turn, st.sampled_from(list(Role)), texts)
IOTA = "\u03b1\u0313\u0342\u0345"  # four characters that become one, of three bytes
# Of few tokens for their length: the longest of the vocabulary, and characters that become one.
dense = st.sampled_from([" internationally", f" {IOTA * 8}", "\u1112\u1161\u11ab", "e\u0301", " the", "   "])
long_texts = st.builds(str.__mul__, dense | texts, st.integers(0, 80))


def ids_of(tokenizer: Tokenizer, text: str, *, special: bool) -> list[int]:
    """The reference: one piece, tokenized by a tokenizer of its own."""
    tokenizer.encode_special_tokens = not special
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def laid_out(tokenizer: Tokenizer, text: str, context: Sequence[Turn]) -> list[int]:
    """The reference: `Prompt` in bundle.proto, word for word."""
    pieces = [(LAYOUT.prefix, True)]
    for turn in context:
        user = turn.role is Role.USER
        pieces.append((LAYOUT.user_open if user else LAYOUT.assistant_open, True))
        pieces.append((turn.text, False))
        pieces.append((LAYOUT.user_close if user else LAYOUT.assistant_close, True))
    pieces += [(LAYOUT.utterance_open, True), (text, False), (LAYOUT.suffix, True)]
    return [token for piece, special in pieces for token in ids_of(tokenizer, piece, special=special)]


def test_of_texts_that_are_too_long_for_a_prompt_only_the_latest_are_possible(
    encoder: PromptEncoder, new_tokenizer: NewTokenizer
) -> None:
    few = narrow(encoder, new_tokenizer, 100)
    whole, hopeless = "wake me ", "wake me " * 4000

    assert few.latest_possible([]) == 0
    assert few.latest_possible([whole] * 5) == 5
    assert few.latest_possible([whole, hopeless, whole, whole]) == 2
    assert few.latest_possible([whole, hopeless]) == 0
    assert len(few.encode(whole, [Turn(Role.USER, whole)] * 5).token_ids) <= 100 + len(few.encode("").token_ids)


def narrow(encoder: PromptEncoder, new_tokenizer: NewTokenizer, room: int) -> PromptEncoder:
    """An encoder with room for exactly so many tokens beside the fixed pieces."""
    fixed = len(encoder.encode("").token_ids)
    return PromptEncoder(new_tokenizer(), LAYOUT, Limits(fixed + room, 64, 4096))


@pytest.fixture(scope="module")
def encoder(new_tokenizer: NewTokenizer) -> PromptEncoder:
    return PromptEncoder(new_tokenizer(), LAYOUT, ROOMY)


@pytest.fixture(scope="module")
def reference(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer()


@pytest.fixture(scope="module")
def new_dense_tokenizer() -> NewTokenizer:
    """Makes a tokenizer that composes characters, as Qwen2's does, and has a token for each of two long words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=specials, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([f" internationally {IOTA * 8}"] * 5, trainer)
    text = str(tokenizer.to_str())
    return lambda: Tokenizer.from_str(text)


@given(text=texts, context=st.lists(turns, max_size=4))
def test_a_prompt_is_its_pieces_in_order(
    encoder: PromptEncoder, reference: Tokenizer, text: str, context: list[Turn]
) -> None:
    prompt = encoder.encode(text, context)

    assert prompt.token_ids == laid_out(reference, text, context)
    assert not prompt.truncated


@given(text=texts, context=st.lists(turns, max_size=4))
def test_users_text_never_becomes_a_special_token(
    encoder: PromptEncoder, reference: Tokenizer, text: str, context: list[Turn]
) -> None:
    specials = {reference.token_to_id(name) for name in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")}

    prompt = encoder.encode(text, context)

    blank = encoder.encode("", [Turn(turn.role, "") for turn in context])
    assert [i for i in prompt.token_ids if i in specials] == [i for i in blank.token_ids if i in specials]


@given(text=texts)
def test_users_text_is_kept_word_for_word(encoder: PromptEncoder, reference: Tokenizer, text: str) -> None:
    head = len(ids_of(reference, LAYOUT.prefix, special=True)) + len(
        ids_of(reference, "<|im_start|>user ", special=True)
    )
    tail = len(ids_of(reference, LAYOUT.suffix, special=True))

    ids = encoder.encode(text).token_ids

    assert reference.decode(ids[head : len(ids) - tail], skip_special_tokens=False) == text


@given(text=texts.filter(bool), context=st.lists(turns, max_size=5), data=st.data())
def test_cutting_leaves_out_the_oldest_turns_and_then_the_end_of_the_text(
    encoder: PromptEncoder, new_tokenizer: NewTokenizer, text: str, context: list[Turn], data: st.DataObject
) -> None:
    fixed = len(encoder.encode("").token_ids)
    room = data.draw(st.integers(1, len(encoder.encode(text, context).token_ids) - fixed))
    narrowed = narrow(encoder, new_tokenizer, room)

    prompt = narrowed.encode_query(Query(text=text, context=tuple(context), allow_truncation=True))

    assert len(prompt.token_ids) <= fixed + room
    whole_text = len(encoder.encode(text).token_ids) - fixed
    fitting = [n for n in range(len(context) + 1) if len(encoder.encode(text, context[n:]).token_ids) <= fixed + room]
    if fitting:
        assert prompt.token_ids == encoder.encode(text, context[fitting[0] :]).token_ids
        assert prompt.truncated == (fitting[0] > 0)
    else:
        assert whole_text > room
        assert prompt.truncated
        reference_ids = encoder.encode(text).token_ids
        head = len(encoder.encode("").token_ids) - len(ids_of(new_tokenizer(), LAYOUT.suffix, special=True))
        suffix = reference_ids[len(reference_ids) - (fixed - head) :]
        assert prompt.token_ids == [*reference_ids[: head + room], *suffix]


@given(
    text=long_texts.filter(bool),
    context=st.lists(st.builds(Turn, st.sampled_from(list(Role)), long_texts), max_size=6),
    fitting=st.integers(0, 6),
    more=st.integers(-3, 3),
    cut=st.sampled_from([{"allow_truncation": True}, {"trim_context": True}, {}]),
)
@example(text="a", context=[Turn(Role.USER, f" {IOTA * 8}" * 80)], fitting=1, more=0, cut={"allow_truncation": True})
def test_what_is_not_tokenized_would_have_been_cut(
    new_dense_tokenizer: NewTokenizer, text: str, context: list[Turn], fitting: int, more: int, cut: dict[str, Any]
) -> None:
    """The reference tokenizes everything, and leaves out then. There is room for about so many turns as fit."""
    reference = new_dense_tokenizer()
    fixed = len(laid_out(reference, "", []))
    room = max(1, len(laid_out(reference, text, context[len(context) - min(fitting, len(context)) :])) - fixed + more)
    exact = PromptEncoder(new_dense_tokenizer(), LAYOUT, Limits(fixed + room, 64, 4096))
    query = Query(text=text, context=tuple(context), **cut)
    utterance = ids_of(reference, text, special=False)
    kept = list(context)
    while kept and len(laid_out(reference, text, kept)) > fixed + room:
        del kept[0]
    refused = (not cut and len(kept) < len(context)) or (not query.allow_truncation and len(utterance) > room)

    if refused:
        with pytest.raises(InvalidInput):
            exact.encode_query(query)
        return
    whole = laid_out(reference, text, kept)
    tail = len(ids_of(reference, LAYOUT.suffix, special=True))
    expected = whole
    if len(utterance) > room:
        expected = [*whole[: len(whole) - tail - len(utterance) + room], *whole[len(whole) - tail :]]
    prompt = exact.encode_query(query)
    assert prompt.token_ids == expected
    assert prompt.truncated == (len(kept) < len(context) or len(utterance) > room)


@pytest.mark.parametrize("cut", [{"allow_truncation": True}, {"trim_context": True}])
def test_turns_that_cannot_be_in_the_prompt_are_no_work(
    encoder: PromptEncoder, new_tokenizer: NewTokenizer, cut: dict[str, Any]
) -> None:
    narrowed, said = narrow(encoder, new_tokenizer, 100), "wake me up at seven " * 1_000
    query = Query(text="hello", context=tuple(Turn(Role.USER, said) for _ in range(64)), **cut)

    assert narrowed.work(query) == len("hello")
    assert narrowed.work(Query(text="hello", context=(Turn(Role.USER, "hi"),), **cut)) == len("hello") + len("hi")


@pytest.mark.parametrize("query", [Query("wake me " * 1_000), Query("wake me " * 1_000, trim_context=True)])
def test_what_surely_does_not_fit_is_no_work(encoder: PromptEncoder, new_tokenizer: NewTokenizer, query: Query) -> None:
    with pytest.raises(InvalidInput):
        narrow(encoder, new_tokenizer, 100).work(query)


@given(text=texts.filter(bool), context=st.lists(turns, min_size=1, max_size=5))
def test_an_accumulated_context_is_trimmed_though_the_text_may_not_be(
    encoder: PromptEncoder, new_tokenizer: NewTokenizer, text: str, context: list[Turn]
) -> None:
    room = len(encoder.encode(text).token_ids) - len(encoder.encode("").token_ids)
    exact = narrow(encoder, new_tokenizer, room)

    prompt = exact.encode_query(Query(text=text, context=tuple(context), trim_context=True))

    assert prompt.token_ids == encoder.encode(text).token_ids
    assert prompt.truncated


@pytest.mark.parametrize("trim_context", [False, True])
def test_too_long_a_text_is_refused_by_name(
    encoder: PromptEncoder, new_tokenizer: NewTokenizer, trim_context: bool
) -> None:
    exact = narrow(encoder, new_tokenizer, 3)

    with pytest.raises(InvalidInput) as caught:
        exact.encode_query(Query(text="zzzz", context=(Turn(Role.USER, "a"),), trim_context=trim_context))

    assert [violation.field for violation in caught.value.violations] == ["text"]


def test_too_long_a_context_is_refused_by_name(encoder: PromptEncoder, new_tokenizer: NewTokenizer) -> None:
    exact = narrow(encoder, new_tokenizer, 4)

    with pytest.raises(InvalidInput) as caught:
        exact.encode_query(Query(text="zzzz", context=(Turn(Role.USER, "a"),)))

    assert [violation.field for violation in caught.value.violations] == ["context"]
    assert "allow_truncation" in str(caught.value)


def test_a_turn_without_a_role_is_refused(encoder: PromptEncoder) -> None:
    with pytest.raises(InvalidInput):
        encoder.encode("a", [Turn(None, "b")])


def test_a_prompt_without_room_for_an_utterance_is_refused(encoder: PromptEncoder, new_tokenizer: NewTokenizer) -> None:
    with pytest.raises(ValueError, match="no room"):
        narrow(encoder, new_tokenizer, 0)


def test_all_prompts_begin_with_the_prefix(encoder: PromptEncoder, reference: Tokenizer) -> None:
    assert encoder.prefix_tokens == len(ids_of(reference, LAYOUT.prefix, special=True))
