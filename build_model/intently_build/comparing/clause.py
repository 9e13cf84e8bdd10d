"""The clause of a long reason that says why; the whole of it stays in results.json."""

import re

LONGEST = 200  # characters

_LINES = " / "  # between the last lines of a log, as an error of the server has them
_ADVICE = re.compile(r"For further information visit")  # pydantic's
_INPUT = re.compile(r"\s*\[type=.*")  # what pydantic was given, which may be a whole configuration
_SENTENCE = re.compile(r"\.(?: (?=[A-Z])|$)")


def one_clause(reason: str) -> str:
    """Returns the reason, short: of the last lines of a log the last one that says something."""
    first, *others = " ".join(reason.split()).split(_LINES)
    telling = [said for said in (_INPUT.sub("", line).strip() for line in others if not _ADVICE.match(line)) if said]
    clause = f"{first.partition(': ')[0]}: {_SENTENCE.split(telling[-1])[0]}" if telling else _INPUT.sub("", first)
    return clause if len(clause) <= LONGEST else f"{clause[: LONGEST - 1].rstrip()}…"
