"""Why a cache entry is or is not reused, part by part; from what a run has recorded, without torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from loraspec.cachefolder import Contents, File, files, name_of, read_contents
from loraspec.errors import LoraspecError, SpecError, did_you_mean
from loraspec.recipes import Parts, Recipe, differing, latent_common, latent_recipe

if TYPE_CHECKING:
    from loraspec.plan import Plan

PROBLEMS = (LoraspecError, OSError, ValueError, LookupError, TypeError)  # what reading a damaged file can raise


@frozen(eq=False)
class Explanation:
    """What the cache has for one image.

    Attributes:
        recipe: What its latents would be made of now.
        path: Where the entry is, or would be, below the cache's folder.
        state: ``reused``, ``damaged`` or ``absent``.
        why: Why it is damaged, or "".
        nearest: Parts of the entry of this image (by content or by name) that shares most parts; None when there is none, or when
            the entry itself is there.
        differ: Names of the parts in which ``nearest`` is another.
    """

    recipe: Recipe
    path: Path
    state: str
    why: str
    nearest: Parts | None
    differ: tuple[str, ...]


def explain(root: Path, recipe: Recipe, *, name: str) -> Explanation:
    """Look one entry up; ``name`` is the image's key."""
    path = Path(recipe.kind, recipe.context, name_of([recipe]))
    state, why, nearest, differ = "absent", "", None, list[str]()
    if (root / path).exists():
        try:
            read_contents(root / path)
            return Explanation(recipe, path, "reused", "", None, ())
        except PROBLEMS as error:
            state, why = "damaged", str(error)
    found = []
    for file in files(root):
        contents = contents_of(file)
        for other, facts in zip(contents.recipes, contents.facts, strict=True) if contents else ():
            if other.kind == recipe.kind and (other.own.get("image") == recipe.own["image"] or facts.get("name") == name):
                found.append((len(differing(recipe.parts, other.parts)), -file.used, other.key, other))
    if found:
        nearest = min(found, key=lambda item: item[:3])[3].parts
        differ = differing(recipe.parts, nearest)
    return Explanation(recipe, path, state, why, nearest, tuple(differ))


def contents_of(file: File) -> Contents | None:
    """Return what a file of the cache says of itself; None when it is no whole file of this version."""
    try:
        return None if file.staged else read_contents(file.path)
    except PROBLEMS:
        return None


def key_of(plan: Plan, text: str) -> str:
    """Return the key of the image that a user means: its key, its last part, or a file with the same bytes.

    Raises:
        SpecError: None or several fit, or it is held out.
    """
    data = plan.data
    keys = list(data.by_key)
    found = _named(keys, text)
    if not found and Path(text).is_file():
        import hashlib

        sha256 = hashlib.sha256(Path(text).read_bytes()).hexdigest()
        found = [key for key in keys if data.digest(key) == sha256]
    if len(found) != 1:
        said = f"several images fit {text!r}: {', '.join(found)}" if found else f"{plan.document.name} has no image {text!r}"
        raise SpecError(f"{said}" + ("" if found else f"; {did_you_mean(text, keys)}"))
    if found[0] in {placed.key for placed in data.heldout}:
        raise SpecError(f"{found[0]} is held out: it is never trained on, so it has no latents")
    return found[0]


def recipe_of(plan: Plan, key: str, *, vae: str, device: Mapping[str, Any]) -> Recipe:
    """Return what an image's latents would be made of now.

    Args:
        plan: The plan.
        key: The image.
        vae: sha256 of the VAE.
        device: As ``loraspec.engine.device.facts`` gives it, or as a run has recorded it.
    """
    now = {**device, "torch": metadata.version("torch")}
    common = latent_common(vae=vae, transforms=plan.many("image_transform"), device=now)
    return latent_recipe(common, image=plan.data.digest(key), placement=plan.data.by_key[key].placement)


def recorded(folder: Path) -> tuple[str, Mapping[str, Any]] | None:
    """Return the VAE's sha256 and the device that the run in ``folder`` has recorded; None when it has not come so far."""
    try:
        run = json.loads((folder / "lock.json").read_text(encoding="utf-8"))["run"]
        return str(run["base"]["vae"]), dict(run["device"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def newest_with(root: Path, image: str) -> Path | None:
    """Return the run under ``root`` that was touched last among those that have an image of this name; None when there is none."""
    for path in sorted(root.glob("*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            lines = (path.parent / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
            keys = [str(json.loads(line)["key"]) for line in lines]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        if _named(keys, image):
            return path.parent
    return None


def only_spec_with(folders: Iterable[Path], image: str) -> Path:
    """Return the one spec in ``folders`` whose data has an image of this name, without profiles.

    Raises:
        SpecError: There is none, or several.
    """
    from loraspec.plan import resolve

    found = []
    for path in (path for folder in folders for path in sorted(folder.glob("*.toml"))):
        try:
            keys = list(resolve(path, profiles=(), sets=()).data.by_key)
        except (LoraspecError, OSError):  # no spec, or one whose data is not here
            continue
        if _named(keys, image):
            found.append(path)
    if len(found) != 1:
        several = f"several specs have an image {image!r}: {', '.join(map(str, found))}"
        said = several if found else f"no run and no spec here has an image {image!r}"
        raise SpecError(f"{said}; name one: loraspec cache explain {image} --spec SPEC")
    return found[0]


def _named(keys: Iterable[str], image: str) -> list[str]:
    """Return the keys that a name means: the key itself, or those whose last part it is."""
    known = list(keys)
    return [image] if image in known else [key for key in known if key.rpartition("/")[2] == Path(image).name]
