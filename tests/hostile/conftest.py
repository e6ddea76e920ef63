"""One watched run for all tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import frozen
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from loraspec.testing import TINY_SPEC

ROOT = Path(__file__).resolve().parents[2]
USER, HOST, HOME, FILE, CAPTION, EXIF = "zqUserZq", "zqHostZq", "zqHomeZq", "zqFileZq", "zqCaptionZq", "zqExifZq"
PLACE = "zqPlaceZq"
MEMORY = Path("/dev/shm")
SECRETS = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "HF_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_STORAGE_KEY",
    "GOOGLE_API_KEY", "GCP_SA_KEY", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "BITBUCKET_TOKEN", "WANDB_API_KEY",
    "COMET_API_KEY", "NEPTUNE_API_TOKEN", "MLFLOW_TRACKING_PASSWORD", "CLEARML_API_SECRET_KEY", "REPLICATE_API_TOKEN",
    "RUNPOD_API_KEY", "VAST_API_KEY", "CIVITAI_TOKEN", "CIVITAI_API_KEY", "MODAL_TOKEN_SECRET", "SLACK_BOT_TOKEN",
    "DISCORD_TOKEN", "TELEGRAM_BOT_TOKEN", "STRIPE_SECRET_KEY", "NPM_TOKEN", "PYPI_TOKEN", "TWINE_PASSWORD", "DOCKER_PASSWORD",
    "KAGGLE_KEY", "DATABASE_URL", "SSH_PRIVATE_KEY", "KUBECONFIG_DATA",
)  # fmt: skip
TOKENS = {name: f"zqToken{number:02}Zq" for number, name in enumerate(SECRETS)}
STOPPER = '''
import os, signal
from attrs import define, frozen
from loraspec import Component, hookimpl

@frozen
class Options:
    """None."""

@define(eq=False)
class Stopper:
    """Ends the run at the step that the environment names."""
    options: Options

    @hookimpl
    def loraspec_after_step(self, run, step, metrics):
        if str(step) == os.environ.get("HOSTILE_STOP"):
            os.kill(os.getpid(), signal.SIGTERM)

@hookimpl
def loraspec_register_callback():
    """Offer it."""
    return [Component("stopper", Options, Stopper)]
'''


@frozen
class Watched:
    """A watched run: its folder, what was seen, and the folder that everything lies in."""

    folder: Path
    place: Path
    seen: dict[str, Any]


def prepare(place: Path) -> None:
    """Write a spec, its images with captions and canaries, and the plugins that it needs."""
    info = place / "site-packages" / "loraspec_tiny-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loraspec-tiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[loraspec.v1]\ntiny = loraspec.testing.tiny\n")
    (info / "RECORD").write_text("")
    (place / "stopper.py").write_text(STOPPER)
    images = place / "images"
    images.mkdir()
    for number in range(4):
        notes = PngInfo()
        notes.add_text("Comment", EXIF)
        pixels = np.full((32, 40, 3), 40 + 50 * number, dtype="uint8")
        pixels[8:20, 8:30] = (200, 90, 30 * number)
        Image.fromarray(pixels).save(images / f"{FILE}{number}.png", pnginfo=notes)
        (images / f"{FILE}{number}.txt").write_text(f"{CAPTION} {number}, flat colour")
    text = TINY_SPEC.replace('use = "tiny:tiny"\nrights', 'use = "folder"\npath = "images"\nrights')
    text = text.replace("loraspec = 1\n", 'loraspec = 1\nplugins = ["stopper.py"]\n') + '\n[[callbacks]]\nuse = "stopper"\n'
    (place / "spec.toml").write_text(text)


def environment(place: Path) -> dict[str, str]:
    """An environment full of secrets and names."""
    path = os.pathsep.join(str(ROOT / part) for part in ("", "plugins", "tests"))
    home = place / HOME
    home.mkdir(exist_ok=True)
    own = {"PYTHONPATH": path, "LORASPEC_CACHE": str(place / "cache"), "HOME": str(home), "USER": USER, "LOGNAME": USER, "HOSTNAME": HOST,
           "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1", "LORASPEC_DISABLED_PLUGINS": "openmoji,prodigy"}
    return {**{name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LD_LIBRARY_PATH")}, **TOKENS, **own}


@pytest.fixture(scope="session")
def watched() -> Iterator[Watched]:
    """The run, in a process of its own; in memory where that is possible, since it syncs every file."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield _watched(Path(folder) / PLACE)


def _watched(place: Path) -> Watched:
    place.mkdir()
    prepare(place)
    out = place / "seen.json"
    command = [sys.executable, "-m", "hostile.watched", str(place), str(out)]
    done = subprocess.run(command, env=environment(place), cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(out.read_text(encoding="utf-8"))
    assert [(call["code"], call["error"]) for call in seen["said"]] == [(4, ""), (0, ""), (0, "")], seen["said"]
    return Watched(place / "run", place, seen)
