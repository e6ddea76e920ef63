"""Random changes of one input each move exactly the fields of the lock that they should."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, PngImagePlugin, features

from loraspec.engine.pin import lock_now
from loraspec.locking.compare import differences
from loraspec.plan import resolve
from loraspec.randomness import generator
from loraspec.weights import read_header

BASE = Path(__file__).parents[2] / "plugins" / "loraspec_picturebook" / "base"
SPEC = """\
loraspec = 1
plugins = ["own.py"]
[run]
name = "test"
seed = 3
[model]
use = "sdxl"
checkpoint = "base"
[data]
resolution = 64
repeats = 2
buckets = { step = 16, min = 64, max = 64 }
[[data.sources]]
use = "folder"
path = "images"
rights = "own"
[[captions.transforms]]
use = "tidy"
[adapter]
rank = 4
[optimizer]
weight_decay = 0.01
[train]
epochs = 2
max_grad_norm = 1.0
log_every = 10
mixed_precision = "no"
device = "cpu"
[grid]
prompts = ["man"]
judged_prompts = ["man"]
guidance = 2.0
"""
TEXT = {"spec.text_sha256", "spec.sha256"}
RECIPE = TEXT | {"spec.recipe_sha256"}
VALUES = {  # line of the spec -> what a change of it moves
    "weight_decay = 0.01": RECIPE | {"spec.resolved.optimizer.weight_decay", "run.optimizer.weight_decay",
                                      "run.fingerprint.cpu float32.optimizer steps"},
    "max_grad_norm = 1.0": RECIPE | {"spec.resolved.train.max_grad_norm"},
    "seed = 3": RECIPE | {"spec.resolved.run.seed", "plan.stream_sha256", "plan.grid.judged_seeds", "plan.grid.fresh_seeds"},
    "log_every = 10": TEXT | {"spec.resolved.train.log_every"},
    "guidance = 2.0": TEXT | {"spec.resolved.grid.guidance"},
}
IMAGES = 4


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A spec with images, a plugin file and a base of its own, and its lock."""
    folder = tmp_path_factory.mktemp("origin")
    (folder / "images").mkdir()
    for number in range(IMAGES):
        pixels = generator(0, "changes", number).integers(0, 256, (64, 64, 3), dtype="uint8")
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        (folder / "images" / f"{number}.txt").write_text(f"man {number}, coat, street")
    (folder / "own.py").write_text("# offers nothing\n")
    (folder / "spec.toml").write_text(SPEC)
    shutil.copytree(BASE, folder / "base")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield folder, lock_now(resolve(folder / "spec.toml"))
    torch.set_num_threads(threads)


