"""Building the parts of a base from configs and .safetensors files: strict, hashed, from a fixed list of classes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from loraspec.errors import SpecError
from loraspec.known import known
from loraspec_guide.models.architecture import wrong_model
from loraspec_guide.models.configs import read_json
from loraspec_guide.models.kinds import WORDS, kind_of
from loraspec_guide.models.original import UNET_PREFIX, VAE_PREFIX, open_clip_values, unet_name, vae_name
from loraspec_guide.models.places import tensor_names

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

OLD_ATTENTION: Final = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # VAEs saved before diffusers 0.17
TEXT_PREFIXES: Final = {
    ("sd15", "text_encoder"): ("cond_stage_model.transformer.",),
    ("sdxl", "text_encoder"): ("conditioner.embedders.0.transformer.",),
}
OPEN_CLIP_PREFIX: Final = "conditioner.embedders.1.model."


class Tensors(Mapping[str, "Tensor"]):
    """The tensors of one or several .safetensors files, read when asked for.

    Attributes:
        files: Where they lie.
        shapes: Shapes by name, from the headers.
        asked: Names that were read.
        trusted: Whether their values were found finite before, in files that did not change since.
    """

    def __init__(self, files: list[Path]) -> None:
        from safetensors import SafetensorError, safe_open

        self.files, self.trusted = files, False
        self._where: dict[str, Any] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.asked: set[str] = set()
        for file in files:
            self.shapes |= tensor_names(file)
            try:
                opened: Any = safe_open(str(file), framework="pt", device="cpu")
            except (OSError, SafetensorError):
                raise wrong_model(f"{file.name!r} is not a whole .safetensors file", hint="download it again", code="E-ST-LAYOUT") from None
            self._where.update(dict.fromkeys(opened.keys(), opened))

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor.

        Raises:
            KeyError: No file has it.
            SpecError: Its dtype is none that models are published in, or it holds a value that is not finite.
        """
        import torch

        tensor: Tensor = self._where[name].get_tensor(name)
        self.asked.add(name)
        if tensor.dtype in (torch.float32, torch.float16, torch.bfloat16):
            if tensor.numel() and not self.trusted and not all(math.isfinite(float(end)) for end in tensor.aminmax()):
                raise wrong_model(f"its tensor {name} holds values that are infinite or not numbers",
                                  hint="the file is damaged, or the model broke in training", code="E-ST-NONFINITE")
        elif tensor.dtype not in (torch.int64, torch.int32):
            raise wrong_model(f"its tensor {name} is {str(tensor.dtype).removeprefix('torch.')}; float32, float16 and bfloat16 are read",
                              code="E-ST-DTYPE")
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def folder_files(folder: Path, part: str, variant: str | None) -> list[Path]:
    """Return the .safetensors files of one part of a diffusers folder, following a shard index that stays inside the part.

    Raises:
        SpecError: There is none; formats that can run code are never opened.
    """
    stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
    middle = f".{variant}" if variant else ""
    single = folder / part / f"{stem}{middle}.safetensors"
    if single.is_file():
        return [single]
    index = folder / part / f"{stem}.safetensors.index{middle}.json"
    if index.is_file():
        shards = read_json(index).get("weight_map", {})
        names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
        if names and all(Path(name).name == name and name.endswith(".safetensors") for name in names):
            return [folder / part / name for name in names]
        raise wrong_model(f"{part}/{index.name} names files that are no .safetensors files beside it")
    beside = sorted(path.name for path in (folder / part).glob("*.safetensors"))
    if beside:
        raise wrong_model(f"{part} has no {single.name}; it has {', '.join(beside)}",
                          hint="set model.variant to what stands before .safetensors")
    bins = sorted(path.name for path in (folder / part).glob("*.bin"))
    if bins:
        raise wrong_model(f"{part} has {bins[0]} only: .bin files can run code when they are opened, so they are refused",
                          hint="use a revision with .safetensors files, or convert them on a machine that you do not mind")
    raise wrong_model(f"{part} has no {single.name}")


@frozen(eq=False)
class Source:
    """Where a part's values come from.

    Attributes:
        read: The files' tensors.
        get: Name of a parameter (diffusers' or transformers' naming, ``text_model.`` kept) -> its values; KeyError without it.
        own: Whether a stored name belongs to this part alone, so that one which is never asked for is a mistake.
    """

    read: Tensors
    get: Callable[[str], Tensor]
    own: Callable[[str], bool]


def from_folder(folder: Path, part: str, variant: str | None) -> Source:
    """Read a part of a diffusers folder."""
    return by_current_name(folder_files(folder, part, variant), "vae" if part == "." else part)


def by_current_name(files: list[Path], part: str) -> Source:
    """Read a part in diffusers' naming by current names, whatever the age of the files."""
    read = Tensors(files)

    def get(name: str) -> Tensor:
        if name in read:
            return read[name]
        for new, old in OLD_ATTENTION.items():
            older = name.replace(f".{new}.", f".{old}.")
            if part == "vae" and older in read:
                return read[older]
        return read[name.removeprefix("text_model.")]

    return Source(read, get, lambda name: part in ("unet", "vae"))  # text encoders come with what other programs need


def from_single_file(path: Path, part: str, family: str, config: Mapping[str, Any]) -> Source:
    """Read a part of a single file in the original layout by diffusers' names."""
    read = Tensors([path])
    if part == "unet":
        return Source(read, lambda name: read[UNET_PREFIX + unet_name(name, config)], lambda name: name.startswith(UNET_PREFIX))
    if part == "vae":
        prefix = VAE_PREFIX if any(name.startswith(VAE_PREFIX) for name in read) else ""  # a VAE alone has no prefix
        return Source(read, lambda name: read[prefix + vae_name(name, config)], lambda name: False)
    if (family, part) == ("sdxl", "text_encoder_2"):
        return Source(read, lambda name: open_clip_values(name, read, OPEN_CLIP_PREFIX), lambda name: False)
    prefix = TEXT_PREFIXES[family, part][0]

    def get(name: str) -> Tensor:
        return read[prefix + name] if prefix + name in read else read[prefix + name.removeprefix("text_model.")]

    return Source(read, get, lambda name: False)


