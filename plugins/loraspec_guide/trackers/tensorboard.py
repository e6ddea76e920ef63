"""TensorBoard event files, written without torch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from attrs import define

from loraspec import hookimpl
from loraspec.errors import EnvironmentMissing


@define(eq=False)
class Tensorboard:
    """Writes scalars ``train/<metric>`` and ``<evaluator>/<metric>`` under ``run.folder / folder``.

    Raises:
        EnvironmentMissing: The package tensorboard is not installed.
    """

    folder: str = "tensorboard"
    _writer: Any = None

    def __attrs_post_init__(self) -> None:
        if find_spec("tensorboard") is None:
            raise EnvironmentMissing("tracker tensorboard needs the package tensorboard", hint="pip install 'loraspec[tensorboard]'")

    @hookimpl
    def loraspec_before_run(self, run: Any) -> None:
        """Open the event file; a resumed run gets another one beside it, which TensorBoard joins by step."""
        from tensorboard.summary import Writer

        self._writer = Writer(str(run.folder / self.folder))

    def log(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Add one point to every curve."""
        if self._writer is not None:
            for name, value in metrics.items():
                self._writer.add_scalar(f"train/{name}", value, step)

    @hookimpl
    def loraspec_after_evaluation(self, run: Any, evaluator: str, metrics: Mapping[str, float]) -> None:
        """Add what an evaluator measured, at the last step."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"{evaluator}/{name}", value, run.total_steps)

    @hookimpl
    def loraspec_after_run(self, run: Any, outcome: str) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
