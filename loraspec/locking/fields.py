"""What each field of a lock is for: one table, which ``docs/lock.md`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import frozen

from loraspec.spec.classes import WEIGHTLESS

Class = Literal["recipe", "inputs", "bits", "info", "result"]

CLASSES: dict[Class, str] = {
    "recipe": "what was asked for: another recipe is another run",
    "inputs": "what it was asked of: data, base, plugins, the meaning of draws",
    "bits": "what rounds: equal weights need it, an equal training does not",
    "info": "said for the reader; changes no weight",
    "result": "what came of it: never compared as a field",
}
LEVELS = {
    "R4": "resume-exact: killed and resumed on the way, and still the same bits",
    "R3": "bit-exact: every epoch file holds the same bits",
    "R2": "stream-exact: the same images, captions, timesteps and noise; weights differ by rounding only",
    "R1": "recipe: the same recipe on other data, another base or other code",
    "R0": "drift: another recipe",
}
BEST = {"recipe": "R0", "inputs": "R1", "bits": "R2", "info": "R4", "result": "R4"}


@frozen
class Field:
    """A field of a lock.

    Attributes:
        path: Dotted, ``*`` for any key or place in a list; it stands for everything below.
        kind: Its class.
        help: What it holds.
        judged: For class bits: the fingerprint shows whether a difference here matters, so alone it lowers no level.
        late: Known only with torch or after a run: where one side lacks it, it is not compared.
    """

    path: str
    kind: Class
    help: str
    judged: bool = False
    late: bool = False

    @property
    def best(self) -> str:
        """The highest level that can be reached when this field differs."""
        return "R4" if self.judged else BEST[self.kind]


FIELDS = (
    Field("lock", "info", "format of the lock; a reader refuses a newer one"),
    Field("revision", "info", "additions within the format, which an older reader leaves out"),
    Field("sha256", "info", "digest of all other fields: a change by hand is seen"),
    Field("plugin_api", "info", "version of the plugin contracts"),
    Field("loraspec", "info", "version that wrote the lock"),
    Field("random", "inputs", "scheme of random draws"),
    Field("order", "inputs", "scheme of the order of visits"),
    Field("stream", "inputs", "scheme of the stream digests"),
    Field("spec", "info", "file, profiles and `--set` values that it was made of; sha256 of its text and of all its values"),
    Field("spec.recipe_sha256", "recipe", "sha256 of the resolved spec without the keys that decide no weight"),
    Field("spec.resolved", "recipe", "every value of the spec, so that a later default cannot change the recipe"),
    *(Field(f"spec.resolved.{path}", "info", "a key that decides no weight") for path in WEIGHTLESS),
    Field("stages", "recipe", "component of every stage"),
    Field("stages.*.*.origin", "info", "how its distribution was installed"),
    Field("plugins", "inputs", "version and code digest (from RECORD) of each distribution that offers a component"),
    Field("plugins.loraspec", "info", "the same of loraspec itself: streams and results judge it"),
    Field("plugin_files", "inputs", "sha256 of each plugin file"),
    Field("data", "inputs", "digest of all images with their captions and names (`sha256`), and without names (`content_sha256`)"),
    Field("data.images", "inputs", "of each image: sha256 of its bytes and of its caption, size, bucket, resize, crop"),
    Field("data.images.*.rights", "info", "whose image it is"),
    Field("data.rights", "info", "all of these"),
    Field("data.credits", "info", "who is to be named"),
    Field("model", "inputs", "family, prediction, width of the latents, modules that can be adapted"),
    Field("model.base", "info", "what the base is called"),
    Field("model.files", "inputs", "of each file of the base: content digest (names, dtypes, shapes and bytes of tensors)", late=True),
    Field("model.files.*.size", "info", "its bytes"),
    Field("model.files.*.sha256", "info", "digest of its bytes: saving it again changes this, not the content"),
    Field("adapter", "recipe", "kind, rank, shape of every trained tensor, alphas"),
    Field("plan", "recipe", "buckets, batches, steps, epochs, repeats"),
    Field("plan.buckets", "inputs", "size and number of images of each bucket"),
    Field("plan.samples_per_epoch", "inputs", "images times repeats"),
    Field("plan.batches_per_epoch", "inputs", "forward passes of an epoch"),
    Field("plan.steps_per_epoch", "inputs", "optimizer steps of an epoch"),
    Field("plan.steps", "inputs", "optimizer steps of the run"),
    Field("plan.captions", "inputs", "distinct captions over all epochs"),
    Field("plan.stream_sha256", "inputs", "stream digest of each epoch: the same on every machine"),
    Field("plan.epoch_files", "info", "names and sizes of the epoch files"),
    Field("plan.grid", "info", "what the grid shows"),
    Field("environment", "bits", "Python and platform", judged=True),
    Field("environment.packages", "bits", "version and code digest (from RECORD) of every package that may change a number", judged=True),
    Field("environment.codecs", "bits", "libraries that decode images", judged=True),
    Field("environment.variables", "bits", "environment variables from a fixed list that are set", judged=True),
    Field("environment.variables.GOMP_SPINCOUNT", "info", "how long idle threads of OpenMP spin: changes the time, no number"),
    Field("run.pixels", "bits", "of each image, digests of its decoded pixels and of the resized and cropped ones", late=True),
    Field("run.base", "inputs", "content of a base whose family names no files", late=True),
    Field("run.optimizer", "recipe", "every value of the optimizer's groups, exact", late=True),
    Field("run.determinism", "bits", "strict or not; attention, autocast, dtype, TF32", late=True),
    Field("run.device", "bits", "device, capability, threads, build of torch, driver", judged=True, late=True),
    Field("run.fingerprint", "bits", "digests of about a dozen kernels, for each dtype", late=True),
    Field("expected", "result", "of each epoch file content digest and sha256; losses of steps 1 to 10; metrics and their band", late=True),
)
_PARTS = tuple((tuple(field.path.split(".")), field) for field in FIELDS)


def field_of(parts: Sequence[str]) -> Field:
    """Return the row that a place in a lock belongs to: the one that says most about it.

    Raises:
        KeyError: None does, which a test rules out for every lock that this version makes.
    """
    found = [(pattern, field) for pattern, field in _PARTS if _covers(pattern, parts)]
    if not found:
        raise KeyError(".".join(parts))
    return max(found, key=lambda item: (len(item[0]), -item[0].count("*")))[1]


def _covers(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    return len(pattern) <= len(parts) and all(one in ("*", other) for one, other in zip(pattern, parts, strict=False))


def lowest(levels: Sequence[str]) -> str:
    """Return the lowest of some levels; R4 of none."""
    return min(levels, default="R4")


def levels_table() -> str:
    """Return the levels as Markdown, for the docs."""
    return "\n".join(["| level | what it says |", "|---|---|", *(f"| {level} | {meaning} |" for level, meaning in LEVELS.items())])


def classes_table() -> str:
    """Return the classes as Markdown, for the docs."""
    rows = [f"| {kind} | {meaning} | {'' if BEST[kind] == 'R4' else BEST[kind]} |" for kind, meaning in CLASSES.items()]
    return "\n".join(["| class | what a field of it is | at best when it differs |", "|---|---|---|", *rows])


def fields_table() -> str:
    """Return the table as Markdown, for the docs."""
    rows = ["| field | class | at best when it differs | what it holds |", "|---|---|---|---|"]
    weightless = {f"spec.resolved.{path}" for path in WEIGHTLESS}
    for field in FIELDS:
        if field.path not in weightless:
            best = "the fingerprint says" if field.judged else "" if field.best == "R4" else field.best
            rows.append(f"| `{field.path}` | {field.kind} | {best} | {field.help} |")
    named = ", ".join(f"`{path}`" for path in WEIGHTLESS)
    return "\n".join([*rows, "", f"Keys of a spec that decide no weight, class info in `spec.resolved`: {named}."])
