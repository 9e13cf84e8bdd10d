"""The sections on what the model reads: the prompt's fixed pieces, its limits, and examples."""

from intently_build.recipe.section import NonEmpty, PositiveInt, Section


class Turns(Section):
    """What stands before and after a turn of the context."""

    user_open: NonEmpty
    user_close: NonEmpty
    assistant_open: NonEmpty
    assistant_close: NonEmpty


class PromptText(Section):
    """The fixed pieces of the prompt, as at `Prompt` in bundle.proto."""

    prefix: NonEmpty
    utterance_open: str
    suffix: NonEmpty
    turns: Turns


class Limits(Section):
    """What the model takes: tokens of a whole prompt, turns of context."""

    max_input_tokens: PositiveInt = 1024
    max_context_turns: PositiveInt = 16


class Example(Section):
    """An utterance, with the user's and the assistant's turns before it in turn, for the golden vectors."""

    text: NonEmpty
    context: tuple[NonEmpty, ...] = ()
