"""What a manifest says of a bundle that no computation is needed for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from intently.v1 import bundle_pb2
from intently_build.adapting.checkpoint import read_json
from intently_build.dequantizing import is_quantized
from intently_build.errors import BuildError
from intently_build.origin import Origin
from intently_build.planning.stored import stored_format
from intently_build.quantizing.formats import DTYPE, FORMATS
from intently_build.quantizing.manifest import stored_as
from intently_build.quantizing.outcome import made_from
from intently_build.recipe import Data, EarlierData, Recipe
from intently_build.rows import Label, Labels, file_sha256
from intently_build.training_data import TrainingData


@dataclass(frozen=True)
class Contents:
    """All that a bundle is packaged from.

    Attributes:
      recipe, text: the recipe, and its text.
      data: its rows.
      path: the recipe's file.
      files: the rows' files.
      checkpoint: the classifier, as it is to be stored.
      code_ids: the code token of each row of the head; none if the head was trained.
      origin: where the model comes from.
    """

    recipe: Recipe
    text: str
    data: TrainingData
    path: Path
    files: Mapping[str, Path]
    checkpoint: Path
    code_ids: Sequence[int]
    origin: Origin


def describe(contents: Contents) -> bundle_pb2.BundleManifest:
    """Returns the manifest but for what the checkpoint must be asked: calibration, golden vectors, files, revision."""
    recipe = contents.recipe
    kind = bundle_pb2.HEAD_KIND_CODE_TOKENS if contents.code_ids else bundle_pb2.HEAD_KIND_TRAINED
    return bundle_pb2.BundleManifest(
        format_version=1,
        name=recipe.name,
        create_time=Timestamp(seconds=contents.origin.created),
        language_codes=recipe.languages,
        label_set=_label_set(recipe, contents.data.labels),
        prompt=_prompt(recipe),
        head=bundle_pb2.Head(kind=kind, code_token_ids=contents.code_ids),
        limits=bundle_pb2.Limits(
            max_input_tokens=recipe.limits.max_input_tokens, max_context_turns=recipe.limits.max_context_turns
        ),
        quantization=_stored_as(contents.checkpoint),
        origin=_origin(contents),
    )


def _source(data: Data | EarlierData, name: str, digest: str) -> bundle_pb2.DataSource:
    return bundle_pb2.DataSource(
        name=f"{data.name}/{name}", license=data.license, sha256=digest, attribution=data.attribution
    )


def _stored_as(checkpoint: Path) -> bundle_pb2.Quantization:
    """Returns how the weights are stored: by our own record, or else by what a published checkpoint's config says."""
    if not is_quantized(checkpoint) or made_from(checkpoint):
        return stored_as(checkpoint)
    stored = stored_format(read_json(checkpoint / "config.json", "copy it anew"))
    if stored.name is None or stored.name not in FORMATS:
        raise BuildError(f"{checkpoint}: quantized to a format that is not among {', '.join(FORMATS)}")
    form = FORMATS[stored.name]
    return bundle_pb2.Quantization(method=form.method, bits=form.bits, group_size=stored.group_size or 0, dtype=DTYPE)


def _label_set(recipe: Recipe, labels: Labels) -> bundle_pb2.LabelSet:
    def intent(label: Label) -> bundle_pb2.Intent:
        return bundle_pb2.Intent(name=label.name, description=label.description, domain=label.domain)

    label_set = bundle_pb2.LabelSet(
        version=recipe.label_set_version, intents=[intent(label) for label in labels.intents]
    )
    if labels.out_of_scope:
        label_set.out_of_scope.CopyFrom(intent(labels.out_of_scope))
    return label_set


def _prompt(recipe: Recipe) -> bundle_pb2.Prompt:
    prompt = recipe.prompt
    return bundle_pb2.Prompt(
        prefix=prompt.prefix,
        utterance_open=prompt.utterance_open,
        suffix=prompt.suffix,
        turns=bundle_pb2.TurnLayout(**prompt.turns.model_dump()),
    )


def _origin(contents: Contents) -> bundle_pb2.Origin:
    recipe, origin = contents.recipe, contents.origin
    return bundle_pb2.Origin(
        base_model=origin.base_model,
        adapter=origin.adapter,
        recipe=contents.text,
        recipe_sha256=sha256(contents.text.encode()).hexdigest(),
        data=[
            *(_source(recipe.data, name, digest) for name, digest in contents.data.train.files),
            *(
                _source(earlier, name, file_sha256(contents.path.parent / earlier.folder / name))
                for earlier in recipe.earlier_data
                for name in earlier.train
            ),
        ],
        tools=origin.tools,
        parameters=origin.parameters,
        teachers=origin.teachers,
    )
