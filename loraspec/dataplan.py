"""The data of a plan: images in buckets, the exact visits of every epoch, and their captions."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from attrs import evolve, field, frozen

from loraspec.buckets import BucketRule
from loraspec.captions import Pipeline, join
from loraspec.errors import Problem, SpecError
from loraspec.randomness import rng_of, sort_key
from loraspec.stream import Seen, Stream
from loraspec.values import Placement, Sample, Visit


@frozen(eq=False)
class PlacedSample:
    """A training image with its bucket; ``sample.caption`` is the caption as found (or drafted).

    ``source`` is the index of its data source in the spec.
    """

    sample: Sample
    placement: Placement
    source: int = 0

    @property
    def key(self) -> str:
        """The sample's key."""
        return self.sample.key

    @property
    def bucket(self) -> tuple[int, int]:
        """(width, height) of the bucket, px."""
        return self.placement.width, self.placement.height


@frozen(eq=False)
class Bucket:
    """One size of training images, px, and the images that have it, sorted by key."""

    width: int
    height: int
    images: tuple[PlacedSample, ...]


@frozen(eq=False)
class Step:
    """One optimizer step: its visits (one bucket), split into micro-batches of at most ``batch_size``."""

    epoch: int
    index: int  # global, from 1
    micro_batches: tuple[tuple[Visit, ...], ...]

    @property
    def visits(self) -> tuple[Visit, ...]:
        """All visits, in order."""
        return tuple(visit for batch in self.micro_batches for visit in batch)


