"""The bar that a run draws on a terminal: Lightning's, counting steps."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.progress import TextColumn

from .. import doors

pl = doors.lightning()


class Bar(pl.callbacks.RichProgressBar):  # type: ignore[misc,name-defined]
    """Steps of all steps on standard error, whatever of them an earlier call has done.

    Args:
        names: what figures that a run logs are called, where it is not as they are logged.
    """

    def __init__(self, names: Mapping[str, str]):
        super().__init__(console_kwargs={"stderr": True})
        self.names = names

    @property
    def total_train_batches(self) -> int:
        """Steps of the whole run."""
        return int(self.trainer.max_steps)

    def configure_columns(self, trainer: Any) -> list[Any]:
        """Steps in the place of epochs, of which there is one without end."""
        return [TextColumn("step"), *super().configure_columns(trainer)[1:]]

    def get_metrics(self, *given: Any) -> dict[str, Any]:
        """The run's figures; the logger has no version to tell."""
        items = {k: v for k, v in super().get_metrics(*given).items() if k != "v_num"}
        return {self.names.get(key, key): value for key, value in items.items()}

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A batch may be a part of a step, and the first one of those that are left."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, trainer.global_step - 1)


def shown(quiet: bool) -> bool:
    """Whether there is somebody to draw for: not in a log."""
    return not quiet and sys.stderr.isatty()
