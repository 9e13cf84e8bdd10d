"""Results of an evaluation for tests, reckoned from answers that the test makes up."""

import numpy as np

from intently.v1 import bundle_pb2
from intently_build.calibration import Floats
from intently_build.evaluation.agreement import compare
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.figures import BundleResult, Performance, Results
from intently_build.evaluation.scoring import Scale, score

NAMES = tuple(f"intent_{n}" for n in range(20))
ROWS, OUTSIDE = 1000, 50
CALIBRATION = bundle_pb2.Calibration(
    out_of_scope_threshold=0.6, operating_points=[bundle_pb2.OperatingPoint(name="keep-99", threshold=0.6)]
)


def scale(costs: Floats | None = None) -> Scale:
    return Scale(np.arange(ROWS) % len(NAMES), NAMES, (0.01, 0.05), costs)


def answers(wrong: int) -> Answers:
    """Answers of which the first `wrong` in-scope rows are not right; confidence is the same as ever."""
    generator = np.random.default_rng(7)
    intents = np.concatenate([np.arange(ROWS) % len(NAMES), np.zeros(OUTSIDE, dtype=np.int64)])
    intents[:wrong] = (intents[:wrong] + 1) % len(NAMES)
    confidences = np.concatenate([generator.uniform(0.6, 1, ROWS), generator.uniform(0.1, 0.7, OUTSIDE)])
    return Answers(intents, confidences, 1 - confidences)


def results(*wrong: int, names: tuple[str, ...] = ("first", "second", "third"), served: bool = True) -> Results:
    """An evaluation of a bundle for each number of wrong answers; the first is the reference."""
    given = [answers(each) for each in wrong]
    scored = [(each, score(scale(), each, CALIBRATION)) for each in given]
    bundles = tuple(
        BundleResult(
            name=names[place],
            revision="0" * 64,
            format="bfloat16",
            engine="intently-server vllm 0.32.0 bfloat16",
            bytes_on_disk=8_000_000 - 1_000_000 * place,
            quality=quality,
            comparison=compare(scored[0], (each, quality), scale().right) if place else None,
            performance=Performance(32, ROWS + OUTSIDE, 10.0 / (place + 1), 20.0, 60.0, 2**30) if served else None,
        )
        for place, (each, quality) in enumerate(scored)
    )
    return Results("toys", "test", ROWS, OUTSIDE, ("ab" * 32,), names[0] if len(wrong) > 1 else None, bundles)
