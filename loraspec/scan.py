"""From data sources to a ``DataPlan``: find the images, place them, and say everything that is wrong, all together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from loraspec.buckets import BucketRule, TooSmallError, place
from loraspec.captions import Pipeline, join, split
from loraspec.dataplan import DataPlan, PlacedSample, auto_heldout, draw_heldout
from loraspec.duplicates import SURE, groups_of, looks_of, pairs_of
from loraspec.errors import EnvironmentMissing, Problem, SpecError
from loraspec.judgedprompts import JUDGED, content_of
from loraspec.ledger import Ledgers, known
from loraspec.values import Sample

if TYPE_CHECKING:
    from loraspec.plan import Plan

MOST_ASPECT = 10
FEW = 8  # training images
GROWN = 1.05  # times an image may be enlarged without a word
MOST_NAMED = 50  # images without a caption
SHOWN = 8  # names in one message; the rest is counted


def names(keys: Iterable[str], shown: int = SHOWN) -> str:
    """Return keys as one text, the first ``shown`` in full: ``a.png, b.png and 3 more``."""
    listed = sorted(keys)
    rest = len(listed) - shown
    return ", ".join(listed[:shown]) + (f" and {rest} more" if rest > 0 else "")


def rule_of(plan: Plan) -> BucketRule:
    """Return the plan's rule for buckets."""
    data = plan.spec.data
    return BucketRule(data.resolution, data.buckets.step, data.buckets.min, data.buckets.max, data.buckets.upscale)


def gather(plan: Plan) -> DataPlan:
    """Scan the sources of a plan, place every image and check the captions.

    Raises:
        EnvironmentMissing: A source's data is not there; every missing one is told.
        SpecError: Every bad image, missing caption and too small image.
    """
    found, problems = scanned(plan)
    placed: list[PlacedSample] = []
    for source, sample in found:
        long, short = max(sample.width, sample.height), min(sample.width, sample.height)
        if long > MOST_ASPECT * short:
            message = f"{sample.width} x {sample.height} px is more than {MOST_ASPECT} times as long as wide"
            problem = Problem(sample.key, message, "cut out the part that you mean", code="E-IMG-ASPECT")
            problems.append(plan.placed(problem, f"data.sources[{source}]"))
            continue
        try:
            placed.append(placed_of(plan, source, sample))
        except TooSmallError as error:
            hint = "take it out, find a larger one, or set data.buckets.upscale = true"
            problems.append(plan.placed(Problem(sample.key, str(error), hint, code="E-IMG-SMALL"), f"data.sources[{source}]"))
    placed.sort(key=lambda item: item.key)
    if not found and not any(problem.severity == "error" for problem in problems):
        problems.append(plan.placed(Problem("data.sources", "the sources hold no image", code="E-DATA-EMPTY")))
    problems += [*_captions_missing(plan, found), *_rights_missing(plan, found)]
    asked = plan.spec.grid.heldout
    count = auto_heldout(len(placed)) if asked == "auto" else asked
    if found and count >= len(placed):
        message = f"{count} of {len(placed)} images held out leaves none to train on"
        problems.append(plan.placed(Problem("grid.heldout", message, code="E-DATA-HELDOUT")))
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise SpecError(errors)
    keys = [item.key for item in placed]
    pairs = pairs_of(looks_of({item.key: item.sample for item in placed}))
    away = _held_out(plan, groups_of(keys, pairs), count, problems)
    near = [" = ".join(sorted(group)) for group in groups_of(keys, pairs, SURE) if len(group) > 1]
    if near:
        message = f"{len(near)} {'group' if len(near) == 1 else 'groups'} of images that are nearly the same picture: {names(near)}"
        hint = "keep one of each; together they count as often as they are there"
        problems.append(plan.placed(Problem("data.sources", message, hint, severity="warning", code="W-DATA-NEAR")))
    train = plan.spec.train
    data = DataPlan(
        images=tuple(item for item in placed if item.key not in away),
        heldout=tuple(item for item in placed if item.key in away),
        pipeline=Pipeline(plan.built("caption_transform"), plan.spec.captions.separator, plan.context.rng),
        rule=rule_of(plan),
        seed=plan.spec.run.seed,
        repeats=plan.spec.data.repeats,
        epochs=train.epochs,
        batch_size=train.batch_size,
        accumulation=train.gradient_accumulation_steps,
    )
    return evolve(data, problems=tuple(problems + _warnings(plan, data)))


