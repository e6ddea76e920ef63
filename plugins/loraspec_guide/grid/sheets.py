"""Labelled sheets: images in rows and columns, legible at any cell size."""

from __future__ import annotations

import textwrap
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from PIL import Image, ImageDraw, ImageFont

from loraspec.engine.cells import read_png

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

WIDEST = 3900  # px: sheets stay below 4000, which every viewer opens
HIGHEST = 16000  # px: WebP and JPEG writers refuse about twice that and less
SMALLEST = 192  # px: smaller cells are enlarged until their longer side has this
LARGEST = 512  # px: larger cells are reduced

PAPER = (252, 251, 248)
INK = (28, 27, 25)
SOFT = (110, 106, 98)
RULE = (221, 216, 206)
ACCENT = (190, 66, 28)

FONT = Path(__file__).with_name("fonts") / "DejaVuSans-subset.ttf"  # Pillow's own font lacks accented letters


@frozen
class Column:
    """A column's label and weight."""

    label: str
    weight: float


@frozen
class Row:
    """A row's label (lines allowed) and the files of its cells."""

    label: str
    cells: tuple[Path, ...]


@frozen
class Sheet:
    """What a sheet shows: title and note are wrapped to its width; ``frame`` is the (row, column) of the recommended cell."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    frame: tuple[int, int] | None = None


@lru_cache
def font(size: int) -> FreeTypeFont:
    """Return the sheet's font (DejaVu Sans: Latin, Greek, Cyrillic) at a size in px."""
    return ImageFont.truetype(str(FONT), size)


def cell_size(width: int, height: int, *, columns: int, rows: int, side: int, largest: int = LARGEST) -> tuple[int, int]:
    """Return the size at which cells are shown, px.

    Small cells are enlarged by a whole factor, so that nearest-neighbour scaling stays even; large ones are reduced to ``largest``
    and until the sheet is within ``WIDEST`` and ``HIGHEST``; ``side`` is the width of the row labels.
    """
    longer = max(width, height)
    scale = float(-(-SMALLEST // longer)) if longer < SMALLEST else min(1.0, largest / longer)
    across, down = (WIDEST - side) / columns, (HIGHEST - 600) / rows
    scale = min(scale, (0.97 * across - 4) / width, (0.97 * down - 4) / height)  # the rest is for gaps
    if scale > 1:
        scale = float(int(scale))
    return max(1, round(width * scale)), max(1, round(height * scale))


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale for showing: enlarge without blur, reduce without aliasing."""
    if image.size == size:
        return image
    grows = size[0] > image.width
    return image.resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS)


def wrapped(text: str, *, size: int, width: int, lines: int) -> list[str]:
    """Break a text into at most ``lines`` lines of ``width`` px; what does not fit ends in an ellipsis."""
    text = " ".join(text.split())
    face = font(size)
    average = max(1.0, face.getlength(text) / max(1, len(text)))
    found = textwrap.wrap(text, max(8, int(width / average * 0.97)), max_lines=lines, placeholder=" …") or [""]
    while any(face.getlength(line) > width for line in found) and average < width:
        average *= 1.08
        found = textwrap.wrap(text, max(8, int(width / average)), max_lines=lines, placeholder=" …") or [""]
    return found


def draw_sheet(sheet: Sheet, *, largest: int = LARGEST) -> Image.Image:
    """Draw a sheet in RGB; a cell whose file cannot be read is left as an empty frame."""
    images = [[_opened(path) for path in row.cells] for row in sheet.rows]
    first = next((image for row in images for image in row if image is not None), None)
    native = first.size if first is not None else (SMALLEST, SMALLEST)
    text = 15
    side = round(max(font(text).getlength(line) for row in sheet.rows for line in row.label.splitlines())) + 28
    wide, high = cell_size(*native, columns=len(sheet.columns), rows=len(sheet.rows), side=side + 60, largest=largest)
    text = max(13, min(30, wide // 12))
    side = round(max(font(text).getlength(line) for row in sheet.rows for line in row.label.splitlines())) + 2 * text
    gap, margin = max(4, wide // 40), max(20, wide // 10)
    across = len(sheet.columns) * (wide + gap) - gap
    width = margin + side + across + margin

    title_size = round(text * 1.4)
    title = wrapped(sheet.title, size=title_size, width=width - 2 * margin, lines=4)
    note = wrapped(sheet.note, size=text, width=width - 2 * margin, lines=6)
    head = margin + round(len(title) * title_size * 1.3 + len(note) * text * 1.45) + text
    labels = round(text * 2.1)
    height = head + labels + len(sheet.rows) * (high + gap) - gap + margin

    canvas = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(canvas)
    y = float(margin)
    for line in title:
        pen.text((margin, y), line, fill=INK, font=font(title_size))
        y += title_size * 1.3
    y += text * 0.25
    for line in note:
        pen.text((margin, y), line, fill=SOFT, font=font(text))
        y += text * 1.45
    for column, label in enumerate(sheet.columns):
        x = margin + side + column * (wide + gap) + wide / 2
        pen.text((x, head + labels - text * 0.55), _fit(label, text, wide), fill=INK, font=font(text), anchor="ms")
    for number, row in enumerate(sheet.rows):
        top = head + labels + number * (high + gap)
        pen.multiline_text((margin, top + high / 2), row.label, fill=INK, font=font(text), anchor="lm", spacing=text * 0.4)
        for column, image in enumerate(images[number]):
            left = margin + side + column * (wide + gap)
            if image is None:
                pen.rectangle((left, top, left + wide - 1, top + high - 1), outline=RULE)
            else:
                canvas.paste(resized(image, (wide, high)), (left, top))
            if (number, column) == sheet.frame:
                strong = max(4, gap)
                box = (left - strong, top - strong, left + wide - 1 + strong, top + high - 1 + strong)
                pen.rectangle(box, outline=ACCENT, width=strong)
    return canvas


def _fit(label: str, size: int, width: int) -> str:
    """Shorten a column's label to its number where the column is narrow."""
    return label if font(size).getlength(label) <= width else label.rsplit(" ", 1)[-1]


def _opened(path: Path) -> Image.Image | None:
    try:
        return read_png(path)
    except OSError:
        return None
