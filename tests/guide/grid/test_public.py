"""Reports carry no path of the machine."""

from __future__ import annotations

import pytest
from loraspec_guide.grid.public import without_paths


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('output = "/mnt/me/runs/a"', 'output = ".../a"'),
        ('path = "/mnt/my disk/pictures of me/"', 'path = ".../pictures of me"'),
        ('path = "C:\\\\Users\\\\me\\\\a"', 'path = ".../a"'),
        ('path = "~/pictures/a"', 'path = ".../a"'),
        ("/mnt/me/run/events.jsonl: No space left on device", ".../events.jsonl: No space left on device"),
        ("see /mnt/me/a/b, then C:\\Users\\me\\x.txt", "see .../b, then .../x.txt"),
        ('output = "/out"', 'output = ".../out"'),
    ],
)
def test_absolute_paths_are_cut_to_their_last_part(text: str, said: str) -> None:
    """Folders above say who and where somebody is."""
    assert without_paths(text) == said


@pytest.mark.parametrize("text", [
    'path = "images/a"', 'checkpoint = "stabilityai/stable-diffusion-xl-base-1.0"', 'checkpoint = "package:loraspec_picturebook/base"',
    "https://huggingface.co/a/b", "8 / 4", "../pictures/a", "images/s", "epochs 1/2, 3/4", 'x = "a/b/c"', "d × lr",
])  # fmt: skip
def test_other_text_stays(text: str) -> None:
    """Relative paths, hub ids, URLs and fractions are no paths of a machine."""
    assert without_paths(text) == text
