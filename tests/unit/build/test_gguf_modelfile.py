"""The Modelfile: the utterance goes where the server puts it, and the answer is one token."""

import re
from dataclasses import replace

import pytest

from intently_build.errors import BuildError
from intently_build.gguf_export.modelfile import modelfile, rendered, template
from intently_build.prompt import PromptLayout

LAYOUT = PromptLayout(
    prefix="<|im_start|>What is it?\n<|im_end|>\n",
    utterance_open="<|utterance|>",
    suffix="<|im_end|><|intent|>",
    user_open="<|im_start|>user\n",
    user_close="<|im_end|>\n",
    assistant_open="<|im_start|>assistant\n",
    assistant_close="<|im_end|>\n",
)
WHOLE = '''FROM ./toy-q8_0.gguf
TEMPLATE """<|im_start|>What is it?
<|im_end|>
{{ range $place, $message := .Messages }}{{ if eq (len (slice $.Messages $place)) 1 }}<|utterance|>{{ .Content }}<|im_end|><|intent|>{{ else if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|im_start|>assistant
{{ .Content }}<|im_end|>
{{ end }}{{ end }}"""
PARAMETER temperature 0
PARAMETER num_predict 1
PARAMETER num_ctx 1025
PARAMETER stop "<|endoftext|>"
'''  # noqa: E501  # a template has no place for more line ends


def test_the_whole_file() -> None:
    assert modelfile("toy-q8_0.gguf", LAYOUT, "<|endoftext|>", 1025) == WHOLE


def test_one_utterance_is_rendered_as_the_template_has_it() -> None:
    before, rest = template(LAYOUT).split("{{ range $place, $message := .Messages }}")
    utterance, _, _ = rest.removeprefix("{{ if eq (len (slice $.Messages $place)) 1 }}").partition("{{ else if")
    assert rendered(LAYOUT, "freeze it") == before + utterance.replace("{{ .Content }}", "freeze it")


def test_what_a_template_would_take_for_its_own_stays_text() -> None:
    assert template(replace(LAYOUT, prefix="say {{ .Role }}!")).startswith('say {{ "{{" }} .Role }}!{{ range')


def test_what_ollama_would_drop_is_spelled_out() -> None:
    said = template(replace(LAYOUT, prefix="全\u3000角\u200b\tand a tab\n", suffix="\u00a0"))
    assert said.startswith('全{{ "\\U00003000" }}角{{ "\\U0000200b" }}\tand a tab\n{{ range')
    assert '{{ .Content }}{{ "\\U000000a0" }}{{ else if' in said
    assert all(character.isprintable() or character in "\n\t" for character in said)


# What the documentation of the Modelfile names, with the kind of each value.
INSTRUCTIONS = {"FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE"}
PARAMETERS: dict[str, type] = {
    "num_ctx": int,
    "num_predict": int,
    "repeat_last_n": int,
    "seed": int,
    "top_k": int,
    "temperature": float,
    "repeat_penalty": float,
    "top_p": float,
    "min_p": float,
    "stop": str,
}
LINE = re.compile(r'(?P<name>[A-Za-z]+)[ \t]+(?P<value>"""(?s:.*?)"""|"[^"\n]*"|[^"\n][^\n]*)\n')


def test_every_line_is_one_of_the_documented_grammar() -> None:
    text = modelfile(
        "toy-q8_0.gguf", replace(LAYOUT, prefix='say "PARAMETER" {{ .Role }}\nFROM # here\n'), "<|end|>", 1025
    )
    found, place = [], 0
    while place < len(text):
        line = LINE.match(text, place)
        assert line, text[place : place + 40]
        assert line["name"] in INSTRUCTIONS
        found.append((line["name"], line["value"]))
        place = line.end()
    assert [name for name, _ in found] == ["FROM", "TEMPLATE", *["PARAMETER"] * 4]
    assert found[0][1] == "./toy-q8_0.gguf"
    assert found[1][1].count('"""') == 2
    for _, value in found[2:]:
        name, _, given = value.partition(" ")
        assert PARAMETERS[name](given) is not None
    assert found[-1][1] == 'stop "<|end|>"'


def test_what_ends_a_template_is_refused() -> None:
    with pytest.raises(BuildError, match='the prompt has """ in it'):
        template(replace(LAYOUT, suffix='say """'))