@frozen(eq=False)
class DataPlan:
    """What is trained on, when, and with which caption: a pure function of the spec, the seed and the images.

    Attributes:
        images: Training images sorted by key, held-out ones removed.
        heldout: Images that are never trained on, sorted by key.
        pipeline: The caption transforms.
        rule: How buckets are made.
        seed, repeats, epochs, batch_size, accumulation: As in the spec.
        problems: Warnings, located.
    """

    images: tuple[PlacedSample, ...]
    heldout: tuple[PlacedSample, ...]
    pipeline: Pipeline
    rule: BucketRule
    seed: int
    repeats: int
    epochs: int
    batch_size: int
    accumulation: int
    problems: tuple[Problem, ...] = ()
    _digests: dict[str, str] = field(init=False, factory=dict)
    _streams: dict[int, str] = field(init=False, factory=dict)

    @cached_property
    def by_key(self) -> Mapping[str, PlacedSample]:
        """Every image by key, held-out ones too."""
        return {placed.key: placed for placed in (*self.images, *self.heldout)}

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """The buckets that have images, sorted by width, then height."""
        found: dict[tuple[int, int], list[PlacedSample]] = defaultdict(list)
        for placed in self.images:
            found[placed.bucket].append(placed)
        return tuple(Bucket(*size, tuple(found[size])) for size in sorted(found))

    # -- steps ---------------------------------------------------------------------------------------------------------

    @property
    def samples_per_epoch(self) -> int:
        """Visits of one epoch."""
        return sum(bucket_visits for _, bucket_visits in self._visits)

    def repeats_of(self, placed: PlacedSample) -> int:
        """Return how often an image is seen in an epoch."""
        own = placed.sample.repeats
        return self.repeats if own is None else own

    @cached_property
    def _visits(self) -> tuple[tuple[Bucket, int], ...]:
        """Each bucket with its visits of one epoch."""
        return tuple((bucket, sum(map(self.repeats_of, bucket.images))) for bucket in self.buckets)

    @property
    def visits_per_step(self) -> int:
        """Visits of a full step."""
        return self.batch_size * self.accumulation

    @cached_property
    def steps_per_epoch(self) -> int:
        """Sum over buckets of ceil(visits / (batch size x accumulation)): partial steps are kept."""
        return sum(-(-visits // self.visits_per_step) for _, visits in self._visits)

    @cached_property
    def batches_per_epoch(self) -> int:
        """Forward passes of one epoch."""
        full, batch = self.visits_per_step, self.batch_size
        return sum(count // full * self.accumulation + -(-(count % full) // batch) for _, count in self._visits)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def steps(self, epoch: int) -> tuple[Step, ...]:
        """Return the steps of one epoch (from 1), in the order in which they are trained.

        In each bucket the visits are sorted by a hash of (seed, epoch, key, repeat) and cut into steps; then all steps
        are sorted by a hash of (seed, epoch, bucket, index in the bucket). Batch size 4 and batch size 2 with two
        accumulation steps therefore see the same images in the same steps.
        """
        found: list[tuple[tuple[int, int, int, int], tuple[tuple[Visit, ...], ...]]] = []
        for bucket in self.buckets:
            visits = [Visit(epoch, placed.key, repeat) for placed in bucket.images for repeat in range(self.repeats_of(placed))]
            visits.sort(key=lambda visit: (sort_key(self.seed, "order", *visit.index), visit.key, visit.repeat))
            for number, start in enumerate(range(0, len(visits), self.visits_per_step)):
                part = visits[start : start + self.visits_per_step]
                micro = tuple(tuple(part[at : at + self.batch_size]) for at in range(0, len(part), self.batch_size))
                turn = sort_key(self.seed, "batch", epoch, bucket.width, bucket.height, number)
                found.append(((turn, bucket.width, bucket.height, number), micro))
        before = (epoch - 1) * self.steps_per_epoch
        found.sort(key=lambda item: item[0])
        return tuple(Step(epoch, before + number, micro) for number, (_, micro) in enumerate(found, start=1))

    def stream_digest(self, epoch: int) -> str:
        """Return the stream digest of an epoch (see ``loraspec.stream``): a run that does as planned ends the epoch with the same.

        Raises:
            SpecError: An image cannot be read.
        """
        if epoch not in self._streams:
            stream, rng = Stream(epoch), rng_of(self.seed)
            for step in self.steps(epoch):
                stream.add(step.index, [self.seen(visit) for visit in step.visits], rng)
            self._streams[epoch] = stream.state
        return self._streams[epoch]

    def seen(self, visit: Visit) -> Seen:
        """Return what a visit shows, as planned."""
        caption = self.caption(visit) if self.captioned(visit.key) else None
        return Seen(visit, self.digest(visit.key), caption, self.by_key[visit.key].placement)

    # -- captions ------------------------------------------------------------------------------------------------------

    @property
    def raw_captions(self) -> Mapping[str, str | None]:
        """The caption of every training image as found; None where the captioner will draft one."""
        return {placed.key: placed.sample.caption for placed in self.images}

    @property
    def undrafted(self) -> tuple[str, ...]:
        """Keys of training images that have no caption yet."""
        return tuple(placed.key for placed in self.images if placed.sample.caption is None)

    def captioned(self, key: str) -> bool:
        """True when the image has a caption."""
        return self.by_key[key].sample.caption is not None

    def caption(self, visit: Visit) -> str:
        """Return the exact caption of one visit.

        Raises:
            SpecError: The image has no caption yet (see ``with_captions``).
        """
        sample = self.by_key[visit.key].sample
        if sample.caption is None:
            raise SpecError([Problem(visit.key, "no caption yet: the captioner drafts it when the run starts", code="E-CAP-MISSING")])
        return self.pipeline(sample, visit)

    def settled_caption(self, key: str) -> str:
        """Return an image's caption after the transforms that draw nothing: what grid prompts are made of."""
        return join(self.pipeline.settled(self.by_key[key].sample), self.pipeline.separator)

    def captions(self, epoch: int) -> Iterator[tuple[Step, Visit, str]]:
        """Yield the captions of one epoch in the order of its steps; images without a caption yet are left out."""
        for step in self.steps(epoch):
            for visit in step.visits:
                if self.captioned(visit.key):
                    yield step, visit, self.caption(visit)

    @cached_property
    def _texts(self) -> tuple[int, int]:
        """(distinct caption texts of the whole run, most of one epoch)."""
        known = [placed for placed in self.images if placed.sample.caption is not None]
        every: set[str] = set()
        most = 0
        for epoch in range(1, 2 if self.pipeline.deterministic else self.epochs + 1):
            visits = ((placed.sample, Visit(epoch, placed.key, repeat)) for placed in known for repeat in range(self.repeats_of(placed)))
            texts = {self.pipeline(sample, visit) for sample, visit in visits}
            most = max(most, len(texts))
            every |= texts
        return len(every), most

    @property
    def distinct_captions(self) -> int:
        """Distinct caption texts over all epochs: how many embeddings are needed in all."""
        return self._texts[0]

    @property
    def distinct_captions_of_an_epoch(self) -> int:
        """Distinct caption texts of the epoch that has most: how many embeddings are kept at a time."""
        return self._texts[1]

    def with_captions(self, drafts: Mapping[str, str]) -> DataPlan:
        """Return the same data with drafted captions filled in where there were none."""

        def fill(placed: PlacedSample) -> PlacedSample:
            if placed.sample.caption is not None or placed.key not in drafts:
                return placed
            return evolve(placed, sample=evolve(placed.sample, caption=drafts[placed.key]))

        return evolve(self, images=tuple(map(fill, self.images)), heldout=tuple(map(fill, self.heldout)))

    # -- content -------------------------------------------------------------------------------------------------------

    def digest(self, key: str) -> str:
        """Return the sha256 of an image's bytes (read once, or known by its source)."""
        if key not in self._digests:
            sample = self.by_key[key].sample
            self._digests[key] = sample.sha256 or hashlib.sha256(sample.read()).hexdigest()
        return self._digests[key]

    @cached_property
    def distinct_latents(self) -> int:
        """Distinct (image bytes, placement) pairs: how many latents are encoded."""
        return len({(self.digest(placed.key), placed.placement) for placed in self.images})


def auto_heldout(images: int) -> int:
    """Return how many of so many images ``grid.heldout = "auto"`` holds out: 15 %, at least 3."""
    return max(3, -(-15 * images // 100))


def draw_heldout(groups: Sequence[frozenset[str]], count: int, seed: int) -> frozenset[str]:
    """Return at most ``count`` keys drawn by hash, in whole groups: a near-duplicate of a held-out image is not trained on either.

    Among images without duplicates, adding one never exchanges more than one of them.
    """
    away: set[str] = set()
    for group in sorted(groups, key=lambda group: min((sort_key(seed, "heldout", key), key) for key in group)):
        if len(away) + len(group) <= count:
            away |= group
    return frozenset(away)
