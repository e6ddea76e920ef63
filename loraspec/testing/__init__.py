"""For plugin authors: ``pytest_plugins = ["loraspec.testing"]`` gives fixtures, and one suite per stage is here to subclass."""

from __future__ import annotations

from loraspec.testing.fixtures import (
    Outcome,
    RunOutcome,
    install_plugin,
    loraspec_cli,
    make_plan,
    run_spec,
    spec_file,
    tiny_plugin,
)
from loraspec.testing.suites import (
    SUITES,
    AdapterSuite,
    CallbackSuite,
    CaptionerSuite,
    CaptionTransformSuite,
    ComponentSuite,
    DataSourceSuite,
    EvaluatorSuite,
    ExporterSuite,
    LauncherSuite,
    LRSchedulerSuite,
    MetricSuite,
    ModelFamilySuite,
    ObjectiveSuite,
    OptimizerSuite,
    TrackerSuite,
)
from loraspec.testing.tiny import TINY_SPEC

__all__ = [
    "SUITES",
    "TINY_SPEC",
    "AdapterSuite",
    "CallbackSuite",
    "CaptionTransformSuite",
    "CaptionerSuite",
    "ComponentSuite",
    "DataSourceSuite",
    "EvaluatorSuite",
    "ExporterSuite",
    "LRSchedulerSuite",
    "LauncherSuite",
    "MetricSuite",
    "ModelFamilySuite",
    "ObjectiveSuite",
    "OptimizerSuite",
    "Outcome",
    "RunOutcome",
    "TrackerSuite",
    "install_plugin",
    "loraspec_cli",
    "make_plan",
    "run_spec",
    "spec_file",
    "tiny_plugin",
]
