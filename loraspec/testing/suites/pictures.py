"""Suites for ``data_source``, ``captioner`` and ``caption_transform``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np

from loraspec.contracts import Captioner, CaptionTransform, DataSource
from loraspec.drafts import CaptionDraft, CaptionRequest, cleaned
from loraspec.randomness import generator
from loraspec.testing.suites.base import SEED, ComponentSuite
from loraspec.values import Context, Rights, Sample, Scan


def write_pictures(folder: Path, count: int = 3) -> Path:
    """Write ``count`` PNG pictures of different sizes with ``.txt`` captions into ``folder`` and return it."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = generator(SEED, "picture", number).integers(0, 256, (40 + 8 * number, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(f"picture {number}, noise, by Nobody", encoding="utf-8")
    return folder


class DataSourceSuite(ComponentSuite):
    """``build(options)`` gives a ``DataSource``. Override ``prepare`` to write the data that the options name."""

    stage: ClassVar[str] = "data_source"

    def _scan(self, built: Any, context: Context) -> Scan:
        scan = built.scan(context)
        assert isinstance(scan, Scan)
        assert not [problem for problem in scan.problems if problem.severity == "error"], scan.problems
        assert scan.samples, "no samples; override prepare() to write some"
        return scan

    def test_it_keeps_the_contract(self, built: Any) -> None:
        """It has ``scan(context)``."""
        assert isinstance(built, DataSource)

    def test_samples_are_sorted_by_unique_keys(self, built: Any, context: Context) -> None:
        """Keys are relative, with ``/``: they must be the same on every machine."""
        keys = [sample.key for sample in self._scan(built, context).samples]

        assert keys == sorted(set(keys))
        assert not [key for key in keys if not key or key.startswith("/") or "\\" in key or ".." in key.split("/")]

    def test_sizes_are_those_of_the_pictures(self, built: Any, context: Context) -> None:
        """``plan`` trusts width and height; they count after EXIF orientation."""
        import io

        from PIL import Image, ImageOps

        for sample in self._scan(built, context).samples:
            with Image.open(io.BytesIO(sample.read())) as image:
                assert ImageOps.exif_transpose(image).size == (sample.width, sample.height), sample.key

    def test_scanning_again_finds_the_same(self, built: Any, context: Context) -> None:
        """Nothing is drawn and nothing is used up: a resumed run sees the same data."""
        first, second = self._scan(built, context).samples, self._scan(built, context).samples

        assert [(s.key, s.width, s.height, s.caption) for s in first] == [(s.key, s.width, s.height, s.caption) for s in second]
        assert first[0].read() == first[0].read() == second[0].read()

    def test_captions_and_rights_are_declared(self, built: Any, context: Context) -> None:
        """A caption is text or absent, rights are one of the known words or empty."""
        for sample in self._scan(built, context).samples:
            assert sample.caption is None or (isinstance(sample.caption, str) and sample.caption.strip()), sample.key
            assert sample.rights in (*get_args(Rights), ""), sample.key
            assert isinstance(sample.credits, str)


def _sample(key: str = "a.png") -> Sample:
    return Sample(key=key, width=64, height=64, caption=None, rights="own", credits="", read=lambda: b"")


class CaptionerSuite(ComponentSuite):
    """``build(options)`` gives a ``Captioner``. Override ``prepare`` to write what the options name, or to start a server."""

    stage: ClassVar[str] = "captioner"

    def requests(self, folder: Path, count: int = 3) -> list[CaptionRequest]:
        """Return requests about pictures in ``folder``."""
        write_pictures(folder, count)
        found = []
        for number in range(count):
            path = folder / f"{number:02}.png"
            data = path.read_bytes()
            sha256, text = hashlib.sha256(data).hexdigest(), path.with_suffix(".txt")
            found.append(CaptionRequest(path.name, sha256, path.read_bytes, None, style_tag="by Nobody", path=text))
        return found

    def test_it_keeps_the_contract(self, built: Any) -> None:
        """It has ``caption(requests)``; what it announces is text, and ``consent`` is yes or no."""
        assert isinstance(built, Captioner)
        assert isinstance(getattr(built, "consent", False), bool)

    def _begun(self, built: Any, context: Context) -> Any:
        if hasattr(built, "begin"):
            built.begin(context)
        return built

    def test_every_request_is_answered_once(self, built: Any, context: Context, tmp_path: Path) -> None:
        """In any order, with a caption or with the reason why there is none."""
        requests = self.requests(tmp_path)
        if hasattr(built, "announce"):
            assert isinstance(built.announce(requests), str)
        drafts = list(self._begun(built, context).caption(requests))

        assert sorted(draft.key for draft in drafts) == [request.key for request in requests]
        for draft in drafts:
            assert isinstance(draft, CaptionDraft)
            assert draft.problem or cleaned(draft.text), draft
        assert any(not draft.problem for draft in drafts), f"no draft at all: {drafts[0].problem}"

    def test_no_request_is_no_work(self, built: Any, context: Context) -> None:
        """Nothing asked, nothing answered."""
        assert list(self._begun(built, context).caption([])) == []

    def test_global_random_state_is_left_alone(self, built: Any, context: Context, tmp_path: Path) -> None:
        """A run's draws are its own."""
        before = np.random.get_state()  # noqa: NPY002
        list(self._begun(built, context).caption(self.requests(tmp_path, 1)))
        after = np.random.get_state()  # noqa: NPY002

        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


class CaptionTransformSuite(ComponentSuite):
    """``build(options)`` gives a ``CaptionTransform``."""

    stage: ClassVar[str] = "caption_transform"
    descriptors: ClassVar[tuple[str, ...]] = ("caricature of a man", "green coat", "dark street", "two dogs", "lithography", "by Nobody")

    def _call(self, built: Any, descriptors: tuple[str, ...], index: int = 0, key: str = "a.png") -> tuple[str, ...]:
        answer = built(descriptors, sample=_sample(key), rng=generator(SEED, "caption", index))
        assert isinstance(answer, tuple)
        assert all(isinstance(descriptor, str) for descriptor in answer), answer
        return answer

    def test_it_keeps_the_contract(self, built: Any) -> None:
        """It says whether it is deterministic and can be called."""
        assert isinstance(built, CaptionTransform)
        assert isinstance(built.deterministic, bool)

    def test_the_same_draw_gives_the_same_caption(self, built: Any) -> None:
        """A transform is a pure function of descriptors and generator: calls in between leave no trace."""
        first = [self._call(built, self.descriptors, index) for index in range(8)]
        self._call(built, self.descriptors[:2], 99, key="b.png")

        assert [self._call(built, self.descriptors, index) for index in range(8)] == first

    def test_deterministic_means_no_draw(self, built: Any) -> None:
        """What calls itself deterministic gives one caption for every draw; what does not, gives several."""
        answers = {self._call(built, self.descriptors, index) for index in range(64)}

        assert (len(answers) == 1) == built.deterministic, answers

    def test_short_captions_pass(self, built: Any) -> None:
        """No descriptor, or one, is no reason to fail."""
        for descriptors in ((), ("one",), ("one", "two")):
            self._call(built, descriptors)

    def test_global_random_state_is_left_alone(self, built: Any) -> None:
        """Draws come from the generator that was given."""
        before = np.random.get_state()  # noqa: NPY002
        self._call(built, self.descriptors)
        after = np.random.get_state()  # noqa: NPY002

        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
