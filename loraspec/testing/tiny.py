"""The plugin ``tiny``: a model family and a data source that train in a second on one core, for tests.

This module is light; the model itself is in ``loraspec.testing.tiny_model``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen, validators

from loraspec import Component, hookimpl, option
from loraspec.randomness import Rng
from loraspec.values import Context, ModelFacts, Sample, Scan, Target

if TYPE_CHECKING:
    from loraspec.testing.tiny_model import TinyFamily

WIDTH = 8
TEXT_WIDTH = 6
CHANNELS = 4
SCALE = 8
TOKENS = 16

TINY_SPEC = """\
loraspec = 1

[run]
name = "tiny"
seed = 1808

[model]
use = "tiny:tiny"

[data]
repeats = 2
resolution = 32
buckets = { step = 8, min = 16, max = 64 }

[[data.sources]]
use = "tiny:tiny"
rights = "own"

[adapter]
rank = 2
alpha = 2.0

[train]
epochs = 2
batch_size = 2
mixed_precision = "no"
device = "cpu"

[grid]
prompts = ["square, by Tiny"]
weights = [1.0]
sampler = "ddim"
steps = 2
guidance = 1.0
"""
GRID_ONLY = '\n[[evaluators]]\nuse = "grid"\n'
TINY_SPEC += GRID_ONLY  # metrics take longer than all else that it asks for


@frozen
class TinyOptions:
    """Options of the model family ``tiny``."""

    seed: int = option(default=0, help="Seed of the base's weights.")
    prediction: str = option(default="epsilon", help="What the denoiser predicts.", validator=validators.in_(["epsilon", "v_prediction"]))


@frozen
class TinyDataOptions:
    """Options of the data source ``tiny``."""

    images: int = option(default=4, help="Number of images.", validator=validators.gt(0))
    size: int = option(default=32, help="Side of an image.", unit="px", validator=validators.ge(16))
    rights: str = option(default="own", help="Whose pictures these are.")


def tiny_facts(options: TinyOptions, *, context: Context) -> ModelFacts:
    """What ``plan`` knows of the tiny family."""
    block = "down_blocks.0.attentions.0"
    inner = f"{block}.transformer_blocks.0"
    targets = [Target("unet", f"{block}.proj_in", WIDTH, WIDTH, conv=True)]
    for name, width in (("attn1", WIDTH), ("attn2", TEXT_WIDTH)):
        targets.append(Target("unet", f"{inner}.{name}.to_q", WIDTH, WIDTH))
        targets += [Target("unet", f"{inner}.{name}.{part}", width, WIDTH) for part in ("to_k", "to_v")]
        targets.append(Target("unet", f"{inner}.{name}.to_out.0", WIDTH, WIDTH))
    targets.append(Target("unet", f"{block}.proj_out", WIDTH, WIDTH, conv=True))
    return ModelFacts(
        family="sd15",  # the word that exporters go by; the block names are those of SD 1.5
        step=SCALE,
        native_resolution=32,
        latent_channels=CHANNELS,
        latent_scale=SCALE,
        text_widths=(TEXT_WIDTH,),
        pooled_width=0,
        max_tokens=TOKENS,
        targets=tuple(targets),
        prediction=options.prediction,
        base="tiny",
        default_size=(32, 32),
        unet_config={
            "block_out_channels": (WIDTH,),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D",),
            "up_block_types": (),
        },
    )


def tiny_family(options: TinyOptions) -> TinyFamily:
    """A denoiser of a few hundred weights with the block names of SD 1.5; patches for a VAE, a table for a text encoder."""
    from loraspec.testing.tiny_model import TinyFamily

    return TinyFamily(options)


@frozen
class TinyData:
    """Squares of one colour on a ground of another, with captions."""

    options: TinyDataOptions

    def scan(self, context: Context) -> Scan:
        """Return the samples; nothing is drawn until one is read."""
        size = self.options.size
        samples = [
            Sample(
                key=f"{number:03}.png",
                width=size,
                height=size,
                caption=f"square, ground {number}, flat colour, by Tiny",
                rights=self.options.rights,
                credits="",
                read=partial(_draw, context.rng, number, size),
            )
            for number in range(self.options.images)
        ]
        return Scan(tuple(samples))


def _draw(rng: Rng, number: int, size: int) -> bytes:
    from PIL import Image

    ground, ink = ((rng("tiny", number, part).random(3) * 255).astype("uint8").tolist() for part in ("ground", "ink"))
    image = Image.new("RGB", (size, size), tuple(ground))
    image.paste(tuple(ink), (size // 4, size // 4, size // 2, size // 2))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@hookimpl
def loraspec_register_model_family() -> Iterable[Component]:
    """Offer ``tiny``."""
    return [Component("tiny", TinyOptions, tiny_family, facts=tiny_facts)]


@hookimpl
def loraspec_register_data_source() -> Iterable[Component]:
    """Offer ``tiny``."""
    return [Component("tiny", TinyDataOptions, TinyData)]
