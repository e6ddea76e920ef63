"""The report's verdict: first, whole, for good and bad rankings, and with nothing of a stranger's unescaped."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from finished_run import finished_run
from loraspec_guide.grid.report import report
from loraspec_guide.grid.verdict import words

from loraspec.sweetspot.measured import Measured, Scores
from loraspec.sweetspot.ranking import Interval
from loraspec.sweetspot.scorefile import ScoreFile


def page(folder) -> str:
    """Write a run's report and return it."""
    return report(folder).read_text(encoding="utf-8")


def test_the_verdict_comes_first(tmp_path):
    """Epoch, sentence, confidence, pictures, and how to use the file; before everything else."""
    text = page(finished_run(tmp_path / "run"))
    main = text[text.index("<main>") :]
    assert re.search(r"<section[^>]*>\s*<h2>Take epoch 3 at weight 1.0</h2>", main).start() < 40
    parts = ("Confidence: <strong>high</strong>", "ComfyUI", "A1111", "&lt;lora:", "load_lora_weights", 'src="data:image/webp', "<polygon")
    for part in parts:
        assert part in main
    assert 'class="strip chosen"' in main
    assert "loraspec judge" not in main


def test_the_artists_own_pictures_stand_between_the_base_and_the_choice(tmp_path):
    """Held-out ones, up to eight, with words; a broken one is left out, and without any there is no strip."""
    folder = finished_run(tmp_path / "run", own=9)
    (folder / "grid" / "thumbs" / f"{0:016x}.webp").write_bytes(b"broken")
    text = page(folder)
    assert text.count('alt="the artist&#39;s own, never trained on, picture ') == 7
    places = [text.index(f'<p class="prompt">{name}') for name in ("no LoRA", "the artist&#39;s own, never trained on<", "epoch 3")]
    assert places == sorted(places)
    assert '<p class="prompt">the artist' not in page(finished_run(tmp_path / "none"))


def test_low_confidence_shows_the_tie_set(tmp_path):
    """Its pictures, and a person's eye is asked for; the chosen epoch is framed among them."""
    text = page(finished_run(tmp_path / "run", confidence="low", tied=(2, 3, 4)))
    names = re.findall(r'<p class="prompt">(no LoRA|epoch \d+)', text)
    assert names[:4] == ["no LoRA", "epoch 2", "epoch 3", "epoch 4"]
    assert "loraspec judge RUN" in text


@pytest.mark.parametrize("given", [{"epochs": 1, "keys": {1: 0.5}, "tied": (1,)}, {"same": True}, {"pictures": False}, {"epochs": 2}])
def test_odd_rankings(tmp_path, given):
    """One epoch, equal pictures, none at all: a page all the same, and no word nan in it."""
    text = page(finished_run(tmp_path / "run", **given))
    assert "Take epoch" in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_without_a_ranking_the_rest_is_there(tmp_path):
    """No verdict, no link to one; a damaged or forged ranking is as none."""
    folder = finished_run(tmp_path / "run", keys={})
    assert 'id="verdict"' not in page(folder)
    folder = finished_run(tmp_path / "other")
    for forged in ("{", json.dumps({"version": 1}), "[1, 2]"):
        (folder / "ranking.json").write_text(forged, encoding="utf-8")
        assert 'id="verdict"' not in page(folder)


def test_a_stranger_s_words_are_escaped(tmp_path):
    """Prompts, sentences and remarks of a ranking that somebody sent."""
    folder = finished_run(tmp_path / "run", prompts=("<script>alert(1)</script>", "b"))
    text = (folder / "ranking.json").read_text(encoding="utf-8")
    ranking = json.loads(text)
    ranking["sentences"] = ['"><img src=x onerror=alert(1)>'] * 2
    ranking["reasons"] = ["<b>bold</b>"]
    for row in ranking["epochs"]:
        row["labels"] = [{"name": "<i>", "words": '"><script>', "value": {"value": 1.0, "low": 1.0, "high": 1.0}}]
    (folder / "ranking.json").write_text(json.dumps(ranking), encoding="utf-8")
    found = page(folder)
    for raw in ("<script", "<img src=x", "<b>bold", "<i>"):
        assert raw not in found


def test_what_metrics_say_stands_under_their_gates(tmp_path):
    """Each note with its metric's name, escaped; a run without scores has none."""
    folder = finished_run(tmp_path / "run")
    assert '<ul class="notes">' not in page(folder)
    measured = Measured("reads", "prompt", np.ones((4, 1, 2, 2)), np.ones((2, 2)), notes=("read by <b>half</b> of the LoRA",))
    file = ScoreFile("ab" * 32, Scores((1, 2, 3, 4), (1.0,), ("a", "b"), (7, 8), (measured,), 3))
    (folder / "scores").mkdir()
    (folder / "scores/reads.json").write_text(json.dumps(file.plain()), encoding="utf-8")
    assert "<li><strong>reads</strong>: read by &lt;b&gt;half&lt;/b&gt; of the LoRA</li>" in page(folder)


def test_numbers_with_their_intervals():
    """What is not known is left out."""
    nan = float("nan")
    assert words(Interval(0.714, 0.65, 0.781)) == "0.71 [0.65, 0.78]"
    assert words(Interval(0.5, nan, nan)) == "0.50"
    assert words(Interval(nan, nan, nan)) == ""
