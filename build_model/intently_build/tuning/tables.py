"""What a tuning found, as a table on the terminal, and what was chosen and why."""

from rich.console import Console
from rich.table import Table

from intently_build.tuning.bench import Step
from intently_build.tuning.candidate import Trial
from intently_build.tuning.tune import Tuning

_NOISE = "was something else at work here during the search?"


def print_tuning(tuning: Tuning, console: Console) -> None:
    """Prints each candidate, the choice, and whether it was confirmed."""
    name = f"p{tuning.slo.percent}"
    table = Table("sequences", "tokens", "rate found, /s", f"{name} there, ms", "goodput, /s", "")
    for trial in tuning.outcome.trials:
        table.add_row(*_row(trial, trial is tuning.outcome.best))
    console.print(table)
    profile, confirmation = tuning.profile, tuning.confirmation
    if profile is None or confirmation is None:
        _say(console, f"no settings keep {tuning.slo.text} at any rate that was tried; no profile was written")
        return
    best = tuning.outcome.best
    _say(console, f"chosen: {best.candidate}, with the highest rate; the search ended since {tuning.outcome.ended}")
    _say(console, ", ".join(f"{key} {value}" for key, value in profile.settings.items()))
    _say(console, f"at {_step(confirmation.promised, name)}")
    _say(console, f"at {_step(confirmation.overload, name)} of those that were taken")
    for failure in confirmation.failures:
        _say(console, f"not confirmed: {failure}")
    if tuning.no_gain:
        first = tuning.outcome.trials[0].candidate
        _say(console, f"warning: measured once more, {first} reach {best.rate:.4g}/s too: {_NOISE}")
    if confirmation.overload.keeps(tuning.slo):
        _say(console, f"warning: the latency is kept at twice the rate too: {_NOISE}")
    if profile.confirmed:
        _say(console, f"confirmed: {tuning.slo.text} at {profile.tuned.rate:g}/s")


def _row(trial: Trial, chosen: bool) -> tuple[str, ...]:
    candidate, found = trial.candidate, trial.found
    names = [str(value or "default") for value in (candidate.max_sequences, candidate.max_batched_tokens)]
    if found:
        figures = (f"{found.rate:.4g}", f"{found.percentile_s * 1e3:.1f}", f"{found.goodput:.4g}")
        return (*names, *figures, "chosen" if chosen else "")
    if trial.reason:
        return (*names, "-", "-", "-", "not measured")
    if trial.to_beat is None:
        return (*names, "none", "-", "-", "")
    late = "" if trial.late_s is None else f"{trial.late_s * 1e3:.1f}"
    return (*names, f"below {trial.to_beat:.4g}", late, "-", "no gain")


def _step(step: Step, name: str) -> str:
    refused = f", {step.refused / step.sent:.1%} refused" if step.refused else ""
    return f"{step.rate:.4g}/s: {step.goodput:.4g} answered a second{refused}, {name} {step.percentile_s * 1e3:.1f} ms"


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
