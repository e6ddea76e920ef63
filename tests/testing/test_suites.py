"""The suites accept what keeps the contract and refuse what does not; the built-ins subclass them in tests/guide."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from attrs import field, frozen

from loraspec import Component
from loraspec.randomness import rng_of
from loraspec.stages import STAGES
from loraspec.testing import SUITES, DataSourceSuite, ModelFamilySuite, OptimizerSuite
from loraspec.testing.suites import AdapterSuite, CaptionTransformSuite, LauncherSuite, LRSchedulerSuite, ObjectiveSuite, TrackerSuite
from loraspec.testing.suites.models import tiny_base
from loraspec.values import Context, Loss


class TestTinyFamily(ModelFamilySuite):
    """The family that the suites lean on keeps its own suite."""

    use = "tiny:tiny"

    @pytest.fixture(autouse=True)
    def _tiny(self, tiny_plugin):
        """The tiny plugin is no built-in: install it."""


class TestTinyVelocity(TestTinyFamily):
    """With v-prediction too."""

    options: ClassVar = {"prediction": "v_prediction"}


class TestTinyData(DataSourceSuite):
    """So does its data source."""

    use = "tiny:tiny"

    @pytest.fixture(autouse=True)
    def _tiny(self, tiny_plugin):
        """The tiny plugin is no built-in: install it."""


def test_every_stage_with_a_built_in_has_a_suite():
    """Image transforms have no built-in yet, and so no suite."""
    assert set(SUITES) == {stage.name for stage in STAGES} - {"image_transform"}


# -- what is refused ---------------------------------------------------------------------------------------------------


@frozen
class _Silent:
    strength: float = field(default=1.0)


class _Shuffle:
    def __init__(self, deterministic: bool) -> None:
        self.deterministic = deterministic

    def __call__(self, descriptors, *, sample, rng):
        return tuple(descriptors[i] for i in rng.permutation(len(descriptors)))


class _Counting(_Shuffle):
    calls = 0

    def __call__(self, descriptors, *, sample, rng):
        self.calls += 1
        return (*descriptors, str(self.calls))


class _Global(_Shuffle):
    def __call__(self, descriptors, *, sample, rng):
        np.random.random()  # noqa: NPY002
        return tuple(descriptors)


class _Drawing(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.add_(torch.randn_like(parameter) * 1e-3)
        return super().step(closure)


class _Forgetful(torch.optim.Adam):
    def load_state_dict(self, state_dict):
        """Load nothing."""


def _batch_noise(family, *, batch):
    """An objective whose loss depends on the neighbours."""
    return Loss((batch.latents - batch.latents.mean()).square().flatten(1).mean(1))


def _rising(optimizer, *, total_steps):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 + step)


class _Listener:
    def log(self, metrics, *, step):
        """Nothing."""

    from loraspec import hookimpl

    @hookimpl
    def loraspec_after_stepp(self, run):
        """A misspelt event."""


class _Deaf:
    """An adapter whose weight does nothing."""

    def inject(self, family, *, rng):
        self.bias = torch.nn.Parameter(torch.zeros(4))
        old = family.denoiser.conv_out.forward
        family.denoiser.conv_out.forward = lambda x: old(x) + self.bias[:, None, None]
        return [{"params": [self.bias]}]

    def set_weight(self, weight):
        """Nothing."""


def _refused(check, *values):
    with pytest.raises((AssertionError, ValueError, RuntimeError)):
        check(*values)


def test_component_checks_refuse_silence():
    """An option without help and a build without docstring are found."""
    component = Component("silent", _Silent, lambda options: object())

    _refused(OptimizerSuite().test_every_option_has_help, component)
    _refused(OptimizerSuite().test_component_has_a_summary, component)


def test_optimizer_suite_refuses_bad_optimizers():
    """One that stands still, one that draws, one that forgets its state, one that is no optimizer."""
    suite = OptimizerSuite()

    _refused(suite.test_ten_steps_lower_the_loss, partial(torch.optim.SGD, lr=0.0))
    _refused(suite.test_steps_do_not_draw, partial(_Drawing, lr=0.1))
    _refused(suite.test_state_survives_save_and_load, partial(_Forgetful, lr=0.1))
    _refused(suite.test_factory_takes_parameter_groups, lambda groups: object())


def test_lr_scheduler_suite_refuses_rates_above_the_given_one():
    """A schedule is a share of the learning rate."""
    _refused(LRSchedulerSuite().test_rates_stay_between_zero_and_the_given_one, _rising, 40)


def test_caption_transform_suite_refuses_impure_transforms():
    """State between calls, global draws, and a wrong ``deterministic``."""
    suite = CaptionTransformSuite()

    _refused(suite.test_the_same_draw_gives_the_same_caption, _Counting(True))
    _refused(suite.test_global_random_state_is_left_alone, _Global(True))
    _refused(suite.test_deterministic_means_no_draw, _Shuffle(True))
    suite.test_deterministic_means_no_draw(_Shuffle(False))


def test_objective_suite_refuses_losses_that_mix_samples(tmp_path):
    """A loss depends on its own visit only."""
    context = Context(tmp_path, rng_of(1), lambda hook: ())

    _refused(ObjectiveSuite().test_a_loss_depends_on_its_own_visit_only, _batch_noise, context)


def test_adapter_suite_refuses_an_adapter_without_weight(tmp_path):
    """``set_weight`` has to scale the effect."""
    family = tiny_base(Context(tmp_path, rng_of(1), lambda hook: ()))

    _refused(AdapterSuite().test_weight_scales_the_effect, _Deaf(), family)


def test_tracker_suite_refuses_misspelt_events():
    """An event that does not exist would never be called."""
    import pluggy

    with pytest.raises(pluggy.PluginValidationError, match="loraspec_after_stepp"):
        TrackerSuite().test_it_keeps_the_contract(_Listener())


def test_launcher_suite_refuses_a_lost_exit_code():
    """The exit code is the work's."""

    class Lost:
        def launch(self, work, *, command):
            work()
            return 0

    _refused(LauncherSuite().test_it_returns_the_exit_code, Lost(), 3)
