"""The spec's own tables as attrs classes; a stage's table is a ``Choice``."""

from __future__ import annotations

import re
from typing import Any, Literal

from attrs import Attribute, field, frozen, validators

from loraspec.components import option

FORMAT = 1


@frozen
class Choice:
    """One stage table: the component's name (maybe ``plugin:name``) and the raw options beside it."""

    use: str
    options: dict[str, Any] = field(factory=dict)


def positive(most: int | None = None) -> Any:
    """Greater than 0, and at most ``most``: far beyond use, near enough that a slip of the finger is told at once."""
    return validators.gt(0) if most is None else [validators.gt(0), validators.le(most)]


_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def portable(_: object, attribute: Attribute[str], value: str) -> None:
    """Refuse names that some system cannot give to a file."""
    if _DEVICES.fullmatch(value):
        raise ValueError(f"{value!r} is the name of a device on Windows")
    if value.endswith("."):
        raise ValueError(f"{value!r} ends with a dot, which Windows drops")


MOST_PX = 16384
MOST_ROUNDS = 100_000


def number(validator: Any) -> Any:
    """Ask a validator for numbers alone: words were checked by the type."""

    def check(instance: object, attribute: Attribute[Any], value: Any) -> None:
        if not isinstance(value, str):
            validator(instance, attribute, value)

    return check


def above_one(_: object, attribute: Attribute[float], value: float) -> None:
    """Above 1 and at most 2, or 0 for none."""
    if value and not 1 < value <= 2:
        raise ValueError(f"'{attribute.name}' must be above 1 and at most 2, or 0 for none: {value:g}")


def side() -> Any:
    """A side in px, 0 for none."""
    return [validators.ge(0), validators.le(MOST_PX)]


