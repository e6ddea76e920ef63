"""card: what stands in a model card, and what never does."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from finished_run import finished_run

Cli = Callable[..., Any]
HOSTILE = 'a|b\n# c <script>alert(1)</script> [x](javascript:1) `d` \x1b[31m "e" --- \u202e'


def head(text: str) -> dict[str, Any]:
    """The YAML, each value as JSON."""
    begin, end = text.split("---\n")[:2]
    assert begin == ""
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in end.splitlines())}


def images(folder: Path, *rows: dict[str, Any]) -> None:
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_card_says_whose_images_what_base_and_which_epoch(tmp_path: Path, loraspec_cli: Cli) -> None:
    """Rights and credits are counted, those of pictures held out are not; the head is what a hub reads."""
    folder = finished_run(tmp_path / "run", base="stabilityai/stable-diffusion-xl-base-1.0")
    one = {"rights": "public-domain", "credits": "Honoré Daumier; National Gallery of Art, Washington"}
    images(folder, one, one, {"rights": "own", "credits": ""}, {"rights": "licensed", "credits": "Nobody", "heldout": True})
    outcome = loraspec_cli("card", folder, "--license", "cc0-1.0")
    outcome.assert_success()
    found = head(outcome.out)
    assert found["base_model"] == "stabilityai/stable-diffusion-xl-base-1.0"
    assert (found["license"], found["instance_prompt"]) == ("cc0-1.0", "by Nobody")
    assert "| public-domain | Honoré Daumier; National Gallery of Art, Washington | 2 |" in outcome.out
    assert "| own |  | 1 |" in outcome.out
    assert "licensed" not in outcome.out
    assert "epoch 3 of 4, to be used at weight 1.0" in outcome.out
    assert "Epoch 3 is the sweet spot" in outcome.out
    digest = hashlib.sha256((folder / "epochs" / "style-000003.safetensors").read_bytes()).hexdigest()
    assert f"| style-000003.safetensors | {digest} |" in outcome.out


def test_a_persons_pick_is_described(tmp_path: Path, loraspec_cli: Cli) -> None:
    """Epoch, weight and note are theirs."""
    folder = finished_run(tmp_path / "run")
    loraspec_cli("pick", folder, 2, "--weight", 0.9, "--note", "softer lines").assert_success()
    out = loraspec_cli("card", folder).out
    assert "epoch 2 of 4, to be used at weight 0.9" in out
    assert "<lora:style-000002:0.9>" in out
    assert "chosen by a person: softer lines" in out
    assert "license" not in head(out)


@pytest.mark.parametrize(("base", "named"), [
    ("/mnt/ada/models/sdxl", "sdxl"), ("../secret/place/sdxl", "sdxl"), ("C:/Users/ada/sdxl", "sdxl"),
    ("a/b/c/sdxl.safetensors", "sdxl.safetensors"),
    ("package:loraspec_picturebook/base", r"package:loraspec\_picturebook/base"),
])  # fmt: skip
def test_a_place_on_the_machine_is_not_told(tmp_path: Path, loraspec_cli: Cli, base: str, named: str) -> None:
    """Only its last part; and it is no base that a hub knows."""
    out = loraspec_cli("card", finished_run(tmp_path / "run", base=base)).out
    assert f"| base | {named} |" in out
    assert "base_model" not in head(out)
    assert not {"ada", "secret", str(tmp_path)} & set(re.findall(r"[\w/.]+", out))


def test_hostile_words_are_words(tmp_path: Path, loraspec_cli: Cli) -> None:
    """Rights, notes, names: no markup, no link, no second head, no line of their own."""
    folder = finished_run(tmp_path / "run")
    images(folder, {"rights": HOSTILE, "credits": HOSTILE})
    loraspec_cli("pick", folder, 2, "--note", HOSTILE.replace("\x1b", "")).assert_success()
    out = loraspec_cli("card", folder).out
    assert "<script" not in out
    assert re.search(r"(?<!\\)\]\(", out) is None
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert out.count("\n# ") == 1
    assert [line for line in out.splitlines() if line == "---"] == ["---", "---"]


def test_it_is_written_and_not_over_another(tmp_path: Path, loraspec_cli: Cli) -> None:
    """Unless that is meant; what is printed is what is written."""
    folder = finished_run(tmp_path / "run")
    target = tmp_path / "README.md"
    loraspec_cli("card", folder, "-o", target).assert_success()
    assert target.read_text() == loraspec_cli("card", folder).out
    target.write_text("mine")
    loraspec_cli("card", folder, "-o", target).assert_failed(2, "exists")
    assert target.read_text() == "mine"
    loraspec_cli("card", folder, "-o", target, "--force").assert_success()
    assert target.read_text() != "mine"


def test_without_a_ranking_a_pick_is_asked_for(tmp_path: Path, loraspec_cli: Cli) -> None:
    """There is no epoch to describe."""
    outcome = loraspec_cli("card", finished_run(tmp_path / "run", keys={}))
    assert outcome.code != 0
    assert "Traceback" not in outcome.err
