"""Tables on the terminal: how one bundle does, and how several do side by side."""

from rich.console import Console
from rich.table import Column, Table

from intently_build.evaluation.figures import BundleResult, Comparison, Performance, Quality, Results
from intently_build.evaluation.per_intent import absent_in_words
from intently_build.evaluation.record import manifest_evaluation


def print_evaluation(results: Results, console: Console) -> None:
    """Prints the figures of the only bundle, and what each operating point gives there."""
    evaluation = manifest_evaluation(results, results.bundles[0])
    console.print(
        f"{evaluation.dataset} {evaluation.split}, {evaluation.engine}: {evaluation.in_scope_rows} rows in scope, "
        f"{evaluation.out_of_scope_rows} out of scope",
        highlight=False,
    )
    figures = Table("accuracy", "macro-F1", "ECE", "ECE if perfect (p95)", "out-of-scope AUROC")
    auroc = f"{evaluation.out_of_scope_auroc:.4f}" if evaluation.HasField("out_of_scope_auroc") else "n/a"
    figures.add_row(
        f"{evaluation.accuracy:.2%}",
        f"{evaluation.macro_f1:.4f}",
        f"{evaluation.ece:.4f}",
        f"{evaluation.ece_perfect_p95:.4f}",
        auroc,
    )
    points = Table("operating point", "in-scope accuracy", "in scope kept", "out-of-scope recall")
    for point in evaluation.operating_points:
        recall = f"{point.out_of_scope_recall:.2%}" if point.HasField("out_of_scope_recall") else "n/a"
        points.add_row(point.name, f"{point.in_scope_accuracy:.2%}", f"{point.in_scope_kept:.2%}", recall)
    console.print(figures, *_absent(results), points, highlight=False)


def print_single(bundle: BundleResult, console: Console) -> None:
    """Prints what the manifest has no place for: recall at the chosen losses, cost, speed, memory and size."""
    quality = bundle.quality
    facts = Table("", "", show_header=False, box=None)
    for point in quality.out_of_scope.chosen if quality.out_of_scope else ():
        facts.add_row(
            f"out-of-scope recall at {point.in_scope_loss:.1%} in-scope loss", f"{point.out_of_scope_recall:.2%}"
        )
    if quality.mean_cost is not None:
        facts.add_row("mean cost of an utterance", f"{quality.mean_cost:.4f}")
    facts.add_row("size on disk", f"{bundle.bytes_on_disk / 1e6:.2f} MB")
    if bundle.performance:
        facts.add_row("while evaluated", _speed(bundle.performance))
        facts.add_row("memory of the server, at most", _memory(bundle.performance))
    console.print(facts)


def print_comparison(results: Results, console: Console) -> None:
    """Prints the bundles side by side; the first is the reference."""
    console.print(
        f"{results.dataset} {results.split}: {results.in_scope_rows} rows in scope, {results.out_of_scope_rows} out of "
        f"scope; the reference is {results.reference}",
        highlight=False,
    )
    right = _table("format", "accuracy", "macro-F1")
    beside = _table("agreement", "only reference right", "only this right", "McNemar p")
    trust = _table("ECE", "if perfect (p95)", "AUROC", "mean cost")
    effort = _table("on disk", "memory", "calls/s", "p50, ms", "p99, ms")
    for bundle in results.bundles:
        right.add_row(bundle.name, bundle.format, *_right(bundle))
        trust.add_row(bundle.name, *_trust(bundle.quality))
        effort.add_row(bundle.name, f"{bundle.bytes_on_disk / 1e6:.2f} MB", *_effort(bundle.performance))
        if found := bundle.comparison:
            only = (str(found.only_reference_right), str(found.only_this_right))
            beside.add_row(bundle.name, f"{found.agreement:.2%}", *only, f"{found.mcnemar_p:.3f}")
    console.print(right, *_absent(results), beside, trust, effort, highlight=False)
    in_flight = next((bundle.performance.in_flight for bundle in results.bundles if bundle.performance), None)
    if in_flight is not None:
        console.print(f"Speed is as one client with {in_flight} calls in flight saw it during this evaluation.")
    for bundle in results.bundles:
        if bundle.comparison and bundle.comparison.worst_hit:
            console.print(f"{bundle.name}, worst hit: {_worst(bundle.comparison)}", highlight=False)


def _absent(results: Results) -> list[str]:
    said = absent_in_words(results)
    return [said] if said else []


def _table(*columns: str) -> Table:
    """Returns a table with a line for each bundle, whose name is never cut."""
    return Table(Column("bundle", overflow="fold", no_wrap=True), *columns)


def _right(bundle: BundleResult) -> tuple[str, str]:
    accuracy, macro_f1, found = f"{bundle.quality.accuracy:.2%}", f"{bundle.quality.macro_f1:.2%}", bundle.comparison
    if found is None:
        return accuracy, macro_f1
    return f"{accuracy} ({_change(found.accuracy_lost)})", f"{macro_f1} ({_change(found.macro_f1_lost)})"


def _change(lost: float) -> str:
    return f"{round(-lost, 2) + 0.0:+.2f}"  # a zero is written without a minus


def _trust(quality: Quality) -> tuple[str, ...]:
    auroc = f"{quality.out_of_scope.auroc:.4f}" if quality.out_of_scope else "n/a"
    cost = "n/a" if quality.mean_cost is None else f"{quality.mean_cost:.4f}"
    return (f"{quality.ece:.4f}", f"{quality.ece_perfect_p95:.4f}", auroc, cost)


def _effort(found: Performance | None) -> tuple[str, ...]:
    if found is None:
        return ("n/a",) * 4
    return (_memory(found), f"{found.calls_per_second:.1f}", f"{found.p50_ms:.1f}", f"{found.p99_ms:.1f}")


def _speed(found: Performance) -> str:
    return (
        f"{found.calls_per_second:.1f} calls/s, p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms "
        f"({found.in_flight} in flight)"
    )


def _memory(found: Performance) -> str:
    return "n/a" if found.peak_memory_bytes is None else f"{found.peak_memory_bytes / 2**20:,.0f} MiB"


def _worst(found: Comparison) -> str:
    return ", ".join(f"{each.intent} {each.reference_recall:.0%} → {each.recall:.0%}" for each in found.worst_hit[:5])