def _held_out(plan: Plan, groups: Sequence[frozenset[str]], count: int, problems: list[Problem]) -> frozenset[str]:
    """Return the keys to hold out; near-duplicates go together, and what that costs is a warning."""
    if not count:
        return frozenset()
    away = draw_heldout(groups, count, plan.spec.run.seed)
    total = sum(map(len, groups))
    left = total - len(away)
    said = []
    if len(away) < count:
        said.append(f"only {len(away)} of {count} images can be held out: near-duplicates of the others would have to go with them")
    if away and (left < FEW or 3 * len(away) > total):
        said.append(f"{len(away)} of {total} images are held out, which leaves {left} to train on")
    for message in said:
        hint = "find more images, or set a lower grid.heldout; without any, the sweet spot has low confidence"
        problems.append(plan.placed(Problem("grid.heldout", message, hint, severity="warning", code="W-DATA-HELDOUT")))
    return away


def growth(item: PlacedSample) -> float:
    """Return by how much an image is enlarged to cover its bucket."""
    return max(item.placement.resize) / max(item.placement.original)


def scanned(plan: Plan, *, told: bool = True) -> tuple[list[tuple[int, Sample]], list[Problem]]:
    """Return (source, sample) pairs with their final keys, and the sources' problems.

    Args:
        plan: The plan.
        told: Captions and states are as their ledgers have them; False: as the sources themselves say.

    Raises:
        EnvironmentMissing: A source's data is not there; every missing one is told.
    """
    found: list[tuple[int, Sample]] = []
    problems: list[Problem] = []
    missing: list[EnvironmentMissing] = []
    sources, ledgers = plan.built("data_source"), Ledgers()
    for number, source in enumerate(sources):
        where = f"data.sources[{number}]"
        prefix = f"{number + 1}/" if len(sources) > 1 else ""
        try:
            scan = source.scan(plan.context)
            samples = known(scan.samples, plan.document.path, ledgers) if told else scan.samples
        except EnvironmentMissing as error:
            missing.append(error)
            continue
        found += [(number, evolve(sample, key=prefix + sample.key)) for sample in samples]
        for problem in scan.problems:
            # A source says the name of an image; keys of its own table already are places in the spec.
            path = prefix + problem.path if problem.path else where
            problems.append(plan.placed(evolve(problem, path=path), where))
    if missing:
        first, *others = missing
        raise EnvironmentMissing("\n".join([str(first), *(error.told for error in others)])).coded(first.code)
    seen: dict[str, int] = {}
    for number, sample in found:
        if sample.key in seen:
            problem = Problem(sample.key, "a data source gives two images this name", code="E-DATA-COLLIDE")
            problems.append(plan.placed(problem, f"data.sources[{number}]"))
        seen[sample.key] = number
    return found, problems


def placed_of(plan: Plan, source: int, sample: Sample) -> PlacedSample:
    """Return an image in its bucket.

    Raises:
        TooSmallError: It fits none.
    """
    width, height = sample.width, sample.height
    for transform in plan.built("image_transform"):
        width, height = transform.size(width, height)
    placement = place(width, height, rule_of(plan), original=(sample.width, sample.height))
    return PlacedSample(sample, placement, source)


def _captions_missing(plan: Plan, found: list[tuple[int, Sample]]) -> list[Problem]:
    """Name every image without a caption, per source, unless a captioner will draft them; and every empty caption."""
    problems: list[Problem] = []
    for number, _ in enumerate(plan.many("data_source")):
        where = f"data.sources[{number}]"
        own = [sample for source, sample in found if source == number]
        none = [sample.key for sample in own if sample.caption is None]
        if none and plan.one("captioner") is None:
            hint = "write one for each, on the page of `loraspec captions review`; or choose a captioner: [captions.captioner]"
            message = f"{len(none)} of {len(own)} images without a caption: {names(none, MOST_NAMED)}"
            problems.append(plan.placed(Problem(where, message, hint, code="E-CAP-MISSING")))
        empty = [sample.key for sample in own if sample.caption is not None and not sample.caption.strip()]
        said = ("its caption is empty", "describe the picture")
        problems += [plan.placed(Problem(key, *said, code="E-CAP-EMPTY"), where) for key in empty]
    open_ = [f"{sample.key} ({sample.state or 'not looked at'})" for _, sample in found if sample.state != "approved"]
    if open_ and plan.spec.captions.review == "required":
        message = f"{len(open_)} of {len(found)} captions are not approved: {names(open_, MOST_NAMED)}"
        hint = f"loraspec captions review {plan.document.name}"
        problems.append(plan.placed(Problem("captions.review", message, hint, code="E-CAP-REVIEW")))
    return problems


