"""``report.html``: one file that opens offline, without scripts, from the run's folder alone."""

from __future__ import annotations

import base64
import hashlib
import io
import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from loraspec.engine.disk import write_file
from loraspec_guide.grid.charts import Chart, label, svg
from loraspec_guide.grid.folder import (
    CELL,
    SHEET,
    THUMB,
    RunData,
    contact_weight,
    inside,
    items,
    number,
    read_folder,
    weight_words,
)
from loraspec_guide.grid.memory import diagnostics
from loraspec_guide.grid.provenance import provenance
from loraspec_guide.grid.public import without_paths
from loraspec_guide.grid.verdict import AXES, verdict

HERE = Path(__file__).parent
SIZES = (640, 448, 320, 224, 160, 112, 80, 56)  # px of a cell's longer side: the largest at which the grid stays within its budget
BUDGET = 6 * 2**20  # bytes of the grid's pictures as they stand in the page
ASKED = 12  # cells that are tried
STRIP = 160  # px: images of the overview and thumbnails
CAPTIONS = 24  # captions shown
PLACE = ("epoch", "weight", "prompt", "seed")
TINY = 128  # px: images up to this are kept exact and enlarged without blur


def report(folder: Path) -> Path:
    """Write ``report.html`` into a run's folder and return its path.

    Everything comes from the folder's files; what is missing there is left out. All text is escaped, and the page's policy
    (``Content-Security-Policy``) allows nothing but its own style sheet and embedded images.
    """
    data = read_folder(folder)
    style = (HERE / "report.css").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(bytes=size_words, weight=weight_words)
    page = environment.get_template("report.html.j2").render(
        policy=_policy(style),
        style=Markup(style),
        name=str(data.run.get("name") or data.get("run.name") or folder.resolve().name),
        facts=_facts(data),
        tiles=_tiles(data),
        verdict=verdict(data, embedded),
        axes=[axis for axis, _ in AXES],
        grid=_grid(data),
        charts=_charts(data),
        diagnostics=diagnostics(data),
        epochs=[_epoch_row(entry) for entry in data.epochs],
        captions=_captions(data),
        rights=_rights(data),
        warnings=[without_paths(text) for text in data.warnings],
        provenance=[(title, [(key, without_paths(value)) for key, value in rows]) for title, rows in provenance(data)],
        resolved=without_paths(data.resolved),
    )
    path = folder / "report.html"
    write_file(path, page.encode())
    return path


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


# -- words ------------------------------------------------------------------------------------------------------------------


