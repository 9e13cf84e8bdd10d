"""Ollama's Modelfile: the prompt as a template, and an answer of one token."""

from intently_build.errors import BuildError
from intently_build.prompt import PromptLayout

MODELFILE = "Modelfile"


def modelfile(weights: str, layout: PromptLayout, stop: str, context: int) -> str:
    """Returns the Modelfile's text.

    Args:
      weights: name of the GGUF file beside it.
      layout: the fixed pieces of the prompt.
      stop: the token that ends a text.
      context: how many tokens a prompt and its answer may have.

    Raises BuildError if a piece of the prompt cannot stand in a Modelfile.
    """
    return (
        f"FROM ./{weights}\n"
        f'TEMPLATE """{template(layout)}"""\n'
        "PARAMETER temperature 0\n"
        "PARAMETER num_predict 1\n"
        f"PARAMETER num_ctx {context}\n"
        f'PARAMETER stop "{stop}"\n'
    )


def template(layout: PromptLayout) -> str:
    """Returns the prompt in the language of Go's templates: the last message is the utterance, others are turns."""
    pieces = {name: _literal(piece) for name, piece in vars(layout).items()}
    said = "{{ .Content }}"
    utterance = f"{pieces['utterance_open']}{said}{pieces['suffix']}"
    user = f"{pieces['user_open']}{said}{pieces['user_close']}"
    assistant = f"{pieces['assistant_open']}{said}{pieces['assistant_close']}"
    return (
        f"{pieces['prefix']}{{{{ range $place, $message := .Messages }}}}"
        f"{{{{ if eq (len (slice $.Messages $place)) 1 }}}}{utterance}"
        f'{{{{ else if eq .Role "user" }}}}{user}'
        f'{{{{ else if eq .Role "assistant" }}}}{assistant}'
        "{{ end }}{{ end }}"
    )


def rendered(layout: PromptLayout, utterance: str) -> str:
    """Returns what the template makes of an utterance without turns before it."""
    return f"{layout.prefix}{layout.utterance_open}{utterance}{layout.suffix}"


def _literal(piece: str) -> str:
    if '"""' in piece:
        raise BuildError('the prompt has """ in it, which ends a template in a Modelfile')
    return "".join(map(_kept, piece.replace("{{", '{{ "{{" }}')))


def _kept(character: str) -> str:
    """Returns how a character is written so that Ollama keeps it: its parser drops what Go holds for unprintable.

    Such are all spaces but the ASCII one, and marks without a width.
    """
    return character if character.isprintable() or character in "\n\r\t" else f'{{{{ "\\U{ord(character):08x}" }}}}'
