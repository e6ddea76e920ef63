"""A comparison as one HTML file, and as Markdown with a folder of pictures beside it. Every text in it may come from a stranger."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import frozen

from loraspec.comparing.curves import KINDS, chart, rows
from loraspec.comparing.differing import differing
from loraspec.comparing.sides import MEANING, NAMES, Shot, Side, facts, shots
from loraspec.escape import escaped
from loraspec.imagefile import ImageError
from loraspec.textfile import read_plain
from loraspec.usage import words

LARGEST = 64 * 2**20  # bytes of a picture
LONGEST = 512  # px of the longer side
TINY = 128  # px: up to this pictures are kept exact and enlarged without blur
HEADINGS = {
    "picked": "picked", "by": "by", "U": "U", "style": "style progress", "prompt": "prompt", "originality": "originality",
    "variety": "variety", "copies": "copies", "note": "note",
}  # fmt: skip
_MARKS = re.compile(r"([\\`*_\[\]|~$@]|:(?=//)|(?<=www)\.|^[-+=#])", re.IGNORECASE)
_NUMBERED = re.compile(r"^([0-9]{1,9})([.)])(?=\s|$)")


@frozen
class Picture:
    """A picture to embed: WebP bytes, size in px, and what it shows."""

    data: bytes
    width: int
    height: int
    words: str

    @property
    def uri(self) -> str:
        """As a ``data:`` address."""
        return f"data:image/webp;base64,{base64.b64encode(self.data).decode()}"

    @property
    def tiny(self) -> bool:
        """Whether it is enlarged without blur."""
        return max(self.width, self.height) <= TINY


def html(compared: Sequence[Side]) -> bytes:
    """Return the page: one file that opens offline, without scripts, under a policy that allows its own style sheet and pictures."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    style = (files("loraspec.comparing") / "compare.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=PackageLoader("loraspec.comparing", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["safe_text"] = escaped
    charts = [
        (NAMES[name], MEANING[name], Markup(drawn), *rows(name, compared))  # curves escape what they are given
        for name in NAMES
        if (drawn := chart(name, compared))
    ]
    heads, body = choices(compared)
    page = environment.get_template("compare.html.j2").render(
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        titles=[side.title for side in compared],
        kinds=KINDS,
        notes=notes(compared),
        differing=differing(compared),
        heads=heads,
        choices=body,
        pictures=_rows(compared),
        charts=charts,
    )
    return page.encode("utf-8", "replace")


def choices(compared: Sequence[Side]) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of the table of what was picked, a run a column, as in that of what differs.

    Facts that are known of no run are left out.
    """
    told = [facts(side) for side in compared]
    known = [key for key in HEADINGS if any(row[key] for row in told)]
    return ["run", *(side.title for side in compared)], [[HEADINGS[key], *(row[key] or "-" for row in told)] for key in known]


def notes(compared: Sequence[Side]) -> list[str]:
    """Return what is odd of the runs."""
    return [f"{side.title}: {note}" for side in compared for note in side.notes]


def _rows(compared: Sequence[Side]) -> list[dict[str, Any]]:
    """Rows of pictures: what most of a row were asked for, "" where all differ, and a picture of each run, None without one."""
    found = []
    for row in shots(compared):
        asked = Counter((shot.prompt, shot.seed) for shot in row if shot)
        scene, count = asked.most_common(1)[0] if asked else (("", 0), 0)
        shared = count > 1 or len(compared) == 1
        pictures = [_picture(side, shot, scene=scene if shared else None) for side, shot in zip(compared, row, strict=True)]
        found.append({"prompt": f"{scene[0]}, seed {scene[1]}" if shared else "", "pictures": pictures})
    return found


def _picture(side: Side, shot: Shot | None, *, scene: tuple[str, int] | None) -> Picture | None:
    """Return a picture for a page; its words name prompt and seed unless they are those of the ``scene`` of its row."""
    from PIL.Image import Resampling

    from loraspec.images import decode

    if shot is None:
        return None
    try:
        image = decode(read_plain(shot.path, LARGEST))
    except (OSError, ValueError, ImageError):
        return None
    tiny = max(image.size) <= TINY
    if max(image.size) > LONGEST:
        image.thumbnail((LONGEST, LONGEST), Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=86, lossless=tiny, method=4)
    said = f"{side.title}: epoch {shot.epoch} at {words(shot.weight)}"
    if side.choice is not None and abs(side.choice.weight - shot.weight) > 1e-9:
        said += f" (nothing was drawn at {words(side.choice.weight)})"
    if scene != (shot.prompt, shot.seed):
        said += f"; {shot.prompt}, seed {shot.seed}"
    return Picture(buffer.getvalue(), image.width, image.height, said)


# -- Markdown ------------------------------------------------------------------------------------------------------------


def markdown(compared: Sequence[Side], folder: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the Markdown, and the files that it shows: name in ``folder`` -> content.

    Args:
        compared: The runs.
        folder: Name of the folder beside it, a plain one.
    """
    shown: dict[str, bytes] = {}
    parts = [f"# {md(' · '.join(side.title for side in compared))}", *(f"> {md(note)}" for note in notes(compared))]
    parts += ["## What differs", _differences(compared), "## What was picked", _table(*choices(compared))]
    for number, row in enumerate(_rows(compared), 1):
        cells = []
        for place, picture in enumerate(row["pictures"], 1):
            name = f"picture-{number}-{place}.webp"
            if picture is not None:
                shown[name] = picture.data
            cells.append("no picture" if picture is None else f"![{md(picture.words)}]({folder}/{name})<br>{md(picture.words)}")
        parts += [md(row["prompt"])] * bool(row["prompt"])
        parts.append(_raw([md(side.title) for side in compared], [cells]))
    parts.append("## Curves")
    style = (files("loraspec.comparing") / "chart.css").read_text(encoding="utf-8")
    for name, title in NAMES.items():
        if drawn := chart(name, compared, style=style):
            shown[f"{name}.svg"] = drawn.encode("utf-8", "replace")
            parts += [f"### {title}", f"{md(MEANING[name])}.", f"![{title} by epoch]({folder}/{name}.svg)", _table(*rows(name, compared))]
    return ("\n\n".join(parts) + "\n").encode("utf-8", "replace"), shown


def md(text: str) -> str:
    """Return a text that Markdown shows as it is: one line, no markup, no link, no character that cannot be seen."""
    plain = escape(escaped(" ".join(text.split())), quote=False)
    return _NUMBERED.sub(r"\1\\\2", _MARKS.sub(r"\\\1", plain))


def _differences(compared: Sequence[Side]) -> str:
    found = differing(compared)
    if not found:
        return "The resolved specs are the same."
    return _table(["key", *(side.title for side in compared)], [[path, *values] for path, values in found])


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    return _raw([md(head) for head in heads], [[md(cell) for cell in row] for row in body])


def _raw(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *body))


def write(compared: Sequence[Side], *, page: Path | None, text: Path | None) -> list[Path]:
    """Write the page, the Markdown, or both; return what was written.

    Raises:
        RunError: The disk refuses it.
    """
    from loraspec.engine.disk import write_file
    from loraspec.engine.folder import disk_told

    found: list[tuple[Path, bytes]] = []
    if page is not None:
        found.append((page, html(compared)))
    if text is not None:
        folder = re.sub(r"[^A-Za-z0-9_-]", "-", text.stem) + "-files"
        said, shown = markdown(compared, folder)
        found += [*((text.parent / folder / name, data) for name, data in shown.items()), (text, said)]
    for path, data in found:
        with disk_told(path.parent):
            write_file(path, data)
    return [path for path in (page, text) if path is not None]
