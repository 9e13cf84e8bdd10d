"""What a run of the benchmarks is asked to do: with which model and settings, for how long, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle with random weights, as `intently-build synth` makes it.

    Attributes:
        shape: Name of a published shape, or "toy".
        form: How its weights are stored: "fp8", "int8", "bf16", "gptq-int4", "awq".
        labels: Rows of the head.
        prefix_tokens: Tokens that all prompts begin with.
        max_tokens: Of a whole prompt.
    """

    shape: str
    form: str
    labels: int
    prefix_tokens: int
    max_tokens: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.shape}-{self.form}-{self.labels}-{self.prefix_tokens}"


@dataclass(frozen=True, slots=True)
class Asked:
    """How the studies are done.

    Attributes:
        work: Folder for bundles, prompts and logs.
        model: What is served, but for studies of other formats, labels or prefixes.
        settings: Of the server, as text; the same for its peers.
        forms: Of the study of formats.
        labels: Of the study of labels.
        prefixes: Of the study of prefixes, in tokens.
        lengths: Of the study of utterances, in tokens.
        concurrencies: Of closed loops: of the ladders, the first alone.
        tokens: Of utterances, the least and the most.
        slo: As `intently bench --slo` takes it.
        seconds: How long one thing is measured; other times follow from it.
        processes: Of the generator.
        rate: Of the open loops on a release, in calls a second.
        profiler: The command py-spy; None where it is missing.
        at_once: Whether bundles and servers of a study, which are measured one after the other, are made all together.
        patience: Times the limits of the studies: a CPU takes longer.
    """

    work: Path
    model: Model
    settings: Mapping[str, str]
    forms: tuple[str, ...]
    labels: tuple[int, ...]
    prefixes: tuple[int, ...]
    lengths: tuple[int, ...]
    concurrencies: tuple[int, ...]
    tokens: tuple[int, int]
    slo: str
    seconds: float
    processes: int
    rate: float
    profiler: str | None
    at_once: bool
    patience: float
