"""What a captioner is asked and what it answers; imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from loraspec.captions import flatten
from loraspec.imagefile import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from loraspec.contracts import Captioner
    from loraspec.spec.schema import CaptionsTable
    from loraspec.values import Context, Sample

LONGEST = 2000  # characters of a draft; 75 tokens are about 300

GUIDE = """\
Describe this picture as one line of comma-separated descriptors, so that it could be painted again from your words alone.
First the subject: say exactly who or what it is and what it does, never just "a man" or "a scene".
Then its parts, each as its own descriptor: clothes, objects, faces, gestures; words that belong together stay together
("torn black wide trousers", not "torn, black, wide trousers").
Then the place and the backdrop, also when it is plain or empty.
Then colours and textures: paper, ink, grain, washes, strokes.
Then the medium ("lithograph", "oil painting") as its own descriptor, and last the style tag, exactly as it is given.
Name what can be seen. No "the image shows", no guesses, no opinions, no full sentences.
Answer with the line alone.
"""


@frozen(eq=False)
class CaptionRequest:
    """One image that needs a caption.

    Attributes:
        key: The image's name in the data: unique, with ``/`` between folders.
        sha256: Of the image's bytes.
        read: Returns these bytes.
        caption: What stands there now; None without any.
        instructions: What to write, in a person's words.
        examples: Captions as they should be.
        style_tag: The descriptor that names the style; "" without.
        path: Where the caption's file is or would be; None for data without files.
    """

    key: str
    sha256: str
    read: Callable[[], bytes]
    caption: str | None = None
    instructions: str = GUIDE
    examples: tuple[str, ...] = ()
    style_tag: str = ""
    path: Path | None = None

    def image(self) -> Image:
        """Return the picture: RGB, turned as a person sees it.

        Raises:
            ImageError: It is none.
        """
        from loraspec.images import decode

        return decode(self.read())


@frozen
class CaptionDraft:
    """What a captioner made of one image.

    Attributes:
        key: The request's.
        text: The caption; cleaned by whoever asked.
        problem: Why there is none, "" when there is.
        model: What wrote it, such as ``llava:13b``; "" for the component's own name.
        seconds: How long it took.
        scores: Confidence in [0, 1] of each descriptor, where the captioner knows it.
    """

    key: str
    text: str = ""
    problem: str = ""
    model: str = ""
    seconds: float = 0.0
    scores: Mapping[str, float] = field(factory=dict)


def request_of(sample: Sample, sha256: str, captions: CaptionsTable) -> CaptionRequest:
    """Return what is asked of an image by a spec's ``[captions]``."""
    return CaptionRequest(
        sample.key, sha256, sample.read, sample.caption, captions.instructions or GUIDE, captions.examples, captions.style_tag,
        sample.caption_path,
    )


def settings_sha256(component: str, options: Mapping[str, object], instructions: str, examples: Sequence[str]) -> str:
    """Return the sha256 (hex) of everything that a person set for a captioner: equal settings, equal digest."""
    whole = [component, dict(options), instructions, list(examples)]
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()


def cleaned(text: str) -> str:
    """Return a draft as a caption: one line in composed form, without control and invisible characters and quotes around it.

    Raises:
        ValueError: Nothing is left, or more than a caption can be.
    """
    composed = unicodedata.normalize("NFC", text)
    plain = "".join(sign for sign in composed if sign.isspace() or unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Co"))
    line = flatten(plain)
    while len(line) > 1 and line[0] + line[-1] in ('""', "''", "``", "“”"):
        line = line[1:-1].strip()
    if not any(sign.isalnum() for sign in line):
        raise ValueError("the answer holds no words")
    if len(line) > LONGEST:
        raise ValueError(f"the answer has {len(line)} characters; a caption has up to {LONGEST}")
    return line


def drafted(captioner: Captioner, requests: Sequence[CaptionRequest], *, name: str, context: Context) -> Iterator[CaptionDraft]:
    """Yield a draft for every request, cleaned, as they come; a request that was not answered has a problem.

    Args:
        captioner: Asked once, with all requests.
        requests: With distinct keys.
        name: The component, for drafts that do not say what wrote them.
        context: Of the plan, for captioners that want to begin with it.
    """
    left, since = {request.key for request in requests}, time.perf_counter()
    for draft in _asked(captioner, requests, context):
        if draft.key not in left:
            continue  # a second answer, or one to another question
        left.discard(draft.key)
        now = time.perf_counter()
        found = evolve(draft, model=flatten(draft.model) or name, seconds=draft.seconds or now - since)
        since = now
        if not found.problem:
            try:
                found = evolve(found, text=cleaned(found.text))
            except ValueError as error:
                found = evolve(found, problem=str(error))
        yield found
    for request in requests:
        if request.key in left:
            yield CaptionDraft(request.key, problem="the captioner gave no answer", model=name)


def seen_in_batches(
    requests: Sequence[CaptionRequest], size: int, see: Callable[[Sequence[tuple[CaptionRequest, Image]]], Sequence[CaptionDraft]], *,
    model: str,
) -> Iterator[CaptionDraft]:  # fmt: skip
    """Yield drafts of a captioner that looks at several images at once; one that cannot be read keeps no other back.

    Args:
        requests: What is asked.
        size: Images at once, at least 1.
        see: Returns a draft for each request and its image.
        model: What looks, for the drafts.
    """
    for batch in (requests[begin : begin + size] for begin in range(0, len(requests), size)):
        since = time.perf_counter()
        shown: list[tuple[CaptionRequest, Image]] = []
        for request in batch:
            try:
                shown.append((request, request.image()))
            except (ImageError, OSError) as error:
                yield CaptionDraft(request.key, problem=f"the image {error}", model=model)
        if shown:
            made = see(shown)
            seconds = (time.perf_counter() - since) / len(shown)
            yield from (evolve(draft, model=model, seconds=seconds) for draft in made)


def _asked(captioner: Captioner, requests: Sequence[CaptionRequest], context: Context) -> Iterable[CaptionDraft]:
    if not requests:
        return ()
    if hasattr(captioner, "begin"):
        captioner.begin(context)
    return captioner.caption(requests)
