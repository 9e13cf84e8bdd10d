"""The last step of a run, when it is asked for: the bundle's answers, and the gate on what quantizing lost."""

import sys
from functools import partial
from pathlib import Path
from typing import Literal

from rich.console import Console

from intently_build.evaluation.answering import Answering, ServerAnswering, TransformersAnswering
from intently_build.evaluation.dataset import Source
from intently_build.evaluation.evaluate import Request, evaluate
from intently_build.evaluation.gate import Gate
from intently_build.evaluation.report.html_report import write_reports
from intently_build.evaluation.server_process import ServerSettings, serve
from intently_build.evaluation.tables import print_comparison, print_evaluation
from intently_build.recipe import Recipe

Engine = Literal["server", "transformers"]
IN_FLIGHT = 32
LOSSES = (0.01, 0.05)  # shares of the in-scope rows
START_TIMEOUT = 600.0  # seconds
KV_CACHE_GIB = 1.0


def judge(
    recipe_path: Path, recipe: Recipe, bundles: tuple[Path, ...], engine: Engine, folder: Path, console: Console
) -> bool:
    """Evaluates the bundles on the recipe's test rows, the first as the reference of the others.

    A recipe whose test rows are kept from whoever builds is judged by its validation rows, which is said.
    Answers are kept in `folder`, so that an evaluation that was stopped goes on with the next bundle; results go into
    the manifests. Returns whether every bundle passes the recipe's gate. Raises BuildError.
    """
    split: Literal["test", "validation"] = "test" if recipe.data.test else "validation"
    if split == "validation":
        console.print(
            f"{recipe_path}: names no test rows; asked about the validation rows, on which the model was chosen and "
            "calibrated",
            highlight=False,
            soft_wrap=True,
        )
    request = Request(
        bundles=bundles,
        reference=None,
        source=Source(split=split, recipe=recipe_path),
        in_flight=IN_FLIGHT,
        losses=LOSSES,
        costs=None,
        output=folder / "answers",
        write=True,
    )
    results = evaluate(request, _answering(engine), console)
    gate = Gate(recipe.evaluate.gate.accuracy, recipe.evaluate.gate.macro_f1)
    failures = gate.failures(results)
    if results.reference is None:
        print_evaluation(results, console)
    else:
        print_comparison(results, console)
    write_reports(folder / "report.html", results, gate, failures)
    if failures:
        print(f"intently-build: {'; '.join(failures)}", file=sys.stderr)  # noqa: T201  # the command line's own voice
    return not failures


def _answering(engine: Engine) -> Answering:
    if engine == "transformers":
        return TransformersAnswering()
    settings = ServerSettings("auto", KV_CACHE_GIB, START_TIMEOUT)
    return ServerAnswering(partial(serve, settings=settings), "auto", IN_FLIGHT)
