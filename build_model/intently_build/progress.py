"""The progress of a training run on the terminal: a bar with the time left, and a line for each epoch."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback


def progress_bar(console: Console) -> Progress:
    """Returns a bar that shows what is done, out of how much, and the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


class TrainingProgress(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Follows transformers' Trainer."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = progress_bar(console)
        self._task: TaskID | None = None

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Starts the bar where the run stands."""
        self._task = self._progress.add_task("training", total=state.max_steps, completed=state.global_step)
        self._progress.start()

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Moves the bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=state.global_step)

    def on_evaluate(self, _args: Any, state: Any, _control: Any, metrics: dict[str, float], **_kwargs: Any) -> None:
        """Says how the epoch went."""
        self._console.print(
            f"epoch {state.epoch or 0:.0f}  step {state.global_step}  "
            f"validation: accuracy {metrics['eval_accuracy']:.4f}  loss {metrics['eval_loss']:.4f}",
            highlight=False,
        )

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_kwargs: Any) -> None:
        """Takes the bar away."""
        self._progress.stop()