class Changes:
    """One method for each kind of change; each returns the fields that it may move, exactly."""

    def __init__(self, folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder, monkeypatch
        self.rng = generator(17, "change", number)
        self.undo: list[Callable[[], Any]] = []

    def pick(self, items: Any) -> Any:
        """One of several."""
        known = sorted(items)
        return known[int(self.rng.integers(len(known)))]

    def write(self, path: Path, data: bytes) -> None:
        """Replace a file until the change is taken back."""
        before = path.read_bytes()
        assert before != data
        self.undo.append(lambda: path.write_bytes(before))
        path.write_bytes(data)

    def pixel(self) -> set[str]:
        """One channel of one pixel, by one."""
        key = f"{int(self.rng.integers(IMAGES))}.png"
        image = Image.open(self.folder / "images" / key)
        at = (int(self.rng.integers(64)), int(self.rng.integers(64)))
        red, *rest = image.getpixel(at)
        image.putpixel(at, (red ^ 1, *rest))
        out = io.BytesIO()
        image.save(out, "PNG")
        self.write(self.folder / "images" / key, out.getvalue())
        return self.image_fields(key) | {f'run.pixels."{key}".{name}' for name in ("pixel_sha256", "prepared_sha256")}

    def bytes_alone(self) -> set[str]:
        """The same pixels in other bytes."""
        key = f"{int(self.rng.integers(IMAGES))}.png"
        image = Image.open(self.folder / "images" / key)
        out, note = io.BytesIO(), PngImagePlugin.PngInfo()
        note.add_text("Comment", str(self.rng.integers(10**6)))
        image.save(out, "PNG", pnginfo=note)
        self.write(self.folder / "images" / key, out.getvalue())
        return self.image_fields(key)

    def image_fields(self, key: str) -> set[str]:
        """Fields that other bytes of an image move."""
        return {"data.sha256", "data.content_sha256", f'data.images."{key}".sha256', "plan.stream_sha256"}

    def caption(self) -> set[str]:
        """One letter."""
        key = str(int(self.rng.integers(IMAGES)))
        path = self.folder / "images" / f"{key}.txt"
        letters = bytearray(path.read_bytes())
        spots = [at for at, letter in enumerate(letters) if chr(letter).isalpha()]
        letters[self.pick(spots)] = ord("x")
        self.write(path, bytes(letters))
        return {"data.sha256", "data.content_sha256", f'data.images."{key}.png".caption_sha256', "plan.stream_sha256"}

    def value(self) -> set[str]:
        """One value of the spec."""
        line = self.pick(VALUES)
        new = line.replace(" = ", f" = {1 + int(self.rng.integers(8))}")
        self.write(self.folder / "spec.toml", SPEC.replace(line, new).encode())
        return VALUES[line]

    def comment(self) -> set[str]:
        """A comment of the spec."""
        self.write(self.folder / "spec.toml", f"{SPEC}# {self.rng.integers(10**6)}\n".encode())
        return {"spec.text_sha256"}

    def weight(self) -> set[str]:
        """One bit of a tensor of the base."""
        path = self.pick((self.folder / "base").rglob("*.safetensors"))
        data = bytearray(path.read_bytes())
        data[int(self.rng.integers(read_header(path).data_start, len(data)))] ^= 1 << int(self.rng.integers(8))
        self.write(path, bytes(data))
        name = path.relative_to(self.folder / "base").as_posix()
        return {f'model.files."{name}".{part}' for part in ("sha256", "content_sha256")}

    def weight_header(self) -> set[str]:
        """The header of a weight file, not its tensors: saved again by another program."""
        path = self.pick((self.folder / "base").rglob("*.safetensors"))
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        spaces = b" " * (8 + 8 * int(self.rng.integers(4)))
        self.write(path, (length + len(spaces)).to_bytes(8, "little") + data[8 : 8 + length] + spaces + data[8 + length :])
        name = path.relative_to(self.folder / "base").as_posix()
        return {f'model.files."{name}".{part}' for part in ("sha256", "size")}

    def plugin(self) -> set[str]:
        """The plugin file."""
        self.write(self.folder / "own.py", f"# offers nothing {self.rng.integers(10**6)}\n".encode())
        return {'plugin_files."own.py"'}

    def version(self) -> set[str]:
        """The version of a package."""
        name = self.pick(("torch", "numpy", "pillow", "dadaptation", "peft", "diffusers"))
        self.fake(name, version=f"9.{self.rng.integers(100)}")
        return {f"environment.packages.{name}.version"}

    def rebuilt(self) -> set[str]:
        """The code of a package under the same version."""
        name = self.pick(("torch", "numpy", "pillow", "dadaptation", "peft", "diffusers"))
        self.fake(name, record=f"{name}/new.py,sha256={self.rng.integers(10**6)},1\n")
        return {f"environment.packages.{name}.code_sha256"}

    def fake(self, name: str, *, version: str = "", record: str = "") -> None:
        """Let an installed package be another."""
        real = metadata.distribution

        class Fake(metadata.PathDistribution):
            def __init__(self, inner: Any) -> None:
                super().__init__(inner._path)

            @property
            def version(self) -> str:
                return version or super().version

            def read_text(self, filename: str) -> str | None:
                return (super().read_text(filename) or "") + (record if filename == "RECORD" else "")

        self.patch.setattr(metadata, "distribution", lambda wanted: Fake(real(wanted)) if wanted == name else real(wanted))

    def variable(self) -> set[str]:
        """An environment variable of the list."""
        name = self.pick(("MKL_CBWR", "OMP_PROC_BIND", "PYTHONHASHSEED", "NVIDIA_TF32_OVERRIDE"))
        self.patch.setenv(name, str(self.rng.integers(100)))
        return {f"environment.variables.{name}"}

    def other_variable(self) -> set[str]:
        """An environment variable that is on no list: nobody's business."""
        self.patch.setenv("LORASPEC_TEST_UNKNOWN", str(self.rng.integers(100)))
        return set()

    def codec(self) -> set[str]:
        """The library that decodes WebP."""
        real, new = features.version_module, f"9.{self.rng.integers(100)}"
        self.patch.setattr(features, "version_module", lambda name: new if name == "webp" else real(name))
        return {"environment.codecs.webp"}

    def touch(self) -> set[str]:
        """A new time on every file changes nothing."""
        for path in self.folder.rglob("*"):
            path.touch()
        return set()


KINDS = [name for name in vars(Changes) if not name.startswith("_") and name not in ("pick", "write", "image_fields", "fake")]


def check(number: int, origin: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a change, lock again, compare."""
    folder, before = origin
    changes = Changes(folder, number, monkeypatch)
    kind = KINDS[number % len(KINDS)]
    try:
        expected = getattr(changes, kind)()
        found = {item.path for item in differences(before, lock_now(resolve(folder / "spec.toml")))}
    finally:
        for undo in changes.undo:
            undo()
    assert found == expected, kind


@pytest.mark.parametrize("number", range(42))
def test_a_change_moves_exactly_its_fields(number: int, origin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind three times."""
    check(number, origin, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(42, 242))
def test_200_changes_move_exactly_their_fields(number: int, origin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred more."""
    check(number, origin, monkeypatch)


def test_another_number_of_threads_is_seen(origin: Any) -> None:
    """It moves its own field, and kernels of the fingerprint; nothing else."""
    folder, before = origin
    torch.set_num_threads(3)
    try:
        found = {item.path for item in differences(before, lock_now(resolve(folder / "spec.toml")))}
    finally:
        torch.set_num_threads(1)
    kernels = {path for path in found if path.startswith("run.fingerprint.cpu float32")}

    assert found - kernels == {"run.device.threads"}
    assert kernels
