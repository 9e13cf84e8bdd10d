"""What is wrong with a query, field by field, before anything is spent on it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from intently_server.errors import InvalidInput, ModelNotServed, Violation
from intently_server.types import ModelSelector, Query, Turn

MAX_REQUEST_ID_CHARS = 64
_SHOWN_CHARS = 32  # of a name that the caller gave, in an error: trailers have little room
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Bounds of one query: characters of a text, turns of context."""

    max_text_chars: int
    max_context_turns: int


class QueryValidator:
    """Validates queries against one model.

    Args:
        intents: All intents of the model.
        limits: Of the model and the server, whichever is narrower.
        revision: Of the model.
        labels: By which the model may be selected here.
    """

    def __init__(self, intents: Collection[str], limits: QueryLimits, revision: str, labels: Collection[str]) -> None:
        self._intents = frozenset(intents)
        self._limits = limits
        self._revision = revision
        self._labels = frozenset(labels)

    def check(self, query: Query) -> None:
        """Accepts `query` in silence.

        Raises:
            InvalidInput: names every field that is wrong.
            ModelNotServed: if another model is asked for.
        """
        self.check_counts(len(query.context), len(query.candidate_intents))
        violations = [
            *self._text("text", query.text),
            *self._turns("context", query.context),
            *self._ids(query),
            *self._answer(query),
        ]
        if violations:
            raise InvalidInput(violations)
        if query.model is not None:
            self.check_model(query.model)

    def check_counts(self, turns: int, candidates: int) -> None:
        """Accepts the lengths of a query's lists in silence: before millions of items are made into values.

        Raises:
            InvalidInput: names the list that is too long.
        """
        violations = []
        if turns > self._limits.max_context_turns:
            violations.append(Violation("context", f"has {turns} turns; the limit is {self._limits.max_context_turns}"))
        if candidates > len(self._intents):
            violations.append(
                Violation("candidate_intents", f"has {candidates} names; this model has {len(self._intents)} intents")
            )
        if violations:
            raise InvalidInput(violations)

    def check_turns(self, turns: Sequence[Turn], field: str) -> None:
        """Accepts a conversation in silence.

        Raises:
            InvalidInput: names every turn that is wrong as an element of `field`.
        """
        violations = self._turns(field, turns)
        if violations:
            raise InvalidInput(violations)

    def check_model(self, selector: ModelSelector, field: str = "model") -> None:
        """Accepts a selector of the model that is served, in silence.

        Raises:
            InvalidInput: if the selector is empty.
            ModelNotServed: if it selects another model.
        """
        if selector.revision is None and selector.label is None:
            raise InvalidInput.of(field, "select by revision or by label, or leave it out")
        if selector.revision is not None and selector.revision != self._revision:
            raise ModelNotServed(
                f"revision {selector.revision[:_SHOWN_CHARS]!r} is not served here, but {self._revision}"
            )
        if selector.label is not None and selector.label not in self._labels:
            served = ", ".join(sorted(self._labels)) or "none"
            raise ModelNotServed(f"label {selector.label[:_SHOWN_CHARS]!r} is not served here; labels here: {served}")

    def _text(self, field: str, text: str) -> list[Violation]:
        limit = self._limits.max_text_chars
        if len(text) > limit:
            return [Violation(field, f"has {len(text)} characters; the limit is {limit}")]
        if not text.strip():
            return [Violation(field, "is empty")]
        return []

    def _turns(self, field: str, turns: Sequence[Turn]) -> list[Violation]:
        violations: list[Violation] = []
        for index, turn in enumerate(turns):
            if turn.role is None:
                violations.append(Violation(f"{field}[{index}].role", "must be ROLE_USER or ROLE_ASSISTANT"))
            violations += self._text(f"{field}[{index}].text", turn.text)
        return violations

    def _ids(self, query: Query) -> list[Violation]:
        violations = []
        if len(query.request_id) > MAX_REQUEST_ID_CHARS:
            violations.append(Violation("request_id", f"is longer than {MAX_REQUEST_ID_CHARS} characters"))
        if query.language_code and not _LANGUAGE_TAG.fullmatch(query.language_code):
            violations.append(Violation("language_code", 'is no BCP-47 tag such as "en" or "zh-Hans"'))
        return violations

    def _answer(self, query: Query) -> list[Violation]:
        violations = []
        if query.top_k is not None and query.top_k < 1:
            violations.append(Violation("top_k", f"is {query.top_k}; it must be at least 1"))
        if query.min_confidence is not None and not 0.0 <= query.min_confidence <= 1.0:
            violations.append(Violation("min_confidence", "must lie between 0 and 1"))
        if len(set(query.candidate_intents)) < len(query.candidate_intents):
            violations.append(Violation("candidate_intents", "has repeats"))
        violations += [
            Violation(
                f"candidate_intents[{index}]", f"{name[:_SHOWN_CHARS]!r} is no intent of this model; see ListIntents"
            )
            for index, name in enumerate(query.candidate_intents)
            if name not in self._intents
        ]
        return violations
