"""The figures of an evaluation: what is said of each bundle, and of all of them. Shares are 0 to 1."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """What an operating point gives; the recall is None where no row is out of scope."""

    name: str
    in_scope_accuracy: float
    in_scope_kept: float
    out_of_scope_recall: float | None


@dataclass(frozen=True)
class Bin:
    """In-scope rows of a confidence over `low`, at most `high`: how sure and how often right, 0 if there are none."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class LossPoint:
    """The out-of-scope recall of the threshold that takes at most this share of the in-scope rows as out of scope."""

    in_scope_loss: float
    out_of_scope_recall: float


@dataclass(frozen=True)
class OutOfScope:
    """How well out-of-scope rows are told apart. Its thresholds are chosen on these very rows.

    Attributes:
      auroc: area under the ROC curve of the out-of-scope confidence.
      chosen: at the in-scope losses that were asked for.
      curve: from no loss to all.
    """

    auroc: float
    chosen: tuple[LossPoint, ...]
    curve: tuple[LossPoint, ...]


@dataclass(frozen=True)
class IntentFigures:
    """How one intent does on in-scope rows; `rows` are those it is right for."""

    intent: str
    rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Confusion:
    """How many in-scope rows of the intent `right` are taken for `predicted`."""

    right: str
    predicted: str
    rows: int


@dataclass(frozen=True)
class Quality:
    """How good a bundle's answers are. Accuracy, macro-F1, ECE and bins are of first predictions on in-scope rows.

    Attributes:
      ece_perfect_p95: 95th percentile of the ECE of a perfectly calibrated model with the same confidences.
      out_of_scope: None where the set has no such rows.
      confusions: all of them, the most frequent first.
      mean_cost: what a row costs by the cost matrix, if one was given: rows in and out of scope, at the bundle's
        threshold.
    """

    accuracy: float
    macro_f1: float
    ece: float
    ece_perfect_p95: float
    bins: tuple[Bin, ...]
    points: tuple[Point, ...]
    out_of_scope: OutOfScope | None
    intents: tuple[IntentFigures, ...]
    confusions: tuple[Confusion, ...]
    mean_cost: float | None


@dataclass(frozen=True)
class IntentChange:
    """An intent of which fewer rows are right than with the reference."""

    intent: str
    rows: int
    reference_recall: float
    recall: float


@dataclass(frozen=True)
class Comparison:
    """A bundle beside the reference.

    Attributes:
      agreement: share of all rows, in and out of scope, with the same first prediction.
      only_reference_right, only_this_right: in-scope rows that one of the two has right.
      mcnemar_p: of McNemar's exact test, two-sided: how likely a difference as large as this is by chance alone.
      accuracy_lost, macro_f1_lost: in points (hundredths); less than 0 where this bundle does better.
      worst_hit: the intents that lost the most rows, at most ten.
    """

    agreement: float
    only_reference_right: int
    only_this_right: int
    mcnemar_p: float
    accuracy_lost: float
    macro_f1_lost: float
    worst_hit: tuple[IntentChange, ...]


@dataclass(frozen=True)
class Level:
    """How fast the server answered one client that kept `in_flight` calls under way; the rest is as in Performance."""

    in_flight: int
    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def calls_per_second(self) -> float:
        """Calls that were answered in a second."""
        return self.calls / self.seconds


@dataclass(frozen=True)
class Performance:
    """How fast the server answered *while it was evaluated*, one client keeping `in_flight` calls under way.

    Attributes:
      calls: calls that were answered.
      seconds: from the first call to the last answer.
      p50_ms, p99_ms: how long a call took, as the client saw it; with more calls in flight they wait for each other.
      peak_memory_bytes: the greatest sum of the server's processes' memory on the host that was seen, pages that they
        share counted once. Memory of a GPU is not in it. None if it could not be read.
      peak_gpu_memory_bytes: how much more memory of this machine's GPUs was seen in use than before the server started,
        at most. None where there is no GPU that the driver tells of.
      levels: the same with fewer calls under way and, last, with `in_flight`, if fewer were asked for. Each is of rows
        of its own.
      kernels: what vLLM said that it computes Linear layers by, such as "Using MacheteLinearKernel for
        CompressedTensorsWNA16". None of plain bfloat16.
    """

    in_flight: int
    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float
    peak_memory_bytes: int | None
    peak_gpu_memory_bytes: int | None = None
    levels: tuple[Level, ...] = ()
    kernels: tuple[str, ...] = ()

    @property
    def calls_per_second(self) -> float:
        """Calls that were answered in a second."""
        return self.calls / self.seconds


@dataclass(frozen=True)
class BundleResult:
    """All that is said of one bundle.

    Attributes:
      name: what it is called here: unique.
      revision: its manifest's.
      format: how its weights are stored, in words.
      engine: what answered, in words.
      bytes_on_disk: of all files of its folder.
      comparison: None for the reference itself, and where there is none.
      performance: None where no server answered.
    """

    name: str
    revision: str
    format: str
    engine: str
    bytes_on_disk: int
    quality: Quality
    comparison: Comparison | None
    performance: Performance | None


@dataclass(frozen=True)
class NewRows:
    """The in-scope rows that are no training rows of the data set, capitals and white space aside.

    Attributes:
      rows: how many.
      repeated: how many others there are, which are.
      accuracy: of each bundle on the new ones, by its name.
    """

    rows: int
    repeated: int
    accuracy: dict[str, float]


@dataclass(frozen=True)
class Results:
    """An evaluation of bundles on the same rows.

    Attributes:
      reference: name of the bundle that the others are compared with; None where there is but one.
      data_sha256: of the files of the rows.
      new_rows: None where the training rows are not at hand.
    """

    dataset: str
    split: str
    in_scope_rows: int
    out_of_scope_rows: int
    data_sha256: tuple[str, ...]
    reference: str | None
    bundles: tuple[BundleResult, ...]
    new_rows: NewRows | None = None

    @property
    def absent_intents(self) -> int:
        """How many intents have no row here: each counts 0 in every macro-F1, however good a bundle is."""
        return sum(each.rows == 0 for each in self.bundles[0].quality.intents)
