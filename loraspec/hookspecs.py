"""The hooks: what a plugin may implement. Mark implementations with ``loraspec.hookimpl``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    from loraspec.components import Component
    from loraspec.contracts import Batch
    from loraspec.errors import Problem

PROJECT = "loraspec"
API_VERSION = 1
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class RegistrationHooks:
    """Called once when plugins are discovered, on every installed plugin. Import torch inside ``build``, not at the top.

    Each returns components; the spec selects by name, so the order of plugins decides nothing. Hook wrappers are refused.
    """

    @hookspec
    def loraspec_register_model_family(self) -> Iterable[Component]:
        """Offer model families for ``[model]``; ``facts(options, context=)`` must give ``ModelFacts`` without torch."""

    @hookspec
    def loraspec_register_data_source(self) -> Iterable[Component]:
        """Offer data sources for ``[[data.sources]]``; ``build`` gives a ``DataSource``."""

    @hookspec
    def loraspec_register_image_transform(self) -> Iterable[Component]:
        """Offer image transforms for ``[[data.transforms]]``; ``build`` gives an ``ImageTransform``."""

    @hookspec
    def loraspec_register_captioner(self) -> Iterable[Component]:
        """Offer captioners for ``[captions.captioner]``; ``build`` gives a ``Captioner``."""

    @hookspec
    def loraspec_register_caption_transform(self) -> Iterable[Component]:
        """Offer caption transforms for ``[[captions.transforms]]``; ``build`` gives a ``CaptionTransform``."""

    @hookspec
    def loraspec_register_adapter(self) -> Iterable[Component]:
        """Offer adapters for ``[adapter]``; ``facts(options, model=)`` must give ``AdapterFacts`` without torch."""

    @hookspec
    def loraspec_register_optimizer(self) -> Iterable[Component]:
        """Offer optimizers for ``[optimizer]``; ``build`` gives ``factory(parameter_groups) -> Optimizer``."""

    @hookspec
    def loraspec_register_lr_scheduler(self) -> Iterable[Component]:
        """Offer lr schedulers for ``[lr_scheduler]``; ``build`` gives ``factory(optimizer, *, total_steps)``."""

    @hookspec
    def loraspec_register_objective(self) -> Iterable[Component]:
        """Offer objectives for ``[objective]``; ``build`` gives an ``Objective``."""

    @hookspec
    def loraspec_register_evaluator(self) -> Iterable[Component]:
        """Offer evaluators for ``[[evaluators]]``; ``build`` gives an ``Evaluator``."""

    @hookspec
    def loraspec_register_exporter(self) -> Iterable[Component]:
        """Offer exporters for ``[[exporters]]``; ``facts(options, adapter=, model=, header=, stem=)`` gives ``ExportFacts``."""

    @hookspec
    def loraspec_register_tracker(self) -> Iterable[Component]:
        """Offer trackers for ``[[trackers]]``; ``build`` gives a ``Tracker``."""

    @hookspec
    def loraspec_register_callback(self) -> Iterable[Component]:
        """Offer callbacks for ``[[callbacks]]``; ``build`` gives any object with event methods."""

    @hookspec
    def loraspec_register_launcher(self) -> Iterable[Component]:
        """Offer launchers for ``[launcher]``; ``build`` gives a ``Launcher``."""

    @hookspec
    def loraspec_register_hookspecs(self) -> Iterable[Any]:
        """Offer namespaces of further registration hooks (no arguments, prefix ``loraspec_<plugin>_register_``).

        Other plugins implement them; components read the results with ``Context.extensions(hook name)``.
        """


class PlanHooks:
    """Called while a plan is made, on plugins that own one of its components."""

    @hookspec
    def loraspec_check_plan(self, plan: Any) -> Iterable[Problem] | None:
        """Report what is wrong with a plan that is valid key by key. ``plan`` is ``loraspec.plan.Plan``."""


class RunHooks:
    """Events of one run, called on the objects that this plan built, in spec order. Take any subset of the arguments.

    ``run`` is ``loraspec.engine.run.Run``. A failing callback fails the run; a failing tracker is muted.
    """

    @hookspec
    def loraspec_before_run(self, run: Any) -> None:
        """Stage objects are built, nothing is loaded."""

    @hookspec
    def loraspec_after_prepare(self, run: Any, manifest: list[dict[str, Any]]) -> None:
        """Images are read, placed, captioned and encoded."""

    @hookspec
    def loraspec_before_epoch(self, run: Any, epoch: int) -> None:
        """An epoch (from 1) begins."""

    @hookspec
    def loraspec_before_step(self, run: Any, step: int, batch: Batch) -> None:
        """Before the forward pass of optimizer step ``step`` (from 1); ``batch`` is its first micro-batch."""

    @hookspec
    def loraspec_after_backward(self, run: Any, step: int) -> None:
        """Gradients are complete and not yet clipped."""

    @hookspec
    def loraspec_after_step(self, run: Any, step: int, metrics: Mapping[str, Any]) -> None:
        """After every optimizer step; values are still on the device: reading one waits for it."""

    @hookspec
    def loraspec_after_log(self, run: Any, step: int, metrics: Mapping[str, float]) -> None:
        """At the logging cadence; plain floats."""

    @hookspec
    def loraspec_after_epoch(self, run: Any, epoch: int) -> None:
        """The epoch's files are committed."""

    @hookspec
    def loraspec_after_checkpoint(self, run: Any, step: int, path: Path) -> None:
        """What resuming needs is committed."""

    @hookspec
    def loraspec_after_evaluation(self, run: Any, evaluator: str, metrics: Mapping[str, float]) -> None:
        """An evaluator is done."""

    @hookspec
    def loraspec_after_ranking(self, run: Any, ranking: Any) -> None:
        """Every evaluator is done; ``ranking`` is ``loraspec.sweetspot.ranking.Ranking``, as in ``ranking.json``.

        It is None when no metric gave numbers.
        """

    @hookspec
    def loraspec_on_progress(self, run: Any, phase: str, done: int, total: int) -> None:
        """A phase other than training moved on: ``done`` of ``total`` items.

        Phases: ``caption``, ``prepare``, ``encode``, ``sample`` (drawing between two epochs), ``grid``, ``judged`` (drawing what metrics
        look at), ``measure NAME``, ``confirm`` (drawing fresh seeds), ``confirm NAME``.
        """

    @hookspec
    def loraspec_on_message(self, run: Any, text: str, severity: str) -> None:
        """Something a person should read; ``severity`` is ``info`` or ``warning``."""

    @hookspec
    def loraspec_on_error(self, run: Any, error: BaseException) -> None:
        """The run is about to fail."""

    @hookspec
    def loraspec_after_run(self, run: Any, outcome: str) -> None:
        """Always, last: ``done``, ``stopped`` or ``failed``."""
