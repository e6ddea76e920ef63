"""What the ranking adds to the sheets: a frame about the recommended cell, a sheet of means, contact sheets by epoch, an animation."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from loraspec.engine.cells import read_png, save_png
from loraspec.engine.disk import write_file
from loraspec_guide.grid.folder import ANIMATION, pair_name, weight_words
from loraspec_guide.grid.sheets import ACCENT, INK, PAPER, RULE, SMALLEST, SOFT, Row, Sheet, draw_sheet, font, resized, wrapped

if TYPE_CHECKING:
    from loraspec.engine.gallery import RunGallery
    from loraspec.sweetspot.ranking import CellScore, Ranking

WIDE, HIGH = 168, 92  # px: a cell of the sheet of means
POOR, GOOD = (246, 236, 222), (58, 122, 94)  # U = 0 and 1
FRAME_MS, LAST_MS = 450, 1800
PAIR = 224  # px of a training picture that a generated one lies near to
MEANS = "means.png"


def after_ranking(gallery: RunGallery, ranking: Ranking, folder: Path) -> None:
    """Write what a ranking adds into ``grid`` of a run.

    ``means.png``: U of every cell. ``epochs/epoch-007.png``: every judged prompt and seed of an epoch at the recommended weight.
    ``progress.webp``: the first judged prompt over the epochs, where there are two or more.

    Args:
        gallery: The judged pictures, all drawn.
        ranking: The ranking.
        folder: ``grid``.
    """
    save_png(folder / MEANS, means(ranking), {"epoch": ranking.epoch, "weight": ranking.weight})
    for epoch in gallery.epochs:
        facts = {"epoch": epoch, "weight": _weight(ranking)}
        save_png(folder / "epochs" / f"epoch-{epoch:03d}.png", _epoch(gallery, epoch, ranking), facts)
    near = {str(pair.get("key")) for pair in ranking.pairs if pair.get("epoch") == ranking.epoch}
    for shown in gallery.training if near else ():
        if shown.key in near:
            small = shown.image.convert("RGB")
            small.thumbnail((PAIR, PAIR))
            save_png(folder / "thumbs" / pair_name(shown.key), small, {})
    moving = animation(gallery, ranking)
    if moving is not None:
        write_file(folder / ANIMATION, moving)


def _weight(ranking: Ranking) -> float:
    return ranking.weight or 1.0


def means(ranking: Ranking) -> Image.Image:
    """Draw U of every epoch (down) and weight (across) as a number on a colour, with style, prompt and copies beneath."""
    epochs, weights = [one.epoch for one in ranking.epochs], sorted({cell.weight for cell in ranking.cells})
    margin, side, head, gap = 32, 110, 128, 4
    width = max(margin * 2 + side + len(weights) * (WIDE + gap), 560)
    canvas = Image.new("RGB", (width, head + 40 + len(epochs) * (HIGH + gap) + margin), PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((margin, margin), "Means of every cell", fill=INK, font=font(24))
    note = f"U, and beneath it style, prompt and the share of copies; {ranking.pictures} pictures a cell, means over prompts and seeds"
    for line, text in enumerate(wrapped(note, size=14, width=width - 2 * margin, lines=3)):
        pen.text((margin, margin + 38 + 20 * line), text, fill=SOFT, font=font(14))
    for column, weight in enumerate(weights):
        x = margin + side + column * (WIDE + gap) + WIDE / 2
        pen.text((x, head + 24), f"weight {weight_words(weight)}", fill=INK, font=font(16), anchor="ms")
    for number, epoch in enumerate(epochs):
        top = head + 40 + number * (HIGH + gap)
        pen.text((margin, top + HIGH / 2), f"epoch {epoch}", fill=INK, font=font(16), anchor="lm")
        for column, weight in enumerate(weights):
            left = margin + side + column * (WIDE + gap)
            box = (left, top, left + WIDE - 1, top + HIGH - 1)
            _mean(pen, box, ranking.cell(epoch, weight))
            if (epoch, weight) == (ranking.epoch, ranking.weight):
                pen.rectangle((left - 3, top - 3, left + WIDE + 2, top + HIGH + 2), outline=ACCENT, width=5)
    return canvas


def _mean(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], cell: CellScore | None) -> None:
    if cell is None or not math.isfinite(cell.utility.value):
        pen.rectangle(box, outline=RULE)
        pen.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), "not measured", fill=SOFT, font=font(14), anchor="mm")
        return
    value = min(max(cell.utility.value, 0.0), 1.0)
    ground = tuple(round(low + value * (high - low)) for low, high in zip(POOR, GOOD, strict=True))
    light = sum(share * (part / 255) ** 2.2 for share, part in zip((0.2126, 0.7152, 0.0722), ground, strict=True))
    ink = INK if light > 0.18 else (255, 255, 255)  # at least 4 : 1 whatever the ground (WCAG's relative luminance)
    pen.rectangle(box, fill=ground)
    middle = (box[0] + box[2]) / 2
    pen.text((middle, box[1] + 34), f"{value:.2f}", fill=ink, font=font(26), anchor="mm")
    parts = [f"{name} {cell.axes[name].value:.2f}" for name in ("style", "prompt") if name in cell.axes]
    pen.text((middle, box[1] + 63), " · ".join(parts), fill=ink, font=font(13), anchor="mm")
    if math.isfinite(cell.copies.value):
        pen.text((middle, box[1] + 80), f"copies {cell.copies.value:.0%}", fill=ink, font=font(13), anchor="mm")


def _epoch(gallery: RunGallery, epoch: int, ranking: Ranking) -> Image.Image:
    """Draw every judged prompt (across) and seed (down) of an epoch."""
    weight = _weight(ranking)
    paths = [gallery.cells.path(cell) for cell in gallery.block(epoch, weight)]
    count = len(gallery.seeds)
    rows = [Row(f"seed {seed}", tuple(paths[number::count])) for number, seed in enumerate(gallery.seeds)]
    legend = "   ".join(f"{p + 1}: {prompt}" for p, prompt in enumerate(gallery.prompts))
    chosen = " · recommended" if epoch == ranking.epoch else ""
    title = f"Epoch {epoch} at weight {weight_words(weight)}{chosen}"
    return draw_sheet(Sheet(title, legend, tuple(f"prompt {p + 1}" for p in range(len(gallery.prompts))), tuple(rows)), largest=256)


def animation(gallery: RunGallery, ranking: Ranking) -> bytes | None:
    """Return an animated WebP of the first judged prompt and seed over the epochs; None where there is nothing that moves."""
    weight, prompt, seed = _weight(ranking), gallery.prompts[:1], gallery.seeds[:1]
    places = [(0, 0.0), *((epoch, weight) for epoch in gallery.epochs)]
    frames, times = [], []
    for epoch, at in places:
        try:
            image = read_png(gallery.cells.path(gallery.block(epoch, at, prompts=prompt, seeds=seed)[0])).convert("RGB")
        except OSError:
            continue
        frames.append(_frame(image, "no LoRA" if not epoch else f"epoch {epoch}", prompt[0], chosen=epoch != 0 and epoch == ranking.epoch))
        times.append(LAST_MS if epoch in (gallery.epochs[-1], ranking.epoch) else FRAME_MS)
    if len(frames) < 3:
        return None
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=times, loop=0, quality=82, method=4)
    return buffer.getvalue()


def _frame(image: Image.Image, label: str, prompt: str, *, chosen: bool) -> Image.Image:
    longer = max(image.size)
    scale = max(1, SMALLEST * 2 // longer) if longer < SMALLEST * 2 else SMALLEST * 2 / longer
    shown = resized(image, (round(image.width * scale), round(image.height * scale)))
    words = wrapped(prompt, size=13, width=shown.width - 16, lines=2)
    canvas = Image.new("RGB", (shown.width + 16, shown.height + 48 + 18 * len(words)), PAPER)
    pen = ImageDraw.Draw(canvas)
    canvas.paste(shown, (8, 8))
    if chosen:
        pen.rectangle((3, 3, shown.width + 12, shown.height + 12), outline=ACCENT, width=5)
    pen.text((10, shown.height + 18), label + (" · recommended" if chosen else ""), fill=ACCENT if chosen else INK, font=font(17))
    for number, line in enumerate(words):
        pen.text((10, shown.height + 42 + 18 * number), line, fill=SOFT, font=font(13))
    return canvas
