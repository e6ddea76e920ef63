"""The values that stages exchange, for plans (no torch) and for runs; imports no torch, numpy or PIL.

Letters: B batch, C latent channels, H W pixels, h w latents, T tokens, D embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from loraspec.errors import Problem
from loraspec.randomness import Rng

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from loraspec.memory import MemoryAsked, MemoryParts

Rights = Literal["own", "licensed", "public-domain"]


@frozen
class Context:
    """What a component may know of its surroundings before a run.

    Attributes:
        folder, rng: Folder of the spec file, where relative paths start; the run's random source.
        extensions: Results of a plugin's own registration hook, ``(plugin name, value)`` in order (``loraspec_register_hookspecs``).
    """

    folder: Path
    rng: Rng
    extensions: Callable[[str], Sequence[tuple[str, Any]]]

    def path(self, text: str) -> Path:
        """Resolve a place for files: relative to the spec, or ``package:NAME/PATH`` inside an installed package.

        Raises:
            EnvironmentMissing: The package of a ``package:`` place is not installed.
        """
        from loraspec.places import resolve

        return resolve(text, self.folder)


@frozen(eq=False)
class Sample:
    """One image of the data set, before any transform.

    Attributes:
        key: Unique and stable: the path relative to its source's root with ``/``, after the source's number when there are several.
        width, height: px, after EXIF orientation.
        caption, caption_path: The caption as found, or None; the text file that holds it or would, None for captions without files.
        rights, credits: ``own``, ``licensed`` or ``public-domain``, "" when not declared; who is to be named.
        read, sha256, file: Returns the image's bytes; their hash, "" where the source knows none; the file of just them, or None.
        home, state: Folder with its source's ledger of captions (None: beside the spec); what that says, which no source does.
        repeats: How often it is seen in an epoch; None: as the spec says.
    """

    key: str
    width: int
    height: int
    caption: str | None
    rights: str
    credits: str
    read: Callable[[], bytes]
    caption_path: Path | None = None
    home: Path | None = None
    state: str = ""
    repeats: int | None = None
    sha256: str = ""
    file: Path | None = None


@frozen
class Scan:
    """What a data source found: samples sorted by key, and everything that is wrong, all together."""

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()


@frozen
class Target:
    """One module that an adapter may adapt.

    Attributes:
        component, name: ``unet``, ``text_encoder`` or ``text_encoder_2``; dotted module path inside it, as its library names it.
        in_features, out_features: Width; channels for a 1x1 convolution.
        conv: True for a 1x1 convolution (its weights are ``[out, in, 1, 1]``).
    """

    component: str
    name: str
    in_features: int
    out_features: int
    conv: bool = False


@frozen
class ModelFacts:
    """What ``plan`` must know of a model, computed from its config files or from our table, without torch.

    Attributes:
        family: The word that exporters go by: ``sdxl`` or ``sd15``.
        step, native_resolution: Sides of a training image are multiples of the first; the base was trained at the second. px.
        latent_channels, latent_scale: C, and H / h.
        text_widths, pooled_width: Embedding width of each text encoder, and of the pooled embedding (0 without one).
        max_tokens, counter: Tokens of a prompt without start and end; what makes a counter of them, None without a vocabulary.
        targets, prediction: The published target set in module order, text encoders too; ``epsilon`` or ``v_prediction``.
        base: What the header of a weight file may say of the base (repo id or file name; never a path of the machine).
        default_size, unet_config: (width, height) of grid images, px; the U-Net's config, for exporters that rename by it.
        memory: Forecasts the device's memory, None where the family cannot.
        files: Lists every file that loading reads by a public name, {} without; LockError when a branch of the hub is named.
    """

    family: str
    step: int
    native_resolution: int
    latent_channels: int
    latent_scale: int
    text_widths: tuple[int, ...]
    pooled_width: int
    max_tokens: int
    targets: tuple[Target, ...]
    prediction: str
    base: str
    default_size: tuple[int, int]
    unet_config: Mapping[str, Any] = field(factory=dict)
    memory: Callable[[MemoryAsked], MemoryParts] | None = field(default=None, eq=False, repr=False)
    files: Callable[[], Mapping[str, Path]] = field(default=dict, eq=False, repr=False)
    counter: Callable[[], Callable[[str], int] | None] = field(default=lambda: None, eq=False, repr=False)


@frozen
class AdapterFacts:
    """What an adapter will train: ``facts(options, model=ModelFacts)`` of an adapter component.

    Attributes:
        kind: ``lora``; exporters refuse kinds that they do not know.
        tensors: Shape of each trained tensor by neutral name (see ``AdapterState``), sorted.
        alphas: alpha by module ("unet.down_blocks...to_q").
        rank: Rank, where the kind has one.
    """

    kind: str
    tensors: Mapping[str, tuple[int, ...]]
    alphas: Mapping[str, float]
    rank: int

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(math.prod(shape) for shape in self.tensors.values())


@frozen
class ExportFacts:
    """Shape of one file that an exporter will write: ``facts(options, adapter=, model=, header=, stem=)``.

    Attributes:
        path: Relative to ``epochs/``: ``<stem>.safetensors``, ``diffusers/<stem>.safetensors``.
        tensors: dtype (``F32``, ``F16``, ``BF16``) and shape by key.
        metadata: The header's strings; the file's exact size follows from these three.
    """

    path: str
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    metadata: Mapping[str, str]


@frozen
class Placement:
    """How one image becomes a training image: resize to cover, crop, nothing padded. All in px.

    Attributes:
        width, height: The bucket.
        resize: (width, height) after resizing.
        crop: (left, top) of the bucket's window in the resized image.
        original: (width, height) of the image as found.
    """

    width: int
    height: int
    resize: tuple[int, int]
    crop: tuple[int, int]
    original: tuple[int, int]


@frozen
class Visit:
    """One appearance of one sample: the index of every draw made for it is ``(epoch, key, repeat)``."""

    epoch: int
    key: str
    repeat: int

    @property
    def index(self) -> tuple[int, str, int]:
        """The index to pass to ``rng`` after the purpose."""
        return (self.epoch, self.key, self.repeat)


@frozen(eq=False)
class NoiseSchedule:
    """The base's forward process: ``x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise`` (Ho et al. 2020).

    Attributes:
        alphas_cumprod: float32 ``[steps]``, ``a_t``.
        prediction: ``epsilon`` or ``v_prediction`` (Salimans and Ho 2022).
    """

    alphas_cumprod: Tensor
    prediction: str


@frozen(eq=False)
class Batch:
    """One micro-batch on the device.

    Attributes:
        visits, latents: B visits of one bucket; float32 ``[B, C, h, w]``, drawn from the posterior and scaled.
        conditioning: What ``ModelFamily.condition`` made of prompts and placements.
        rng: The run's random source; draw with ``rng(purpose, *visit.index)`` on the host, then move.
        seen: What the visits show, as ``loraspec.stream.Seen``: image content, caption, crop.
    """

    visits: tuple[Visit, ...]
    latents: Tensor
    conditioning: Mapping[str, Tensor]
    rng: Rng
    seen: tuple[Any, ...] = ()


@frozen(eq=False)
class Loss:
    """An objective's answer: ``per_sample`` float32 ``[B]`` with gradient, and metrics that stay on the device."""

    per_sample: Tensor
    metrics: Mapping[str, Tensor] = field(factory=dict)


