"""The tagger: images through an ONNX model, confidences to tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from loraspec.drafts import CaptionDraft, CaptionRequest, seen_in_batches
from loraspec.errors import EnvironmentMissing
from loraspec.hub import HUB, file_of
from loraspec_wd14.tags import chosen, read_tags

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loraspec.values import Context
    from loraspec_wd14.hooks import WD14Options

FILES = ("model.onnx", "selected_tags.csv")
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Tagger:
    """Looks at images in batches; the model is loaded when the first is asked about."""

    def __init__(self, options: WD14Options) -> None:
        self.options = options
        self._context: Context | None = None
        self._session: Any = None

    def begin(self, context: Context) -> None:
        """Take note of where the spec lies."""
        self._context = context

    def caption(self, requests: Sequence[CaptionRequest]) -> Iterator[CaptionDraft]:
        """Yield a draft for each image, with the confidence of each tag; one that cannot be read keeps no other back.

        Raises:
            EnvironmentMissing: The model or its table of tags is not here, or is another kind of model.
        """
        return seen_in_batches(requests, self.options.batch_size, self._see, model=self.options.weights)

    def _see(self, shown: Sequence[tuple[CaptionRequest, Image.Image]]) -> list[CaptionDraft]:
        self._load()
        batch = np.stack([prepared(image, self._side) for _, image in shown])
        [found] = self._session.run(None, {self._input: batch})
        if found.shape != (len(shown), len(self._tags)):
            raise self._other(f"gives {found.shape[-1]} numbers an image, the table has {len(self._tags)} tags")
        rows = np.asarray(found, np.float32).tolist()
        return [self._draft(request, chosen(self._tags, row, self.options)) for (request, _), row in zip(shown, rows, strict=True)]

    def _draft(self, request: CaptionRequest, scores: dict[str, float]) -> CaptionDraft:
        if not scores:
            return CaptionDraft(request.key, problem="no tag is sure enough: lower general")
        tag = request.style_tag
        words = [*scores, *([tag] if tag and tag.casefold() not in map(str.casefold, scores) else [])]
        return CaptionDraft(request.key, ", ".join(words), scores=scores)

    def _load(self) -> None:
        if self._session is not None:
            return
        import onnxruntime

        model, table = (self._file(name) for name in FILES)
        self._tags = read_tags(table)
        there = onnxruntime.get_available_providers()
        wanted = PROVIDERS.get(self.options.provider)
        if wanted is not None and wanted not in there:
            hint = "pip install onnxruntime-gpu, or provider = \"cpu\""
            raise EnvironmentMissing(f"onnxruntime has no {wanted} here", hint=hint).coded("E-PLUGIN-MISSING")
        providers = [wanted] if wanted else [name for name in reversed(PROVIDERS.values()) if name in there]
        try:
            session = onnxruntime.InferenceSession(str(model), providers=providers)
        except Exception as error:  # onnxruntime raises kinds of its own, which share no base
            raise self._other(f"cannot be loaded: {str(error).splitlines()[0][:200]}") from None
        inputs = session.get_inputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 4 or shape[3] != 3 or not isinstance(shape[1], int) or shape[1] != shape[2]:
            raise self._other(f"wants {shape}, not images [n, side, side, 3]")
        self._session, self._input, self._side = session, inputs[0].name, shape[1]

    def _file(self, name: str) -> Path:
        if self._context is None:
            raise ValueError("begin(context) comes before caption(requests)")
        weights = self.options.weights
        joined = f"{weights.rstrip('/')}/{name}"
        revision = self.options.revision if weights.startswith(HUB) else ""
        return file_of(joined, revision=revision, context=self._context)

    def _other(self, said: str) -> EnvironmentMissing:
        hint = "weights names a repository or folder with a tagger's model.onnx and its selected_tags.csv"
        return EnvironmentMissing(f"{self.options.weights}/{FILES[0]} {said}", hint=hint).coded("E-PLUGIN-WEIGHTS")


def prepared(image: Image.Image, side: int) -> NDArray[np.float32]:
    """Return an image as these models were trained: on a white square, BGR, float32 ``[side, side, 3]`` in 0..255."""
    longest = max(image.size)
    square = Image.new("RGB", (longest, longest), "white")
    square.paste(image.convert("RGB"), ((longest - image.width) // 2, (longest - image.height) // 2))
    small = square.resize((side, side), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(small, np.float32)[:, :, ::-1])
