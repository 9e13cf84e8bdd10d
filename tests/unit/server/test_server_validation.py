"""Validation: every field that is wrong is named, and another model never answers in silence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_server.errors import InvalidInput, ModelNotServed
from intently_server.types import ModelSelector, Query, Role, Turn
from intently_server.validation import QueryLimits, QueryValidator

INTENTS = ("alarm", "balance", "weather")
LIMITS = QueryLimits(max_text_chars=20, max_context_turns=3)
VALIDATOR = QueryValidator(INTENTS, LIMITS, revision="a" * 64, labels=["stable"])


def fields_at_fault(query: Query) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        VALIDATOR.check(query)
    return [violation.field for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": " \t\n　"}, "text"),
        ({"text": "x" * 21}, "text"),
        ({"context": (Turn(Role.USER, "a"),) * 4}, "context"),
        ({"context": (Turn(Role.USER, "a"), Turn(None, "b"))}, "context[1].role"),
        ({"context": (Turn(Role.USER, "a"), Turn(Role.USER, ""))}, "context[1].text"),
        ({"context": (Turn(Role.USER, "x" * 21),)}, "context[0].text"),
        ({"request_id": "x" * 65}, "request_id"),
        ({"language_code": "english language"}, "language_code"),
        ({"language_code": "e"}, "language_code"),
        ({"language_code": "en-"}, "language_code"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": -1}, "top_k"),
        ({"min_confidence": -0.01}, "min_confidence"),
        ({"min_confidence": 1.01}, "min_confidence"),
        ({"min_confidence": float("nan")}, "min_confidence"),
        ({"candidate_intents": ("alarm", "alarm")}, "candidate_intents"),
        ({"candidate_intents": ("alarm", "alarms")}, "candidate_intents[1]"),
        ({"candidate_intents": ("",)}, "candidate_intents[0]"),
        ({"candidate_intents": (*INTENTS, "alarm")}, "candidate_intents"),
        ({"model": ModelSelector()}, "model"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], field: str) -> None:
    assert fields_at_fault(Query(**{"text": "wake me", **wrong})) == [field]


def test_all_that_is_wrong_is_named_at_once() -> None:
    query = Query(text="", request_id="x" * 65, top_k=-1, candidate_intents=("nothing",))

    assert fields_at_fault(query) == ["text", "request_id", "top_k", "candidate_intents[0]"]


def test_a_flood_of_unknown_candidates_is_not_echoed_whole() -> None:
    many = QueryValidator([f"intent_{i}" for i in range(50)], LIMITS, "a" * 64, [])

    with pytest.raises(InvalidInput) as caught:
        many.check(Query(text="wake me", candidate_intents=tuple(f"no {i}" for i in range(50))))

    assert [violation.field for violation in caught.value.violations] == [f"candidate_intents[{i}]" for i in range(10)]


@pytest.mark.parametrize(
    ("turns", "candidates", "fields"),
    [(4, 0, ["context"]), (0, 4, ["candidate_intents"]), (10**7, 10**7, ["context", "candidate_intents"])],
)
def test_lists_are_counted_before_they_are_read(turns: int, candidates: int, fields: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        VALIDATOR.check_counts(turns, candidates)

    assert [violation.field for violation in caught.value.violations] == fields


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"text": "x" * 20},
        {"text": "。"},
        {"context": (Turn(Role.USER, "a"), Turn(Role.ASSISTANT, "b"), Turn(Role.USER, "c"))},
        {"request_id": "x" * 64},
        {"language_code": "en"},
        {"language_code": "zh-Hans-CN"},
        {"top_k": 1},
        {"top_k": 2**31 - 1},
        {"min_confidence": 0.0},
        {"min_confidence": 1.0},
        {"candidate_intents": INTENTS},
        {"model": ModelSelector(revision="a" * 64)},
        {"model": ModelSelector(label="stable")},
    ],
)
def test_what_is_right_is_accepted(right: dict[str, Any]) -> None:
    VALIDATOR.check(Query(**{"text": "wake me", **right}))


@pytest.mark.parametrize(
    "selector", [ModelSelector(revision="b" * 64), ModelSelector(label="canary"), ModelSelector(label="")]
)
def test_another_model_is_not_served(selector: ModelSelector) -> None:
    with pytest.raises(ModelNotServed):
        VALIDATOR.check(Query(text="wake me", model=selector))


@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=3))
def test_what_users_said_is_never_echoed(secret: str) -> None:
    query = Query(text=secret * 20, context=(Turn(None, secret), Turn(Role.USER, secret * 20)))

    with pytest.raises(InvalidInput) as caught:
        VALIDATOR.check(query)

    assert secret not in str(caught.value)
