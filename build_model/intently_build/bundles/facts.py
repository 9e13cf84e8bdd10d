"""What is to be said of a bundle beyond its manifest's own fields: labels by domain, tokens of the prompt, sizes."""

from dataclasses import dataclass
from pathlib import Path

from intently.v1 import bundle_pb2
from intently_build.bundles.golden import TOKENIZER
from intently_build.bundles.manifest import manifest_layout
from intently_build.errors import BuildError
from intently_build.prompt import PromptEncoder


@dataclass(frozen=True)
class PromptLength:
    """Tokens of the prompt, all computed by the bundle's tokenizer.

    Attributes:
      prefix: what all requests share, and vLLM caches.
      around: what stands around the utterance behind the prefix, and is computed anew.
      shortest, longest: the shortest and the longest golden vector.
      limit: of a whole prompt.
    """

    prefix: int
    around: int
    shortest: int
    longest: int
    limit: int

    @property
    def room(self) -> int:
        """Tokens that are left for utterance and context."""
        return self.limit - self.prefix - self.around


@dataclass(frozen=True)
class BundleFacts:
    """What is computed for a page about a bundle.

    Attributes:
      domains: domain to the names of its intents, both in the label set's order; "" for those without.
      prompt: its length.
      bytes: of all files that the manifest lists.
      weight_bytes: of those with the weights.
    """

    domains: dict[str, list[str]]
    prompt: PromptLength
    bytes: int
    weight_bytes: int


def bundle_facts(folder: Path, manifest: bundle_pb2.BundleManifest) -> BundleFacts:
    """Returns them. Raises BuildError if the tokenizer cannot be read."""
    domains: dict[str, list[str]] = {}
    for intent in manifest.label_set.intents:
        domains.setdefault(intent.domain, []).append(intent.name)
    return BundleFacts(
        domains=domains,
        prompt=_prompt_length(folder, manifest),
        bytes=sum(file.size for file in manifest.files),
        weight_bytes=sum(file.size for file in manifest.files if file.path.endswith(".safetensors")),
    )


def _prompt_length(folder: Path, manifest: bundle_pb2.BundleManifest) -> PromptLength:
    try:
        encoder = PromptEncoder(folder / TOKENIZER, manifest_layout(manifest.prompt))
    except Exception as error:  # the library raises no narrower one
        raise BuildError(f"{folder / TOKENIZER}: is no tokenizer: {error}; try intently-build verify") from error
    lengths = [len(golden.token_ids) for golden in manifest.golden_vectors] or [0]
    return PromptLength(
        prefix=len(encoder.prefix_ids),
        around=len(encoder.tail([])),
        shortest=min(lengths),
        longest=max(lengths),
        limit=manifest.limits.max_input_tokens,
    )
