"""The prompt layout of a recipe."""

from intently_build.prompt import PromptLayout
from intently_build.recipe import PromptText


def prompt_layout(text: PromptText) -> PromptLayout:
    """Returns the fixed pieces that a recipe gives."""
    turns = text.turns
    return PromptLayout(
        prefix=text.prefix,
        utterance_open=text.utterance_open,
        suffix=text.suffix,
        user_open=turns.user_open,
        user_close=turns.user_close,
        assistant_open=turns.assistant_open,
        assistant_close=turns.assistant_close,
    )
