"""From samples to latents in memory and the manifest: read, decode, transform, resize, crop, encode, cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import asdict, frozen
from PIL import Image
from torch import Tensor

from loraspec.contracts import Visit
from loraspec.drafts import drafted, request_of
from loraspec.engine.look import Images, Looked, read_planned
from loraspec.engine.store import append_line, read_lines, write_bytes, write_lines
from loraspec.engine.text import every_embedding
from loraspec.engine.watch import is_out_of_memory
from loraspec.errors import Problem, RunError, SpecError
from loraspec.scan import names

if TYPE_CHECKING:
    from loraspec.engine.run import Run

FLAT = 1e-4  # spread of a channel over all cells; latents of pictures have a spread of about 1


@frozen(eq=False)
class Latents:
    """Posterior of one image, on the host: ``mean`` and ``std`` float32 ``[C, h, w]``."""

    mean: Tensor
    std: Tensor


def to_tensor(image: Image.Image) -> Tensor:
    """RGB image -> float32 ``[3, H, W]`` in [-1, 1]."""
    pixels = np.asarray(image, dtype=np.float32) / 127.5 - 1.0
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def prepare(run: Run) -> dict[str, Latents]:
    """Read every image, write the manifest, return the latents by sample key.

    Raises:
        SpecError: Images that cannot be read after all, or changed since they were planned; every one is named.
        RunError: Latents that are not finite, every one named; or out of memory.
    """
    draft_captions(run)
    images = Images(run)
    run.cache.needs(images.recipes)
    if not run.trains_text:
        run.cache.needs(lambda: every_embedding(run))
    latents: dict[str, Latents] = {}
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    broken: list[str] = []
    flat: list[str] = []
    made = 0
    for number, looked in enumerate(images, 1):
        run.check_interrupt()
        if isinstance(looked, Problem):
            problems.append(looked)
            continue
        key = looked.placed.key
        if not looked.heldout:
            if looked.entry is None and not made:  # when the cache has all latents, the VAE is not needed
                run.family.place("vae", device=run.precision.device)
            posterior = latents_of(run, looked)
            if not (posterior.mean.isfinite().all() and posterior.std.isfinite().all()):
                broken.append(key)
                continue
            if is_flat(posterior):
                flat.append(key)
            if looked.entry is None:
                made += 1
                run.cache.put([looked.recipe], [asdict(posterior)], [{"name": key, **looked.digests}])
            latents[key] = posterior
        thumb = _thumbnail(run, looked) if looked.thumb else ""
        rows.append(_row(run, looked, thumb=thumb))
        run.progress("prepare", number, len(images))
    if problems:
        raise SpecError(problems)
    _check(run, broken, flat)
    warn_of_long_captions(run)
    if made:
        run.family.place("vae", device=torch.device("cpu"))
    images.keep()
    run.cache.tell_damage()
    run.record("cache", entries="latents", read=len(latents) - made, made=made)
    write_lines(run.folder / "manifest.jsonl", rows)
    run.manifest = rows
    return latents


def latents_of(run: Run, looked: Looked) -> Latents:
    """Return an image's latents, from the cache or encoded now.

    Raises:
        RunError: Out of memory.
    """
    if looked.entry is not None:
        return Latents(looked.entry.tensors["mean"], looked.entry.tensors["std"])
    assert looked.image is not None
    device, size = run.precision.device, f"{looked.image.width} x {looked.image.height} px"
    try:
        with torch.no_grad():
            mean, std = run.family.encode_images(to_tensor(looked.image)[None].to(device))
        return Latents(mean[0].float().cpu(), std[0].float().cpu())
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        said = f"{looked.placed.key}: out of memory while the VAE encoded it ({size}, one image at a time) on {device}"
        hint = f"free memory on {device}, or set a smaller data.resolution; the latents that were made before are kept"
        raise RunError(f"{said}\n    hint: {hint}").coded("E-RUN-OOM") from error


def is_flat(latents: Latents) -> bool:
    """Whether a posterior's mean is the same in all cells, in every channel: there is nothing in it to learn."""
    spread = latents.mean.amax(dim=(1, 2)) - latents.mean.amin(dim=(1, 2))
    return bool((spread <= FLAT).all())


