"""The stages of the pipeline: where each stands in a spec and how many components it takes."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Count = Literal["one", "optional", "many"]


@frozen
class Stage:
    """A slot of the pipeline.

    Attributes:
        name: ``optimizer``; the words of the design, with underscores.
        table: Dotted place in a spec: ``optimizer``, ``captions.transforms``.
        count: ``one`` component, an ``optional`` one, or ``many`` in the order written.
        default: Component names that are used when the spec is silent; empty for none.
        torch_free: The built object serves ``plan`` too, so its module must not need torch.
    """

    name: str
    table: str
    count: Count
    default: tuple[str, ...] = ()
    torch_free: bool = False

    @property
    def hook(self) -> str:
        """The registration hook's name."""
        return f"loraspec_register_{self.name}"

    @property
    def title(self) -> str:
        """The stage's name as a person writes it: ``lr scheduler``."""
        return self.name.replace("_", " ")


METRICS = (
    "unet-progress", "texture-progress", "diffusion-margin", "copy-rate", "seed-variety", "artefacts",
    "heldout-loss", "member-auc", "prior-drift",
)  # fmt: skip
STAGES: tuple[Stage, ...] = (
    Stage("model_family", "model", "one"),
    Stage("data_source", "data.sources", "many", torch_free=True),
    Stage("image_transform", "data.transforms", "many", torch_free=True),
    Stage("captioner", "captions.captioner", "optional"),
    Stage("caption_transform", "captions.transforms", "many", torch_free=True),
    Stage("adapter", "adapter", "one", ("lora",)),
    Stage("optimizer", "optimizer", "one", ("dadapt-adamw",)),
    Stage("lr_scheduler", "lr_scheduler", "one", ("constant",)),
    Stage("objective", "objective", "one", ("denoising",)),
    Stage("evaluator", "evaluators", "many", ("grid", *METRICS)),
    Stage("exporter", "exporters", "many", ("kohya",)),
    Stage("tracker", "trackers", "many", ("jsonl", "console"), torch_free=True),
    Stage("callback", "callbacks", "many", torch_free=True),
    Stage("launcher", "launcher", "one", ("local",), torch_free=True),
)

STAGE = {stage.name: stage for stage in STAGES}
STAGE_OF_TABLE = {stage.table: stage for stage in STAGES}
