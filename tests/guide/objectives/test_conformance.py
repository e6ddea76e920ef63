"""The built-in objective keeps the contract that strangers' plugins keep."""

from __future__ import annotations

from loraspec.testing.suites import ObjectiveSuite


class TestDenoising(ObjectiveSuite):
    use = "guide:denoising"


class TestDenoisingWithOptions(ObjectiveSuite):
    use = "guide:denoising"
    options = {"snr_gamma": 5.0, "noise_offset": 0.05}  # noqa: RUF012