def size_words(value: Any) -> str:
    """Return bytes as a person reads them: ``681 MB``."""
    if not number(value):
        return ""
    size = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:,.0f} {unit}" if size >= 100 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def time_words(seconds: float) -> str:
    """Return ``42 s``, ``7 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _facts(data: RunData) -> str:
    """The line under the title."""
    base = data.get("model.checkpoint")
    use = str(data.get("model.use")).rpartition(":")[2]
    parts = [f"{use} · {str(base).rstrip('/').rpartition('/')[2]}" if base else use, str(data.run.get("started", ""))[:10]]
    state = data.run.get("state")
    if state in ("stopped", "failed"):
        parts.append(f"{state} after step {data.run.get('step')}")
    return " · ".join(part for part in parts if part)


def _tiles(data: RunData) -> list[tuple[str, str, str]]:
    """The numbers at the top: value, what it is, and a note."""
    found: list[tuple[str, str, str]] = []
    trained = [row for row in data.manifest if not row.get("heldout")]
    repeats = data.get("data.repeats", None)
    if trained:
        held = len(data.manifest) - len(trained)
        found.append((f"{len(trained)}", "images", f"{repeats} repeats" + (f", {held} held out" if held else "")))
    if data.epochs:
        last = data.epochs[-1]
        found.append((f"{len(data.epochs)}", "epochs", f"{last['step']:,} steps" if number(last.get("step")) else ""))
    if number(data.get("adapter.rank", None)):
        alpha = data.get("adapter.alpha", None)
        found.append((f"{data.get('adapter.rank')}", "rank", f"alpha {alpha:g}" if number(alpha) else ""))
    seconds = data.run.get("seconds")
    if isinstance(seconds, Mapping) and number(seconds.get("train")):
        before = sum(value for key, value in seconds.items() if key in ("load", "prepare") and number(value))
        after = f", {time_words(seconds['evaluate'])} to judge" if number(seconds.get("evaluate")) else ""
        found.append((time_words(seconds["train"]), "training", f"{time_words(before)} to load and prepare{after}"))
    speed = [value for _, value in data.series("images_per_second")]
    if speed:
        found.append((label(float(f"{statistics.median(speed):.3g}")), "images a second", "median"))
    peak = data.run.get("peak_memory")
    if isinstance(peak, Mapping) and number(peak.get("host")):
        host = size_words(peak["host"])
        if number(peak.get("device")):
            found.append((size_words(peak["device"]), "peak memory", f"{host} on the host"))
        else:
            found.append((host, "peak memory", "of the process"))
    return found


# -- images -----------------------------------------------------------------------------------------------------------------


def embedded(path: Path, longest: int, *, exact: bool = True) -> dict[str, Any] | None:
    """Return an image as a data URI with its size, reduced to ``longest`` px; None when it cannot be read.

    Tiny images are kept to the bit where ``exact``.
    """
    try:
        with Image.open(path, formats=("PNG", "WEBP", "JPEG")) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    tiny = max(image.size) <= TINY
    if max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=84, lossless=exact and tiny, method=4)
    text = base64.b64encode(buffer.getvalue()).decode()
    return {"uri": f"data:image/webp;base64,{text}", "width": image.width, "height": image.height, "tiny": tiny}


def _fitting(paths: list[Path]) -> tuple[int, bool]:
    """Return the size (px of the longer side) at which so many cells fit the budget, and whether tiny ones can be kept to the bit."""
    tried = paths[:: max(1, len(paths) // ASKED)][:ASKED]
    for longest in SIZES:
        for exact in (True, False):
            sizes = [len(image["uri"]) for path in tried if (image := embedded(path, longest, exact=exact))]
            if sizes and statistics.mean(sizes) * len(paths) <= BUDGET:
                return longest, exact
    return SIZES[-1], False


def _grid(data: RunData) -> dict[str, Any] | None:
    """The overview and one table for each prompt and seed."""
    index, folder = data.grid, data.folder / "grid"
    prompts = [str(prompt) for prompt in items(index.get("prompts"))]
    seeds, epochs, weights = ([value for value in items(index.get(key)) if number(value)] for key in ("seeds", "epochs", "weights"))
    cells = [cell for cell in items(index.get("cells")) if isinstance(cell, dict) and all(number(cell.get(key)) for key in PLACE)]
    files = {tuple(c[key] for key in PLACE): inside(folder / "cells", c.get("file"), CELL) for c in cells}
    if not prompts or not any(files.values()):
        return None
    failed = {tuple(c[key] for key in PLACE): str(c["failed"]) for c in cells if c.get("failed")}
    longest, exact = _fitting([path for path in files.values() if path])
    image = partial(_image, longest=longest, exact=exact)
    sheets = {f"{s.get('prompt')} {s.get('seed')}": s.get("file") for s in items(index.get("sheets")) if isinstance(s, dict)}
    best = contact_weight(tuple(weights))
    strips, tables = [], []
    for p, prompt in enumerate(prompts):
        for s, seed in enumerate(seeds):
            at = partial(_at, files, p, s)
            strip = [("no LoRA", at(0, 0.0)), *((f"{epoch}", at(epoch, best)) for epoch in epochs)]
            images = [(name, embedded(path, STRIP, exact=exact)) for name, path in strip if path]
            strips.append({"prompt": prompt, "seed": seed, "images": images})
            base = at(0, 0.0)
            rows = [
                (epoch, [(weight, image(at(epoch, weight)), failed.get((epoch, weight, p, s), "")) for weight in weights])
                for epoch in epochs
            ]
            sheet = sheets.get(f"{p} {s}")
            tables.append({
                "id": f"g{p + 1}-{s + 1}", "prompt": prompt, "seed": seed, "base": image(base), "rows": rows,
                "sheet": f"grid/{sheet}" if inside(folder, sheet, SHEET) else "",
            })  # fmt: skip
    sampling = index.get("sampling") or {}
    return {
        "strips": strips, "tables": tables, "weights": weights, "epochs": epochs, "best": best,
        "sampling": [f"{key} {value}" for key, value in sampling.items()] if isinstance(sampling, Mapping) else [],
        "negative": index.get("negative", ""),
    }  # fmt: skip


def _at(files: Mapping[Any, Path | None], prompt: int, seed: int, epoch: int, weight: float) -> Path | None:
    return files.get((epoch, weight, prompt, seed))


def _image(path: Path | None, longest: int, *, exact: bool = True) -> dict[str, Any] | None:
    return embedded(path, longest, exact=exact) if path else None


# -- the other sections -----------------------------------------------------------------------------------------------------


def _charts(data: RunData) -> list[tuple[str, str, Markup]]:
    """Title, note and SVG of each curve."""
    marks = tuple(float(entry["step"]) for entry in data.epochs if number(entry.get("step")))
    wanted = (
        ("loss", "Loss", "mean over the steps between two logs; the strong line is smoothed", "loss", True),
        ("d_lr", "Step size", "d × lr: the learning rate that weights really move by", "d × lr", False),
        ("grad_norm", "Gradient norm", "before clipping", "norm", True),
    )
    made = []
    for name, title, note, unit, smooth in wanted:
        drawn = svg(Chart(f"{title} by step", unit, data.series(name), marks if len(marks) <= 40 else (), smooth))
        if drawn:
            made.append((title, note, Markup(drawn)))  # charts escape what they are given
    return made


def _epoch_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    files = [file for file in items(entry.get("files")) if isinstance(file, dict)]
    return {
        "epoch": entry["epoch"],
        "step": entry.get("step"),
        "loss": f"{entry['loss']:.4f}" if number(entry.get("loss")) else "",
        "d_lr": f"{entry['d_lr']:.2e}" if number(entry.get("d_lr")) else "",
        "norm": f"{entry['weight_norm']:.3g}" if number(entry.get("weight_norm")) else "",
        "files": [{"path": str(f.get("path", "")), "bytes": f.get("bytes"), "sha256": str(f.get("sha256", ""))} for f in files],
    }


def _captions(data: RunData) -> dict[str, Any]:
    """A sample of the training images with their captions, spread evenly over the set."""
    rows = [row for row in data.manifest if not row.get("heldout")]
    shown = [row for row in rows if row.get("thumb")] or rows
    chosen = sorted({round(index * (len(shown) - 1) / max(1, CAPTIONS - 1)) for index in range(CAPTIONS)}) if shown else []
    found = []
    for row in (shown[index] for index in chosen):
        path = inside(data.folder / "grid" / "thumbs", row.get("thumb"), THUMB)
        found.append({
            "key": str(row.get("key", "")), "caption": str(row.get("caption") or ""), "drafted": row.get("caption_state") == "draft",
            "image": _image(path, STRIP), "size": f"{row.get('width')} × {row.get('height')} px",
        })  # fmt: skip
    return {"items": found, "total": len(rows)}


def _rights(data: RunData) -> list[tuple[str, str, int]]:
    """Rights, credits and number of images of each combination."""
    counts: dict[tuple[str, str], int] = {}
    for row in data.manifest:
        key = (str(row.get("rights") or "not declared"), str(row.get("credits") or ""))
        counts[key] = counts.get(key, 0) + 1
    return [(*key, count) for key, count in sorted(counts.items())]
