"""The Modelfile: the utterance goes where the server puts it, and the answer is one token."""

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


def test_what_ends_a_template_is_refused() -> None:
    with pytest.raises(BuildError, match='the prompt has """ in it'):
        template(replace(LAYOUT, suffix='say """'))