def _rights_missing(plan: Plan, found: list[tuple[int, Sample]]) -> list[Problem]:
    """Name the images that nobody may use; a source that leaves its own option empty was told when the spec was checked."""
    problems = []
    for number, stage in enumerate(plan.many("data_source")):
        silent = [sample.key for source, sample in found if source == number and not sample.rights]
        if silent and not hasattr(stage.options, "rights"):
            message = f"{len(silent)} images without declared rights: {names(silent)}"
            hint = "their source has to say: own, licensed or public-domain"
            problems.append(plan.placed(Problem(f"data.sources[{number}]", message, hint, code="E-DATA-RIGHTS")))
    return problems


def _warnings(plan: Plan, data: DataPlan) -> list[Problem]:
    """Say what may be meant, and is worth a look."""
    found: list[Problem] = []

    def warn(path: str, code: str, message: str, hint: str = "") -> None:
        found.append(plan.placed(Problem(path, message, hint, severity="warning", code=code)))

    expect, captions = plan.spec.data.expect, plan.spec.captions
    every = (*data.images, *data.heldout)
    if not expect.images[0] <= len(every) <= expect.images[1]:
        warn("data.expect.images", "W-DATA-COUNT", f"{len(every)} images; the recipe expects {expect.images[0]} to {expect.images[1]}")
    small = [item.key for item in every if min(item.sample.width, item.sample.height) < expect.min_side]
    if small:
        warn("data.expect.min_side", "W-IMG-SMALL", f"{len(small)} images have a side below {expect.min_side} px: {names(small)}")
    least = plan.spec.data.buckets.min
    tiny = [item.key for item in every if min(item.bucket) < least]
    if tiny:
        hint = "find larger ones, or set data.buckets.upscale = true"
        message = f"{len(tiny)} images are too small for their bucket and get one below {least} px: {names(tiny)}"
        warn("data.buckets.min", "W-IMG-SMALL", message, hint)
    grown = {item.key: growth(item) for item in every if growth(item) > GROWN}
    if grown:
        factors = [f"{key} ({factor:.1f} times)" for key, factor in grown.items()]
        hint = "they will look soft: find larger ones"
        warn("data.buckets.upscale", "W-IMG-UPSCALE", f"{len(grown)} images are enlarged: {names(factors)}", hint)
    tag = {part.casefold() for part in split(captions.style_tag, captions.separator) if part}
    with_caption = [item for item in every if item.sample.caption is not None]
    settled = {item.key: data.pipeline.settled(item.sample) for item in with_caption}
    lacking = [key for key, parts in settled.items() if not tag <= {part.casefold() for part in parts}]
    if tag and lacking:
        hint = f'add it to them, or to all: [[captions.transforms]] use = "ensure", descriptors = ["{captions.style_tag}"]'
        message = f"{len(lacking)} of {len(settled)} captions lack the style tag {captions.style_tag!r}: {names(lacking)}"
        warn("captions.style_tag", "W-CAP-TRIGGER", message, hint)
    prefix = captions.first_prefix.casefold()
    other = [key for key, parts in settled.items() if not (parts[0] if parts else "").casefold().startswith(prefix)]
    if other:
        warn("captions.first_prefix", "W-CAP-PREFIX", f"{len(other)} captions do not start with {captions.first_prefix!r}: {names(other)}")
    short = [bucket for bucket in data.buckets if sum(map(data.repeats_of, bucket.images)) < data.visits_per_step]
    if short:
        sizes = ", ".join(f"{bucket.width} x {bucket.height}" for bucket in short)
        message = f"buckets that never fill a step of {data.visits_per_step}: {sizes}; their steps are smaller"
        warn("train.batch_size", "W-BUCKET", message)
    grid = plan.spec.grid
    mark = captions.separator
    drawn = data.raw_captions
    trained = {content_of(join(parts, mark), mark) for key, parts in settled.items() if key in drawn}
    known = [prompt for prompt in grid.judged_prompts if content_of(prompt, mark) in trained]
    if known:
        message = f"{len(known)} judged prompts are training captions, which rewards what was learnt by heart: {names(known)}"
        warn("grid.judged_prompts", "W-GRID-JUDGED", message)
    if 0 < len(set(grid.judged_prompts)) < JUDGED:
        message = f"{len(set(grid.judged_prompts))} judged prompts say little; {JUDGED} are a good number"
        warn("grid.judged_prompts", "W-GRID-JUDGED", message)
    if len(set(grid.judged_seeds)) == 1:
        warn("grid.judged_seeds", "W-GRID-JUDGED", "with one judged seed, nothing shows whether pictures of one prompt differ: write two")
    if data.undrafted:
        message = f"{len(data.undrafted)} captions will be drafted when the run starts; caption counts leave them out"
        warn("captions.captioner", "W-CAP-DRAFT", message)
    return found
