"""The manifest of a bundle whose weights are random, and says so."""

import os
import time
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision
from intently_build.bundles.golden import golden_vector
from intently_build.bundles.manifest import list_files, write_manifest
from intently_build.errors import BuildError
from intently_build.origin import EPOCH
from intently_build.package import NOTICES
from intently_build.prompt import PromptEncoder, PromptLayout
from intently_build.quantizing.formats import DTYPE, FORMATS
from intently_build.recipe import Example
from intently_build.reference import load_classifier
from intently_build.rows import Label, Labels
from intently_build.synth.speech import requests

NEVER = 2.0  # an out-of-scope threshold that no confidence reaches
TURNS = 8
TOOLS = ("torch", "transformers", "safetensors")


@dataclass(frozen=True)
class Description:
    """What the manifest is to say.

    Attributes:
      name: the model's.
      labels: the label of each row of the head.
      code_ids: the token that stands for each row; none if the head was made as one.
      layout: of its prompts.
      max_tokens: of a prompt.
      form: "bf16", or the name of a format.
      group_size: weights that share a scale, where the format has groups.
      made_by: how it was made, in place of a recipe.
      model: what it is, in place of a base model.
      parameters: of the causal model of that shape.
    """

    name: str
    labels: tuple[str, ...]
    code_ids: tuple[int, ...]
    layout: PromptLayout
    max_tokens: int
    form: str
    group_size: int
    made_by: str
    model: str
    parameters: int


def label_names(count: int) -> tuple[str, ...]:
    """Returns the names of so many made-up intents."""
    return tuple(f"intent-{row:04d}" for row in range(count))


def make_bundle(folder: Path, description: Description, device: str) -> str:
    """Makes a bundle of the classifier in `folder`: adds the manifest, its golden vectors computed on `device`.

    Returns its revision. Raises BuildError if the classifier's answers are not finite.
    """
    manifest = _manifest(description)
    labels = Labels(tuple(Label(intent.name, intent.description, "") for intent in manifest.label_set.intents), None)
    encoder = PromptEncoder(folder / "tokenizer.json", description.layout)
    classifier = load_classifier(folder, device)
    first, second, third = requests(0, 3)
    examples = (Example(text=first), Example(text=second), Example(text=third, context=(first, second)))
    for example in examples:
        golden = golden_vector(example, classifier, encoder, manifest.calibration.temperature, labels)
        if not abs(sum(golden.probabilities) - 1) < 1e-3:  # written so that NaN is wrong
            raise BuildError(f"{folder}: the weights give answers that are not finite; give another --seed")
        manifest.golden_vectors.append(golden)
    manifest.files.extend(list_files(folder, NOTICES))
    manifest.revision = compute_revision(manifest)
    write_manifest(folder, manifest)
    return manifest.revision


def _manifest(said: Description) -> bundle_pb2.BundleManifest:
    layout = said.layout
    kind = bundle_pb2.HEAD_KIND_CODE_TOKENS if said.code_ids else bundle_pb2.HEAD_KIND_TRAINED
    intents = [bundle_pb2.Intent(name=name, description="made up; its weights are random") for name in said.labels]
    return bundle_pb2.BundleManifest(
        format_version=1,
        name=said.name,
        create_time=Timestamp(seconds=_now()),
        language_codes=["en"],
        label_set=bundle_pb2.LabelSet(version=f"synthetic-{len(intents)}", intents=intents),
        prompt=bundle_pb2.Prompt(
            prefix=layout.prefix,
            utterance_open=layout.utterance_open,
            suffix=layout.suffix,
            turns=bundle_pb2.TurnLayout(
                user_open=layout.user_open,
                user_close=layout.user_close,
                assistant_open=layout.assistant_open,
                assistant_close=layout.assistant_close,
            ),
        ),
        head=bundle_pb2.Head(kind=kind, code_token_ids=said.code_ids),
        calibration=bundle_pb2.Calibration(
            temperature=1.0,
            out_of_scope_score=bundle_pb2.OUT_OF_SCOPE_SCORE_ONE_MINUS_MAX,
            out_of_scope_threshold=NEVER,
            fitted_on="nothing: the weights are random",
        ),
        limits=bundle_pb2.Limits(max_input_tokens=said.max_tokens, max_context_turns=TURNS),
        quantization=_stored_as(said),
        origin=bundle_pb2.Origin(
            base_model=said.model,
            recipe=said.made_by,
            recipe_sha256=sha256(said.made_by.encode()).hexdigest(),
            tools={name: version(name) for name in TOOLS},
            parameters=said.parameters,
        ),
    )


def _stored_as(said: Description) -> bundle_pb2.Quantization:
    if said.form not in FORMATS:
        return bundle_pb2.Quantization(method="none", bits=16, dtype=DTYPE)
    form = FORMATS[said.form]
    return bundle_pb2.Quantization(
        method=form.method, bits=form.bits, group_size=form.group(said.group_size), dtype=DTYPE
    )


def _now() -> int:
    epoch = os.environ.get(EPOCH, "")
    return int(epoch) if epoch.isdecimal() else int(time.time())