@frozen
class RunTable:
    """``[run]``"""

    name: str = field(
        validator=[validators.matches_re(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"), portable],
        metadata={"help": "Name of the run, for its folder and files: letters, digits, dot, - and _.", "unit": "", "code": "E-SPEC-NAME"},
    )
    seed: int = option(default=0, help="Seed of every random draw.", validator=[validators.ge(0), validators.lt(2**63)])
    output: str | None = option(
        default=None, help="Folder of the run, relative to the working directory; when absent ``runs/<name>-<hash>``.",
    )


@frozen
class Buckets:
    """``data.buckets``"""

    step: int = option(default=64, help="Sides of buckets are multiples of this.", unit="px", validator=positive(MOST_PX))
    min: int = option(default=512, help="Least side of a bucket.", unit="px", validator=positive(MOST_PX))
    max: int = option(default=2048, help="Largest side of a bucket.", unit="px", validator=positive(MOST_PX))
    upscale: bool = option(default=False, help="Enlarge images that are smaller than their bucket; otherwise they get a smaller bucket.")


@frozen
class Expect:
    """``data.expect``"""

    images: tuple[int, int] = option(
        default=(30, 100), help="Least and largest number of images that the recipe expects; outside is a warning.",
    )
    min_side: int = option(
        default=0, help="Least side that an image should have; smaller ones are named in a warning.",
        unit="px", validator=validators.ge(0),
    )


@frozen
class DataTable:
    """``[data]``"""

    sources: tuple[Choice, ...] = option(help="Where images and captions come from.", validator=validators.min_len(1))
    repeats: int = option(default=10, help="How often each image is seen in an epoch.", validator=positive(MOST_ROUNDS))
    resolution: int = option(default=1024, help="Side of the square whose area buckets keep to.", unit="px", validator=positive(MOST_PX))
    buckets: Buckets = option(factory=Buckets, help="Aspect-ratio buckets.")
    expect: Expect = option(factory=Expect, help="What the data should look like.")
    transforms: tuple[Choice, ...] = option(default=(), help="Image transforms, in order.")


@frozen
class Lint:
    """``captions.lint``"""

    ignore: tuple[str, ...] = option(
        default=(), help="Codes of `loraspec captions lint` that are not told, such as C104 or D003.",
        validator=validators.deep_iterable(validators.matches_re(r"[CD]\d{3}")),
    )
    min_descriptors: int = option(default=5, help="Captions with fewer descriptors are remarked (C101).", validator=positive())
    near: float = option(
        default=0.92, help="Share of words in common from which two captions are remarked as alike (C112).",
        validator=[validators.gt(0), validators.le(1)],
    )
    fused: float = option(
        default=0.85, help="Share of captions from which a descriptor that all have is remarked (C117).",
        validator=[validators.gt(0), validators.le(1)],
    )


@frozen
class CaptionsTable:
    """``[captions]``"""

    separator: str = option(default=",", help="What separates descriptors in a caption.", validator=validators.min_len(1))
    style_tag: str = option(default="", help="The descriptor that names the style; grid prompts and captions without it are warned about.")
    first_prefix: str = option(default="", help="How every first descriptor starts; others are warned about.")
    max_tokens: int = option(
        default=75, help="Longest caption that is trained without a warning, start and end not counted.",
        unit="tokens", validator=positive(),
    )
    review: Literal["none", "required"] = option(
        default="none", help="With ``required`` nothing is trained before a person approved every caption (`loraspec captions review`).",
    )
    instructions: str = option(default="", help="What a captioner is told to write; when empty, what the guide says of captions.")
    examples: tuple[str, ...] = option(default=(), help="Captions that a captioner is shown as examples.")
    lint: Lint = option(factory=Lint, help="What `loraspec captions lint` remarks.")
    captioner: Choice | None = option(default=None, help="Drafts captions for images that have none.")
    transforms: tuple[Choice, ...] = option(default=(), help="Caption transforms, in order, drawn anew for every visit.")


@frozen
class TrainTable:
    """``[train]``"""

    epochs: int = option(default=20, help="Number of epochs; each leaves a weight file.", validator=positive(MOST_ROUNDS))
    batch_size: int = option(default=1, help="Images in one forward pass.", validator=positive(MOST_ROUNDS))
    gradient_accumulation_steps: int = option(default=1, help="Forward passes for one optimizer step.", validator=positive(MOST_ROUNDS))
    mixed_precision: Literal["no", "bf16", "fp16"] = option(
        default="bf16", help="dtype of the forward and backward pass; adapter weights stay float32.",
    )
    gradient_checkpointing: bool = option(
        default=False, help="Recompute activations in the backward pass: less memory, about half a step slower.",
    )
    max_grad_norm: float = option(default=1.0, help="Gradients are scaled down to this norm; 0 leaves them.", validator=validators.ge(0))
    device: str = option(default="auto", help="``auto`` (cuda, mps, cpu in this order), or a torch device such as ``cuda:1``.")
    allow_tf32: bool = option(default=True, help="Let float32 matrix products use TF32 on CUDA.")
    deterministic: bool = option(
        default=False, help="On a GPU, use kernels that give the same bits every time: slower; an operation without one is an error.",
    )
    threads: int = option(default=0, help="CPU threads of torch; 0 leaves torch's choice.", validator=validators.ge(0))
    workers: int = option(
        default=0, help="Threads that decode images and assemble batches ahead of the loop; changes no number. 0 does it in the loop.",
        validator=[validators.ge(0), validators.le(256)],
    )
    log_every: int = option(default=10, help="Read metrics from the device every so many steps.", unit="steps", validator=positive())
    checkpoint_every: int = option(
        default=0, help="Save what resuming needs every so many steps, besides every epoch's end; 0 for epochs only.",
        unit="steps", validator=validators.ge(0),
    )
    text_batch: int = option(
        default=64, help="Prompts that go through the text encoders at once when an epoch is encoded ahead.",
        validator=positive(),
    )


@frozen
class GridTable:
    """``[grid]``"""

    prompts: tuple[str, ...] = option(default=(), help="Prompts of the grid; none: the first descriptor's captions of three images.")
    epochs: tuple[int, ...] | Literal["all"] = option(default="all", help="Epochs in the grid.")
    weights: tuple[float, ...] = option(
        default=(0.4, 0.6, 0.8, 1.0), help="Adapter weights in the grid; the column without LoRA is always there.",
        validator=validators.min_len(1),
    )
    seeds: tuple[int, ...] = option(default=(0,), help="Seeds of the grid.", validator=validators.min_len(1))
    negative: str = option(default="", help="Negative prompt.")
    sampler: Literal["euler", "euler-a", "ddim", "dpmpp-2m"] = option(default="euler-a", help="Sampler.")
    steps: int = option(default=25, help="Sampling steps.", unit="steps", validator=positive(1000))
    guidance: float = option(default=7.0, help="Classifier-free guidance scale.", validator=validators.ge(0))
    width: int = option(default=0, help="Width of a cell; 0: the base's own size.", unit="px", validator=side())
    height: int = option(default=0, help="Height of a cell; 0: the base's own size.", unit="px", validator=side())
    heldout: int | Literal["auto"] = option(
        default=0, validator=number(validators.ge(0)),
        help="Images that are never trained on, kept for judging, drawn by hash; ``auto``: 15 %, at least 3. Near-duplicates go together.",
    )
    judged_prompts: tuple[str, ...] = option(
        default=(), help="Prompts that metrics look at; none: eight that are no training caption, of the grid's, held-out and new ones.",
    )
    judged_seeds: tuple[int, ...] = option(default=(), help="Seeds that metrics look at; none: two, drawn from the run's seed.")
    fresh_seeds: int = option(
        default=4, help="Further seeds on which the best epochs are confirmed; 0: none.", validator=[validators.ge(0), validators.le(64)],
    )
    probe: float = option(
        default=1.15, help="A weight above 1 that only metrics look at: whether more would still be better; 0: none.", validator=above_one,
    )
    every: Literal["epoch", "end"] = option(
        default="end", help="When the grid's prompts are drawn: ``end``, or after every ``epoch`` too, at weight 1.",
    )
    threads: int = option(
        default=0, help="CPU threads of torch that draw and measure; 0: as many as training has.", validator=validators.ge(0),
    )


@frozen
class Spec:
    """A spec after overlays: typed tables, stage tables as ``Choice`` (defaults of stages not yet filled in)."""

    run: RunTable = option(help="Name, seed and place of the run.")
    model: Choice = option(help="The base model.")
    data: DataTable = option(help="Images.")
    loraspec: int = option(default=FORMAT, help="Version of the format.")
    plugins: tuple[str, ...] = option(default=(), help="Plugin files, relative to the spec.")
    requires: tuple[str, ...] = option(default=(), help="Distributions that the spec needs, as PEP 508 requirements.")
    captions: CaptionsTable = option(factory=CaptionsTable, help="How captions are read and varied.")
    train: TrainTable = option(factory=TrainTable, help="The training loop.")
    grid: GridTable = option(factory=GridTable, help="The X-Y plot of epochs and weights.")
    adapter: Choice | None = option(default=None, help="The trainable weights.")
    optimizer: Choice | None = option(default=None, help="The optimizer.")
    lr_scheduler: Choice | None = option(default=None, help="The learning rate over time.")
    objective: Choice | None = option(default=None, help="The loss.")
    evaluators: tuple[Choice, ...] | None = option(default=None, help="What judges the epochs.")
    exporters: tuple[Choice, ...] | None = option(
        default=None, help="What writes the weight files; the first one's are loaded for the grid.",
        validator=validators.optional(validators.min_len(1)),
    )
    trackers: tuple[Choice, ...] | None = option(default=None, help="What records metrics.")
    callbacks: tuple[Choice, ...] | None = option(default=None, help="What listens to events.")
    launcher: Choice | None = option(default=None, help="Where the run happens.")
