"""Self-lock: whether training captions give their own training pictures back, the plainest sign of memorising. It never votes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from loraspec.engine.readings import spaced
from loraspec.sweetspot.keys import full_weight

if TYPE_CHECKING:
    from loraspec.engine.scales import OriginalityReading
    from loraspec.metrics import Shown

CAPTIONS, EPOCHS = 8, 5


def self_lock(reading: OriginalityReading) -> list[dict[str, Any]]:
    """Draw some training captions at full weight, one seed, and look whether each picture lies nearest to its own.

    Args:
        reading: Of an originality metric; its distances and its threshold are used.

    Returns:
        For the base (epoch 0) and at most five epochs, evenly spaced with the last among them: ``epoch``; ``asked``, the captions, at
        most eight; ``recalled``, how many gave a picture that lies nearest to the caption's own, and nearer than real works do;
        ``contrast``, the mean of how much nearer the own picture lies than the next other, in units of the threshold (above 0:
        nearer). Nothing when no training picture has a caption, or one of them cannot be measured.

    Raises:
        Stopped: A signal came; finished cells stay.
    """
    gallery = reading.gallery
    own: dict[str, int] = {}
    for number, shown in enumerate(gallery.training):
        if shown.prompt:
            own.setdefault(shown.prompt, number)
    if len(reading.training) < len(gallery.training) or len(own) < 2:
        return []
    asked = _some(list(own), CAPTIONS)
    full = gallery.weights[full_weight(gallery.weights)]
    places = np.array([own[caption] for caption in asked])
    found = []
    for epoch in (0, *_some(list(gallery.epochs), EPOCHS)):
        drawn: list[Shown | None] = gallery.pictures(epoch, full if epoch else 0.0, prompts=asked, seeds=gallery.seeds[:1])
        apart = np.linalg.norm(reading.features(drawn)[:, None] - reading.training[None], axis=-1)
        known = np.isfinite(apart).all(1)
        rows, mine = apart[known], places[known]
        if not len(rows):
            continue
        nearness = rows[np.arange(len(rows)), mine]
        rows[np.arange(len(rows)), mine] = np.inf
        others = rows.min(1)
        recalled = (nearness < others) & (nearness < reading.scale)
        contrast = float(((others - nearness) / max(reading.scale, 1e-9)).mean())
        found.append({"epoch": epoch, "asked": len(rows), "recalled": int(recalled.sum()), "contrast": contrast})
    return found


def told(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return what a self-lock says in a sentence, of the epoch that recalls most."""
    if not rows:
        return ()
    trained = [row for row in rows if row["epoch"]]
    if not trained:
        return ()
    worst = max(trained, key=lambda row: (row["recalled"] / row["asked"], row["contrast"]))
    if not worst["recalled"]:
        epochs = ", ".join(str(row["epoch"]) for row in trained)
        return (f"no training caption gives its own picture back ({worst['asked']} asked, epochs {epochs})",)
    base = "".join(f"; the base gives {row['recalled']} of {row['asked']}" for row in rows if not row["epoch"])
    given = f"{worst['recalled']} of {worst['asked']} training pictures"
    return (f"epoch {worst['epoch']} gives {given} back when asked with their captions{base}",)


def _some(items: list[Any], most: int) -> list[Any]:
    return list(spaced(items, most))
