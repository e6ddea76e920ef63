"""The images of a run, each read once: what is hashed is what is decoded; done ahead by threads where the spec asks for it."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import frozen
from PIL import Image

from loraspec.dataplan import PlacedSample
from loraspec.engine.ahead import ahead
from loraspec.engine.cache import Entry
from loraspec.engine.device import facts
from loraspec.errors import LoraspecError, Problem, RunError, SpecError
from loraspec.images import decode
from loraspec.known import known
from loraspec.pixels import pixels_sha256, prepared_pixels
from loraspec.recipes import Recipe, latent_common, latent_recipe

if TYPE_CHECKING:
    from loraspec.engine.run import Run

THUMBNAILS, HELDOUT = 24, 8  # images that have a thumbnail, of the training set and of the held-out ones
THUMBNAIL = 192  # px, longest side


@frozen(eq=False)
class Looked:
    """One image, read once: what is hashed is what is decoded.

    Attributes:
        placed, heldout: The image, and whether it is never trained on.
        sha256, size: Of its bytes.
        recipe: What its latents are made of.
        entry: Its latents as found in the cache, or None.
        image: As the VAE sees it; None when nobody needs it.
        digests: ``pixel_sha256`` (decoded, upright, RGB) and ``prepared_sha256`` (as the VAE sees it).
        thumb: Its thumbnail as WebP, of the first ``THUMBNAILS`` (``HELDOUT``) of its set; else empty.
    """

    placed: PlacedSample
    heldout: bool
    sha256: str
    size: int
    recipe: Recipe
    entry: Entry | None
    image: Image.Image | None
    digests: dict[str, str]
    thumb: bytes = b""


class Images:
    """The images of a run, looked at in order: read and hashed, found in the cache or decoded, by ``train.workers`` threads ahead."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._all = [(placed, False) for placed in run.data.images] + [(placed, True) for placed in run.data.heldout]
        transforms = run.plan.many("image_transform")
        self._known = known()
        self._common = latent_common(vae=run.family.content()["vae"], transforms=transforms, device=facts(run.precision))

    def _shown(self, number: int) -> bool:
        """Whether an image has a thumbnail."""
        trained = len(self._run.data.images)
        return number < THUMBNAILS if number < trained else number - trained < HELDOUT

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Looked | Problem]:
        return ahead(self._look, range(len(self._all)), workers=self._run.plan.spec.train.workers)

    def recipes(self) -> Iterator[Recipe]:
        """Yield what the latents of all images are made of, as planned."""
        for placed in self._run.data.images:
            yield latent_recipe(self._common, image=self._run.plan.data.digest(placed.key), placement=placed.placement)

    def _look(self, number: int) -> Looked | Problem:
        run, (placed, heldout) = self._run, self._all[number]
        key, shown = placed.key, self._shown(number)
        before = self._unopened(number)
        if before is not None:
            return before
        try:
            encoded, sha256 = read_planned(run, placed)
            recipe = latent_recipe(self._common, image=sha256, placement=placed.placement)
            entry = None if heldout else run.cache.get(recipe, name=key)
            image, digests = None, {}
            if entry is None or shown:
                decoded = decode(encoded)
                image = prepared_pixels(placed, decoded, run.image_transforms)
                digests = {"pixel_sha256": pixels_sha256(decoded), "prepared_sha256": pixels_sha256(image)}
        except SpecError as changed:
            return changed.problems[0]
        except (OSError, ValueError) as error:
            return Problem(key, f"cannot be read: {error}", code="E-IMG-READ")
        except MemoryError as error:
            raise RunError(f"{key}: out of memory while it was decoded ({len(encoded):,} bytes)").coded("E-RUN-OOM") from error
        except LoraspecError:
            raise
        except Exception as error:
            raise RunError(f"{key}: an image transform failed: {type(error).__name__}: {error}") from error
        if entry is not None:
            known = {name: entry.facts[name] for name in ("pixel_sha256", "prepared_sha256")}
            if digests and digests != known:  # the same recipe gives other pixels here: nothing that was made from them is used
                run.cache.drop(recipe, name=f"{key} (decodes to other pixels now)")
                entry = None
            digests = digests or known
        thumb = thumbnail(image) if image is not None and shown else b""
        row = {"digests": digests, "thumb": base64.b64encode(thumb).decode(), "bytes": len(encoded)}
        self._known.learn(sha256, _prepared(recipe, shown=shown), row)
        return Looked(placed, heldout, sha256, len(encoded), recipe, entry, image, digests, thumb)

    def _unopened(self, number: int) -> Looked | None:
        """Return an image whose file is as it was when it was prepared before, without opening it; None where it has to be looked at."""
        run, (placed, heldout) = self._run, self._all[number]
        file, planned = placed.sample.file, run.plan.data.digest(placed.key)
        if file is None or self._known.sha256(file) != planned:
            return None
        recipe = latent_recipe(self._common, image=planned, placement=placed.placement)
        row = self._known.of_bytes(planned, _prepared(recipe, shown=self._shown(number)))
        entry = None if heldout or row is None else run.cache.get(recipe, name=placed.key)
        if row is None or (entry is None and not heldout):
            return None
        if entry is not None and any(entry.facts[name] != text for name, text in row["digests"].items()):
            return None  # one of the two is of other pixels: looked at anew
        return Looked(placed, heldout, planned, row["bytes"], recipe, entry, None, row["digests"], base64.b64decode(row["thumb"]))

    def keep(self) -> None:
        """Write what was learnt of the images, for runs to come."""
        self._known.save()


def thumbnail(image: Image.Image) -> bytes:
    """Return a small WebP of an image."""
    small, buffer = image.copy(), io.BytesIO()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    small.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()


def _prepared(recipe: Recipe, *, shown: bool) -> str:
    return f"prepared {recipe.key}{' with thumbnail' if shown else ''}"


def read_planned(run: Run, placed: PlacedSample) -> tuple[bytes, str]:
    """Return an image's bytes and their sha256.

    Raises:
        SpecError: The plan and the lock were made of other bytes.
    """
    encoded = placed.sample.read()
    sha256 = hashlib.sha256(encoded).hexdigest()
    planned = run.plan.data.digest(placed.key)
    if sha256 != planned:
        message = f"changed while the run was being prepared: sha256 {sha256[:12]}, planned with {planned[:12]}"
        hint = "leave the images alone while a run reads them, and start it again"
        raise SpecError([Problem(placed.key, message, hint, code="E-DATA-DRIFT")])
    return encoded, sha256
