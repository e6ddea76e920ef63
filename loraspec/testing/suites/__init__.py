"""One conformance suite per stage: subclass it as ``Test...``, set ``use``, and maybe ``options``."""

from __future__ import annotations

from loraspec.testing.suites.adapters import AdapterSuite, ObjectiveSuite
from loraspec.testing.suites.base import ComponentSuite
from loraspec.testing.suites.metrics import MetricSuite
from loraspec.testing.suites.models import ModelFamilySuite
from loraspec.testing.suites.optimizers import LRSchedulerSuite, OptimizerSuite
from loraspec.testing.suites.outputs import CallbackSuite, EvaluatorSuite, ExporterSuite, LauncherSuite, TrackerSuite
from loraspec.testing.suites.pictures import CaptionerSuite, CaptionTransformSuite, DataSourceSuite

SUITES: dict[str, type[ComponentSuite]] = {
    suite.stage: suite
    for suite in (
        ModelFamilySuite,
        DataSourceSuite,
        CaptionerSuite,
        CaptionTransformSuite,
        AdapterSuite,
        OptimizerSuite,
        LRSchedulerSuite,
        ObjectiveSuite,
        EvaluatorSuite,
        ExporterSuite,
        TrackerSuite,
        CallbackSuite,
        LauncherSuite,
    )
}

__all__ = [
    "SUITES",
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
    "TrackerSuite",
]