@contextmanager
def _on_meta() -> Iterator[None]:
    import torch

    with torch.device("meta"):
        yield


def empty(part: str, config: Mapping[str, Any]) -> nn.Module:
    """Make a part on the meta device: its class comes from this list and from nowhere else."""
    import inspect

    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    with _on_meta():
        module: nn.Module
        if part.startswith("text_encoder"):
            kind = CLIPTextModel if part == "text_encoder" else CLIPTextModelWithProjection
            module = kind(CLIPTextConfig(**config))
        else:
            made = UNet2DConditionModel if part == "unet" else AutoencoderKL
            taken = inspect.signature(made.__init__).parameters
            module = made(**{key: value for key, value in config.items() if key in taken})
    return module


def canonical(name: str) -> str:
    """Return a text encoder's parameter name with ``text_model.``, which transformers 5.6 dropped from ``CLIPTextModel``."""
    return name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}"


def outline(part: str, config: Mapping[str, Any], source: Source, *, dtype: torch.dtype) -> tuple[nn.Module, str] | None:
    """Make a part of files that are known, frozen and on the meta device: ``fill(into=...)`` gives it its values when they are needed.

    Returns:
        The module and the digest that it will have; None when files changed, or were never read as this part.
    """
    told = _told(part, config, source.read.files)[1]
    if told is None:
        return None
    module = empty(part, config).requires_grad_(False).eval()
    for one in (*module.parameters(), *module.buffers()):  # diffusers' own ``to`` gives advice here
        if one.is_floating_point():
            one.data = one.data.to(dtype)
    return module, told


def fill(
    part: str, config: Mapping[str, Any], source: Source, *, dtype: torch.dtype, into: nn.Module | None = None
) -> tuple[nn.Module, str]:
    """Make a part, or take the one that ``outline`` made, fill it strictly, freeze it.

    Returns:
        The module on the CPU in ``dtype``, and the sha256 of config and stored tensors (the same for a folder and a single
        file that hold the same values in the same dtype).

    Raises:
        SpecError: Tensors are missing, have other shapes, or belong to nothing (the first ten are named); the file is of another kind.
    """
    import torch

    module = empty(part, config) if into is None else into
    (what, bytes_), told = _told(part, config, source.read.files)
    source.read.trusted = told is not None
    text = part.startswith("text_encoder")
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    values: dict[str, Tensor] = {}
    odd: list[str] = []
    for name, slot in module.state_dict().items():
        wanted = canonical(name) if text else name
        try:
            stored = source.get(wanted)
        except KeyError:
            odd.append(f"no tensor for {wanted}")
            continue
        if stored.shape != slot.shape and stored.numel() == slot.numel():
            stored = stored.reshape(slot.shape)  # 1x1 convolutions that are linear layers today
        if stored.shape != slot.shape:
            odd.append(f"{wanted} of shape {list(stored.shape)}; {list(slot.shape)} is expected")
            continue
        stored = stored.contiguous()
        if told is None:
            digest.update(f"{wanted} {stored.dtype} {list(stored.shape)}\n".encode())
            digest.update(stored.reshape(-1).view(torch.uint8).numpy().data if stored.numel() else b"")
        values[name] = stored.to(dtype=dtype, copy=True) if stored.is_floating_point() else stored.clone()
    extra = sorted(name for name in {*source.read.shapes} - source.read.asked if source.own(name))
    odd += [f"{name}, which belongs to nothing" for name in extra]
    if odd:
        raise _odd_keys(part, odd, source.read.shapes)
    module.load_state_dict(values, strict=True, assign=True)
    for name, buffer in list(module.named_buffers()):
        if buffer.is_meta:
            owner = module.get_submodule(name.rpartition(".")[0])
            if name.rpartition(".")[2] != "position_ids":
                raise wrong_model(f"its {part} needs {name}, which no file holds")
            owner.register_buffer("position_ids", torch.arange(buffer.shape[-1]).expand(buffer.shape), persistent=False)
    if told is None and bytes_:
        kept = known()
        kept.learn(bytes_, what, digest.hexdigest())
        kept.save()
    return module.requires_grad_(False).eval(), str(told or digest.hexdigest())


def _told(part: str, config: Mapping[str, Any], files: list[Path]) -> tuple[tuple[str, str], str | None]:
    """Return what the digest of a part is kept by (see ``loraspec.known``; no bytes where a file is not known), and the digest if it is."""
    kept = known()
    hashes = [kept.sha256(file) for file in files]
    bytes_ = "" if None in hashes else hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
    what = f"{part} {json.dumps(config, sort_keys=True, default=str)}"
    return (what, bytes_), kept.of_bytes(bytes_, what) if bytes_ else None


def _odd_keys(part: str, odd: list[str], shapes: Mapping[str, tuple[int, ...]]) -> SpecError:
    kind = kind_of(shapes)
    if kind not in ("sdxl", "sd15", "sd2", part.partition("_")[0], ""):
        return wrong_model(f"the file of its {part} is {WORDS[kind]}")
    more = f"; and {len(odd) - 10} more" if len(odd) > 10 else ""
    return wrong_model(f"its {part} has {'; '.join(odd[:10])}{more}", code="E-MODEL-KEYS",
                       hint="the checkpoint is of another architecture, or not whole; a diffusers folder states its own architecture")
