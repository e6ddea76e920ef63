"""S: specs. Where the design has no such thing (includes, ``..``) the case stays, with the outcome that is documented."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.case import Case
from corpus.specs import SPEC, spec_text, write_spec

VALIDATE = (("validate", "spec.toml"),)
BOTH = (("validate", "spec.toml"), ("run", "spec.toml"))
TOP = "# top"
SECRET = "hf_" + "qQ7" * 10


def text(content: str | bytes) -> Callable[[Path], Any]:
    """Write ``spec.toml`` as it is given."""
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / "spec.toml").write_bytes(data)


def changed(*changes: str) -> Callable[[Path], Any]:
    """Write the good spec with texts replaced."""
    return lambda folder: write_spec(folder, *changes)


def bad(number: str, title: str, code: str, make: Callable[[Path], Any], *says: str, variant: str = "", **more: Any) -> Case:
    """A spec that is refused by ``validate`` and by ``run``."""
    return Case(number, title, make, tuple(code.split()), 2, says=says, variant=variant, **{"commands": BOTH, **more})


def odd(number: str, title: str, code: str, make: Callable[[Path], Any], *says: str, variant: str = "", **more: Any) -> Case:
    """A spec that passes, with a warning or none."""
    return Case(number, title, make, tuple(code.split()), 0, says=says, variant=variant, **{"commands": VALIDATE, **more})


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "spec.toml")


def unix_socket(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)  # the address of a socket is short
    socket.socket(socket.AF_UNIX).bind("spec.toml")
    os.chdir(here)


def unreadable(folder: Path) -> None:
    write_spec(folder).chmod(0)


def name(variant: str, value: str, *says: str) -> Case:
    return bad("S16", "a name that some system cannot keep", "E-SPEC-NAME", changed('"case"', value), "run.name", *says, variant=variant)


def number(variant: str, old: str, new: str, *says: str, code: str = "E-SPEC-RANGE") -> Case:
    return bad("S14", "a number out of range", code, changed(old, new), *says, variant=variant)


def path(number: str, variant: str, code: str, place: str, title: str, *says: str) -> Case:
    return bad(number, title, code, changed('"images"', place), "data.sources[0].path", *says, variant=variant)


FORMAT_0 = '[meta]\nname = "old"\n\n[base]\nuse = "sd15"\n'
KEYS = "".join(f"{number:x}=1\n" for number in range(100_000))
REFUSED_NAMES = (
    name("up", '"../x"'), name("slash", '"a/b"'), name("drive", '"C:\\\\x"'), name("device", '"CON"', "device on Windows"),
    name("device-dot", '"nul.v2"', "device on Windows"), name("newline", '"a\\nb"'), name("long", f'"{"a" * 300}"'), name("empty", '""'),
    name("dot", '"."'), name("trailing-dot", '"a."', "ends with a dot"), name("trailing-space", '"a "'), name("nfd", '"e\\u0301"'),
)  # fmt: skip
LEARNT = "[optimizer]\nuse = \"dadapt-adamw\""

CASES = (
    bad("S01", "an empty file", "E-SPEC-VERSION E-SPEC-MISSING", text(b""), "write `loraspec = 1` in the first line"),
    bad("S02", "a newer format", "E-SPEC-VERSION", changed("loraspec = 1", "loraspec = 99"), "needs a newer loraspec", "this one reads 1"),
    bad("S03", "the format as text", "E-SPEC-TYPE", changed("loraspec = 1", 'loraspec = "1"'), "write loraspec = 1"),
    odd("S04", "a byte order mark", "W-SPEC-BOM", text(b"\xef\xbb\xbf" + SPEC.encode()), "spec.toml:1:1"),
    bad("S05", "UTF-16", "E-SPEC-ENCODING", text(SPEC.encode("utf-16")), "is UTF-16", "save the file as UTF-8"),
    bad("S05", "UTF-16 without a mark", "E-SPEC-ENCODING", text(SPEC.encode("utf-16-le")), "UTF-16", variant="bare"),
    bad("S06", "a byte of Windows-1252", "E-SPEC-ENCODING", text(spec_text("# top", "# d\u2019ici").encode("cp1252")),
        "spec.toml:2:4", "0x92", "'\u2019' in Windows-1252"),
    bad("S07", "5,000 arrays in each other", "E-SPEC-DEPTH", text("a = " + "[" * 5000 + "]" * 5000), "32 levels", variant="arrays"),
    bad("S07", "33 arrays in each other", "E-SPEC-DEPTH", text("a = " + "[" * 33 + "]" * 33), "32 levels", variant="33"),
    bad("S07", "5,000 tables in each other", "E-SPEC-DEPTH", text("a = " + "{a=" * 5000 + "1" + "}" * 5000), variant="tables"),
    bad("S08", "a file of 20 MB", "E-SPEC-SIZE", text(b"#" * 20_000_000), "1 MiB"),
    bad("S09", "an integer of 5,000 digits", "E-SPEC-RANGE", changed("repeats = 1", "repeats = 1" + "0" * 5000), "spec.toml:11:11"),
    bad("S10", "a key set twice", "E-SPEC-DUP", changed("rank = 2", "rank = 2\nrank = 3"), "spec.toml:29:1", "first in line 28"),
    bad("S11", "a misspelt key", "E-SPEC-UNKNOWN", changed("repeats", "repaets", LEARNT, LEARNT + "\nlearing_rate = 1.0"),
        "spec.toml:11:1", "did you mean 'repeats'?", "optimizer.learing_rate"),
    bad("S12", "not a number", "E-SPEC-RANGE", changed(LEARNT, LEARNT + "\nlr = nan\nweight_decay = inf"),
        "optimizer.lr", "optimizer.weight_decay", "finite"),
    bad("S12", "infinite, where no key means without a limit", "E-SPEC-RANGE", changed(LEARNT, LEARNT + "\ngrowth_rate = inf"),
        "optimizer.growth_rate", variant="growth"),
    bad("S13", "a float for an integer, truth for a number", "E-SPEC-TYPE",
        changed("epochs = 1", "epochs = 10.0", '"case"', '"case"\nseed = true', "alpha = 2.0", "alpha = true"),
        "train.epochs", "write 10", "run.seed", "adapter.alpha"),
    number("zero", "epochs = 1", "epochs = 0", "1 to 100000; the nearest is 1"),
    number("negative", "batch_size = 1", "batch_size = -3", "train.batch_size", "the nearest is 1"),
    number("huge", "rank = 2", "rank = 1000000", "1 to 4096; the nearest is 4096"),
    number("alpha", "alpha = 2.0", "alpha = 0.0", "adapter.alpha"),
    number("resolution", "resolution = 32", "resolution = 0", "1 to 16384; the nearest is 1"),
    number("epochs", "epochs = 1", "epochs = 1000000000", "the nearest is 100000"),
    number("step", "resolution = 32", "resolution = 513", "data.resolution (513) is not a multiple", "512 or 520",
           code="E-SPEC-RANGE E-SPEC-CONFLICT"),
    bad("S15", "a date for a text", "E-SPEC-TYPE", changed('"case"', "1979-05-27"), "expected a string, got 1979-05-27"),
    *REFUSED_NAMES,
    bad("S17", "a name that reads backwards", "E-SPEC-NAME", changed('"case"', '"a\u202eb"'), "\\u202e", variant="bidi"),
    bad("S17", "a name with nothing in it", "E-SPEC-NAME", changed('"case"', '"a\u200bb"'), "\\u200b", variant="zero-width"),
    odd("S18", "an absolute path", "W-PATH-ABSOLUTE", changed('"images"', '"/srv/images"'), "data.sources[0].path", "relative to the spec"),
    odd("S18", "an absolute path of Windows", "W-PATH-ABSOLUTE", changed('"images"', '"D:/images"'), variant="drive"),
    odd("S19", "data above the spec: allowed, so that specs and data can lie side by side", "", changed('"images"', '"../images"')),
    bad("S19", "a plugin file above the spec", "E-PATH-ESCAPE", changed(TOP, 'plugins = ["../other.py"]'), "plugins[0]", variant="plugin"),
    bad("S19", "a run above the working directory", "E-PATH-ESCAPE", changed('"case"', '"case"\noutput = "../../elsewhere"'),
        "run.output", "--output DIR", variant="output"),
    bad("S19", "a run at an absolute path", "E-PATH-ESCAPE", changed('"case"', '"case"\noutput = "/srv/run"'), variant="output-absolute"),
    path("S20", "home", "E-PATH-EXPAND", '"~/images"', "a home folder", "never expanded"),
    path("S20", "variable", "E-PATH-EXPAND", '"$HOME/images"', "a variable"),
    path("S20", "percent", "E-PATH-EXPAND", '"%USERPROFILE%/images"', "a variable of Windows"),
    path("S21", "", "E-PATH-SEP", "'images\\daumier'", "a backslash", "write /"),
    path("S22", "data", "E-PATH-URL", '"https://example.org/images.zip"', "an address for data", "never downloads"),
    bad("S22", "an address for the base", "E-PATH-URL",
        changed('"tiny:tiny"', '"sd15"\ncheckpoint = "https://example.org/model"'), "model.checkpoint", variant="model"),
    bad("S23", "a plugin that is not installed", "E-PLUGIN-MISSING", changed('use = "dadapt-adamw"', 'use = "evil; rm -rf:adamw"'),
        "no plugin is named 'evil; rm -rf'", never=("pip install",)),
    bad("S23", "a component that nobody offers", "E-PLUGIN-MISSING", changed('use = "dadapt-adamw"', 'use = "evilopt"'),
        "'evilopt'", never=("pip install",), variant="component"),
    bad("S24", "a distribution of another version", "E-PLUGIN-DRIFT", changed(TOP, 'requires = ["attrs<1"]'), "requires[0]"),
    bad("S25", "two keys that contradict", "E-SPEC-CONFLICT", changed("max = 64", "max = 8"), "data.buckets.min (16)",
        "data.buckets.max (8)", "data.resolution (32)"),
    bad("S26", "a secret by its key", "E-SPEC-SECRET", changed('"case"', '"case"\nhf_token = "abcdefgh"\napi_key = "12345"'),
        "run.hf_token", "run.api_key", never=("abcdefgh", "12345"), variant="key"),
    bad("S26", "a secret by its look", "E-SPEC-SECRET", changed('"images"', f'"{SECRET}"'), "data.sources[0].path", never=(SECRET,),
        variant="value"),
    bad("S26", "a secret on the command line", "E-SPEC-SECRET", changed(), never=(SECRET,), variant="set",
        commands=(("validate", "spec.toml", "--set", f"model.checkpoint={SECRET}"), ("validate", "spec.toml", "--set", SECRET))),
    bad("S27", "an include: there are none", "E-SPEC-UNKNOWN", changed(TOP, 'extends = "spec.toml"\ninclude = ["../other.toml"]'),
        "extends", "include"),
    bad("S28", "a folder", "E-SPEC-READ", lambda folder: (folder / "spec.toml").mkdir(), "is a folder", variant="folder"),
    bad("S28", "a named pipe", "E-SPEC-READ", fifo, "is a named pipe", variant="fifo"),
    bad("S28", "a socket", "E-SPEC-READ", unix_socket, "is a socket", variant="socket"),
    bad("S28", "a device", "E-SPEC-READ", lambda folder: (folder / "spec.toml").symlink_to("/dev/zero"), "a device", variant="device"),
    bad("S28", "a link to nowhere", "E-SPEC-READ", lambda folder: (folder / "spec.toml").symlink_to("gone"), "no such", variant="dangling"),
    bad("S28", "a file that may not be read", "E-SPEC-READ", unreadable, "ermission denied", variant="mode", user=True),
    bad("S29", "YAML", "E-SPEC-FORMAT", text("run:\n  name: case\nmodel:\n  use: sdxl\n"), "looks like YAML", variant="yaml"),
    bad("S29", "JSON", "E-SPEC-FORMAT", text('{"loraspec": 1, "run": {"name": "case"}}'), "looks like JSON", variant="json"),
    bad("S31", "100,000 keys", "E-SPEC-SIZE", text(KEYS), "100,000 keys", variant="keys"),
    bad("S31", "a key of 300 parts", "E-SPEC-DEPTH", text(".".join(["a"] * 300) + " = 1"), variant="dots"),
    bad("S31", "a key of 400,000 parts", "E-SPEC-DEPTH", text(".".join(["a"] * 400_000) + " = 1"), variant="more-dots"),
    bad("S31", "300,000 numbers", "E-SPEC-SIZE", text("a = [" + "1," * 300_000 + "]"), variant="items"),
    bad("S31", "one key 100,000 times", "E-SPEC-SIZE", text("a = 1\n" * 100_000), "100,000 keys", variant="twice"),
    bad("S32", "the old format", "E-SPEC-VERSION", text(FORMAT_0), "has format 0", "loraspec migrate spec.toml"),
)
