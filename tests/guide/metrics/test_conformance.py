"""The embedded metrics keep the contract of a metric."""

from __future__ import annotations

from typing import Any

import pytest

from loraspec.testing import MetricSuite
from loraspec.testing.pipelines import build_tiny


class TestTextureProgress(MetricSuite):
    """Style by textures."""

    use = "texture-progress"
    tolerance = 0.0


class TestCopyRate(MetricSuite):
    """Originality by layout."""

    use = "copy-rate"
    tolerance = 0.0


class TestSeedVariety(MetricSuite):
    """Variety by layout and colour."""

    use = "seed-variety"
    tolerance = 0.0


class TestArtefacts(MetricSuite):
    """Health."""

    use = "artefacts"
    tolerance = 0.0


class _OnAnSdxl(MetricSuite):
    """Metrics that ask the base's U-Net: a tiny SDXL folder instead of the tiny family."""

    @pytest.fixture(autouse=True)
    def base(self, tmp_path: Any) -> None:
        """Random weights of SDXL's shape."""
        build_tiny(tmp_path / "base", "sdxl-small")

    def spec(self, use: str, options: dict[str, Any]) -> str:
        """At 64 px."""
        text = super().spec(use, options).replace('use = "tiny:tiny"\n\n[data]', 'use = "sdxl"\ncheckpoint = "base"\n\n[data]')
        return text.replace("resolution = 32", "resolution = 64").replace("min = 16", "min = 64")


class TestUnetProgress(_OnAnSdxl):
    """Style by the U-Net's features."""

    use = "unet-progress"


class TestDiffusionMargin(_OnAnSdxl):
    """Prompt by the U-Net's errors."""

    use = "diffusion-margin"


class TestHeldoutLoss(_OnAnSdxl):
    """The loss of pictures that were never trained on."""

    use = "heldout-loss"


class TestMemberAuc(_OnAnSdxl):
    """How well the loss tells members."""

    use = "member-auc"


class TestPriorDrift(_OnAnSdxl):
    """What happens to other pictures."""

    use = "prior-drift"