def _check(run: Run, broken: list[str], flat: list[str]) -> None:
    """Name images whose latents are useless; nothing is replaced.

    Raises:
        RunError: Latents that are not finite.
    """
    if flat:
        what = "image has" if len(flat) == 1 else "images have"
        run.say(f"{len(flat)} {what} the same latent everywhere (one colour?): {names(flat)} [W-LATENT-FLAT]", severity="warning")
    if broken:
        said = f"{len(broken)} of {len(run.data.images)} images have latents that are not finite: {names(broken)}"
        hint = 'let the VAE compute in float32 (model.vae_dtype = "float32"), or take these images out; nothing was put in their place'
        raise RunError(f"{said}\n    hint: {hint}").coded("E-LATENT-NONFINITE")


def warn_of_long_captions(run: Run) -> None:
    """Tell which captions are longer than ``captions.max_tokens`` or than the text encoders read: the rest is cut off."""
    limit = min(run.plan.spec.captions.max_tokens, run.plan.model.max_tokens)
    counts = {placed.sample.key: run.family.count_tokens(run.data.caption(Visit(1, placed.sample.key, 0))) for placed in run.data.images}
    long = {key: count for key, count in counts.items() if count > limit}
    if long:
        named = ", ".join(f"{key} ({count})" for key, count in sorted(long.items(), key=lambda item: -item[1])[:5])
        lost = f"what is beyond {run.plan.model.max_tokens} is cut off"
        run.say(f"{len(long)} captions have more than {limit} tokens, {lost}: {named}  [W-CAP-TOKENS]", severity="warning")


def draft_captions(run: Run) -> None:
    """Let the captioner write the captions that are missing; drafts of an earlier start are kept as they were.

    Raises:
        SpecError: An image changed since it was planned, or the captioner wrote nothing of some; the others are kept.
    """
    missing = [placed for placed in (*run.data.images, *run.data.heldout) if placed.sample.caption is None]
    choice = run.plan.one("captioner")
    if not missing or choice is None:
        return
    if hasattr(run.captioner, "announce"):  # programs, servers: a run starts and reaches nothing
        message = f"{len(missing)} images have no caption, and {choice.entry.qualified} works outside of a run"
        hint = f"loraspec captions draft {run.plan.document.name}"
        raise SpecError([run.plan.placed(Problem("captions.captioner", message, hint, code="E-CAP-DRAFT"))])
    known = {row["key"]: row for row in read_lines(run.folder / "drafts.jsonl")}
    content = {placed.sample.key: read_planned(run, placed)[1] for placed in missing}
    run.drafts |= {key: row["caption"] for key, row in known.items() if content.get(key) == row["sha256"]}
    wanted = [placed.sample for placed in missing if placed.sample.key not in run.drafts]
    requests = [request_of(sample, content[sample.key], run.plan.spec.captions) for sample in wanted]
    problems: list[Problem] = []
    for number, draft in enumerate(drafted(run.captioner, requests, name=choice.entry.qualified, context=run.plan.context), 1):
        run.check_interrupt()
        if draft.problem:
            problems.append(Problem(draft.key, draft.problem, "start the run again: what was drafted is kept", code="E-CAP-DRAFT"))
        else:
            append_line(run.folder / "drafts.jsonl", {"key": draft.key, "sha256": content[draft.key], "caption": draft.text})
            run.drafts[draft.key] = draft.text
        run.progress("caption", number, len(requests))
    if problems:
        raise SpecError(problems)
    run.data = run.data.with_captions(run.drafts)


def _thumbnail(run: Run, looked: Looked) -> str:
    name = f"{looked.sha256[:16]}.webp"
    write_bytes(run.folder / "grid" / "thumbs" / name, looked.thumb)
    return name


def _row(run: Run, looked: Looked, *, thumb: str) -> dict[str, Any]:
    sample, place = looked.placed.sample, asdict(looked.placed.placement)
    return {
        "key": sample.key,
        "sha256": looked.sha256,
        **looked.digests,
        "bytes": looked.size,
        "width": sample.width,
        "height": sample.height,
        "bucket": [place["width"], place["height"]],
        "resize": list(place["resize"]),
        "crop": list(place["crop"]),
        "rights": sample.rights,
        "credits": sample.credits,
        "caption": sample.caption,
        "caption_state": "draft" if sample.key in run.drafts else sample.state or "found",
        "heldout": looked.heldout,
        "thumb": thumb,
    }