@frozen
class Picture:
    """One image to generate."""

    prompt: str
    seed: int
    negative: str = ""


@frozen
class Sampling:
    """How to generate: sampler name (``euler``, ``euler-a``, ``ddim``, ``dpmpp-2m``), steps, guidance scale, px."""

    sampler: str
    steps: int
    guidance: float
    width: int
    height: int


@frozen(eq=False)
class Precision:
    """Device and dtypes of a run: ``compute`` is what autocast uses (None: float32 throughout), base weights are kept in ``weights``."""

    device: torch.device
    weights: torch.dtype
    compute: torch.dtype | None


@frozen(eq=False)
class AdapterState:
    """An adapter's weights by neutral names, on the host.

    Attributes:
        kind, rank: As in ``AdapterFacts``.
        tensors: ``<component>.<module>.lora_down.weight`` ``[rank, in]`` (or ``[rank, in, 1, 1]``) and ``...lora_up.weight``
            ``[out, rank]`` for kind ``lora``; float32.
        alphas: alpha by ``<component>.<module>``.
    """

    kind: str
    tensors: Mapping[str, Tensor]
    alphas: Mapping[str, float]
    rank: int


@frozen(eq=False)
class ExportFile:
    """One file to write: tensors (host), header strings. The engine writes it atomically and canonically."""

    path: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
