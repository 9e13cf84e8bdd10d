"""What a comparison is about: one unquantized classifier, and what bundles of it are packaged from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from intently.v1 import bundle_pb2
from intently_build.bundles.manifest import manifest_layout, read_manifest
from intently_build.dequantizing import is_quantized
from intently_build.describing import Contents
from intently_build.errors import BuildError
from intently_build.layout import prompt_layout
from intently_build.origin import Origin, quantized_origin
from intently_build.pipeline import load_build
from intently_build.recipe import Recipe, load_recipe
from intently_build.steps.digests import Digests
from intently_build.steps.step import Step
from intently_build.training_data import data_files, read_training_data


@dataclass(frozen=True)
class Subject:
    """The classifier.

    Attributes:
      path, recipe: the recipe's file, and what it says.
      folder: the classifier in bfloat16. There once `steps` are done.
      contents: gives what a bundle of the classifier, as it is stored in a folder, is packaged from.
      steps: that make it.
      digests: of files, each read once.
    """

    path: Path
    recipe: Recipe
    folder: Path
    contents: Callable[[Path], Contents]
    steps: tuple[Callable[[], Step], ...]
    digests: Digests


def subject_of_run(recipe: Path, run: Path | None) -> Subject:
    """Returns the classifier of a finished run of the recipe, in the folder `run` or in runs/ and its name.

    Raises BuildError if there is none.
    """
    build = load_build(recipe, run)
    if not build.model.exists():
        raise BuildError(
            f"{build.run.path}: no finished run there; `intently-build run {recipe}` makes one, --run names another, "
            "and --bundle names an unquantized bundle of this recipe instead"
        )
    if build.identity:
        build.run.check(build.identity)
    return Subject(
        recipe, build.recipe, build.run.head, build.contents, tuple(build.classifier_steps()[:1]), build.digests
    )


def subject_of_bundle(recipe_path: Path, bundle: Path) -> Subject:
    """Returns the classifier of an unquantized bundle. Raises BuildError if it is none, or not of this recipe."""
    recipe, text = load_recipe(recipe_path)
    data = read_training_data(recipe_path, recipe)
    manifest = read_manifest(bundle)
    if is_quantized(bundle):
        raise BuildError(f"{bundle}: quantized already; name the bundle that it was made from")
    if _labels(manifest) != data.labels.names:
        raise BuildError(f"{bundle}: has other labels, or in another order, than {recipe_path} gives")
    if manifest_layout(manifest.prompt) != prompt_layout(recipe.prompt):
        raise BuildError(f"{bundle}: asks with another prompt than {recipe_path} gives")
    origin = manifest.origin
    made = Origin(
        manifest.create_time.seconds,
        origin.base_model,
        origin.adapter,
        origin.parameters,
        dict(origin.tools),
        tuple(origin.teachers),
    )

    def contents(stored: Path) -> Contents:
        return Contents(
            recipe,
            text,
            data,
            recipe_path,
            data_files(recipe_path, recipe),
            stored,
            tuple(manifest.head.code_token_ids),
            quantized_origin(made, stored),
        )

    return Subject(recipe_path, recipe, bundle, contents, (), Digests())


def _labels(manifest: bundle_pb2.BundleManifest) -> tuple[str, ...]:
    label_set = manifest.label_set
    outside = (label_set.out_of_scope.name,) if label_set.HasField("out_of_scope") else ()
    return (*(intent.name for intent in label_set.intents), *outside)
