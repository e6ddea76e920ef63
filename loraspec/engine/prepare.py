"""From samples to latents in memory and the manifest: decode, transform, resize, crop, encode, cache."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import asdict, frozen
from PIL import Image
from torch import Tensor

from loraspec.contracts import Visit
from loraspec.dataplan import PlacedSample
from loraspec.engine.cache import LatentCache, cache_root, latent_key
from loraspec.engine.store import append_line, read_lines, write_bytes, write_lines
from loraspec.errors import Problem, SpecError
from loraspec.images import decode

if TYPE_CHECKING:
    from loraspec.engine.run import Run

THUMBNAIL = 192  # px, longest side
THUMBNAILS = 24


@frozen(eq=False)
class Latents:
    """Posterior of one image, on the host: ``mean`` and ``std`` float32 ``[C, h, w]``."""

    mean: Tensor
    std: Tensor


def prepared_pixels(placed: PlacedSample, data: bytes, transforms: list[Any]) -> Image.Image:
    """Return the RGB image as the VAE sees it: transformed, resized to cover, cropped to its bucket."""
    image = decode(data)
    for transform in transforms:
        image = transform(image, sample=placed.sample)
    place = placed.placement
    if image.size != place.resize:
        image = image.resize(place.resize, Image.Resampling.LANCZOS, reducing_gap=None)
    left, top = place.crop
    return image.crop((left, top, left + place.width, top + place.height))


def to_tensor(image: Image.Image) -> Tensor:
    """RGB image -> float32 ``[3, H, W]`` in [-1, 1]."""
    pixels = np.asarray(image, dtype=np.float32) / 127.5 - 1.0
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def prepare(run: Run) -> dict[str, Latents]:
    """Read every image, write the manifest, return the latents by sample key.

    Raises:
        SpecError: Images that cannot be read after all; every one is named.
    """
    draft_captions(run)
    data = run.data
    everything = [(placed, False) for placed in data.images] + [(placed, True) for placed in data.heldout]
    cache = LatentCache(cache_root())
    content = run.family.content()["vae"]
    labels = [f"{stage.entry.qualified} {stage.options!r}" for stage in run.plan.many("image_transform")]
    latents: dict[str, Latents] = {}
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    run.family.place("vae", device=run.precision.device)
    for number, (placed, heldout) in enumerate(everything, 1):
        run.check_interrupt()
        try:
            encoded = placed.sample.read()
            image = None
            sha256 = hashlib.sha256(encoded).hexdigest()
            key = latent_key(sha256, placement=placed.placement, vae=content, transforms=labels, device=run.precision.device.type)
            entry = None if heldout else cache.get(key)
            if entry is None or number <= THUMBNAILS:
                image = prepared_pixels(placed, encoded, run.image_transforms)
        except (OSError, ValueError) as error:
            problems.append(Problem(placed.sample.key, f"cannot be read: {error}"))
            continue
        if not heldout:
            if entry is None and image is not None:
                with torch.no_grad():
                    mean, std = run.family.encode_images(to_tensor(image)[None].to(run.precision.device))
                entry = (mean[0].float().cpu(), std[0].float().cpu())
                cache.put(key, *entry)
            assert entry is not None
            latents[placed.sample.key] = Latents(*entry)
        thumb = _thumbnail(run, image, sha256) if image is not None and number <= THUMBNAILS else ""
        rows.append(_row(run, placed, encoded, heldout=heldout, thumb=thumb))
        run.progress("prepare", number, len(everything))
    if problems:
        raise SpecError(problems)
    warn_of_long_captions(run)
    run.family.place("vae", device=torch.device("cpu"))
    if cache.rebuilt:
        run.say(f"{len(cache.rebuilt)} cached latents were damaged and have been rebuilt", severity="warning")
    run.cache_hits = cache.hits
    write_lines(run.folder / "manifest.jsonl", rows)
    run.manifest = rows
    return latents


def warn_of_long_captions(run: Run) -> None:
    """Tell which captions are longer than ``captions.max_tokens`` or than the text encoders read: the rest is cut off."""
    limit = min(run.plan.spec.captions.max_tokens, run.plan.model.max_tokens)
    counts = {placed.sample.key: run.family.count_tokens(run.data.caption(Visit(1, placed.sample.key, 0))) for placed in run.data.images}
    long = {key: count for key, count in counts.items() if count > limit}
    if long:
        named = ", ".join(f"{key} ({count})" for key, count in sorted(long.items(), key=lambda item: -item[1])[:5])
        lost = f"what is beyond {run.plan.model.max_tokens} is cut off"
        run.say(f"{len(long)} captions have more than {limit} tokens, {lost}: {named}", severity="warning")


def draft_captions(run: Run) -> None:
    """Let the captioner write the captions that are missing; drafts of an earlier start are kept as they were."""
    missing = [placed for placed in (*run.data.images, *run.data.heldout) if placed.sample.caption is None]
    if not missing or run.captioner is None:
        return
    known = {row["key"]: row for row in read_lines(run.folder / "drafts.jsonl")}
    for number, placed in enumerate(missing, 1):
        run.check_interrupt()
        encoded = placed.sample.read()
        sha256 = hashlib.sha256(encoded).hexdigest()
        row = known.get(placed.sample.key)
        if row is None or row["sha256"] != sha256:
            text = run.captioner.caption(decode(encoded), sample=placed.sample, style_tag=run.plan.spec.captions.style_tag)
            row = {"key": placed.sample.key, "sha256": sha256, "caption": text}
            append_line(run.folder / "drafts.jsonl", row)
        run.drafts[placed.sample.key] = row["caption"]
        run.progress("caption", number, len(missing))
    run.data = run.data.with_captions(run.drafts)


def _thumbnail(run: Run, image: Image.Image, sha256: str) -> str:
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=85)
    name = f"{sha256[:16]}.webp"
    write_bytes(run.folder / "grid" / "thumbs" / name, buffer.getvalue())
    return name


def _row(run: Run, placed: PlacedSample, encoded: bytes, *, heldout: bool, thumb: str) -> dict[str, Any]:
    sample, place = placed.sample, asdict(placed.placement)
    return {
        "key": sample.key,
        "sha256": hashlib.sha256(encoded).hexdigest(),
        "bytes": len(encoded),
        "width": sample.width,
        "height": sample.height,
        "bucket": [place["width"], place["height"]],
        "resize": list(place["resize"]),
        "crop": list(place["crop"]),
        "rights": sample.rights,
        "credits": sample.credits,
        "caption": sample.caption,
        "caption_state": "drafted" if sample.key in run.drafts else "found",
        "heldout": heldout,
        "thumb": thumb,
    }
