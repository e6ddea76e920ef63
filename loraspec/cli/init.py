"""``loraspec init``."""

from __future__ import annotations

import os
from pathlib import Path
from string import Template
from typing import Any

import click

from loraspec.cli.output import plural
from loraspec.errors import EnvironmentMissing, Problem, SpecError
from loraspec.escape import escaped

RIGHTS = ["own", "licensed", "public-domain"]
BASES: dict[str, dict[str, Any]] = {
    "sdxl": {
        "model": 'use = "sdxl"\ncheckpoint = "stabilityai/stable-diffusion-xl-base-1.0"',
        "about": "SDXL: a GPU with 24 GB, or 12 GB with --profile low-vram",
        "resolution": 1024, "step": 64, "min": 512, "max": 2048, "rank": 128, "alpha": 64, "batch": 1,
        "precision": "bf16", "checkpointing": "true", "steps": 25, "guidance": 7.0,
        "profile": "# 12 GB cards.\n[profiles.low-vram]\nadapter = { rank = 64, alpha = 32 }\n",
    },
    "sd15": {
        "model": 'use = "sd15"\ncheckpoint = "stable-diffusion-v1-5/stable-diffusion-v1-5"',
        "about": "Stable Diffusion 1.5: a GPU with 4 to 6 GB",
        "resolution": 512, "step": 64, "min": 256, "max": 1024, "rank": 32, "alpha": 16, "batch": 1,
        "precision": "fp16", "checkpointing": "true", "steps": 25, "guidance": 7.0, "profile": "",
    },
    "embedded": {
        "model": 'use = "sdxl"\ncheckpoint = "package:loraspec_picturebook/base"',
        "about": "the embedded base: two CPU cores, nothing to download, pictures of 64 px",
        "resolution": 64, "step": 16, "min": 32, "max": 96, "rank": 16, "alpha": 16, "batch": 4,
        "precision": "no", "checkpointing": "false", "steps": 20, "guidance": 4.0, "profile": "",
    },
}  # fmt: skip

EMBEDDED = """
# The same pictures on the embedded base: two CPU cores, nothing to download. Tries the whole way in minutes.
[profiles.embedded]
model = { use = "sdxl", checkpoint = "package:loraspec_picturebook/base" }
data = { resolution = 64, buckets = { step = 16, min = 32, max = 96 } }
adapter = { rank = 16, alpha = 16 }
train = { batch_size = 4, mixed_precision = "no", gradient_checkpointing = false }
grid = { steps = 20, guidance = 4.0 }
"""

SPEC = Template('''\
# $about.
#   loraspec run $file
# `loraspec plugins` lists what can stand after every `use`, `loraspec plugins show NAME` its options.
loraspec = 1                            # format of this file

[run]
name = $name
seed = 1                                # every draw follows from it

[model]
$model

[data]
repeats = 10                            # how often each picture is seen in an epoch; 8 to 20 is usual
resolution = $resolution
buckets = { step = $step, min = $min, max = $max, upscale = false }   # aspect ratios are kept, nothing is padded

[[data.sources]]
use = "folder"                          # pictures, each with its caption in a .txt file of the same name
path = $path
rights = "$rights"$pad# own, licensed or public-domain: travels to the weights
credits = $credits                            # who is to be named

[captions]                              # "the subject, an object, the place, the medium, the style"
style_tag = $style

[[captions.transforms]]
use = "tidy"
[[captions.transforms]]
use = "ensure"                          # every caption names the style
descriptors = [$style]
[[captions.transforms]]
use = "shuffle"                         # a new order at every visit ...
keep = 1                                # ... but the subject stays first

[adapter]
use = "lora"
rank = $rank
alpha = $alpha

[optimizer]
use = "dadapt-adamw"                    # finds its own step size: leave lr at 1.0
lr = 1.0

[lr_scheduler]
use = "cosine"

[train]
epochs = 20                             # each leaves a weight file; the grid shows which is best
batch_size = $batch
mixed_precision = "$precision"
gradient_checkpointing = $checkpointing

[grid]                                  # epochs against weights, one sheet for each prompt and seed
weights = [0.6, 0.8, 1.0]
seeds = [1]
steps = $steps
guidance = $guidance
prompts = [
  $prompts
]

[[exporters]]
use = "kohya"                           # what other programs read
$profiles''')


@click.command()
@click.argument("name")
@click.option("--images", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder with the pictures.")
@click.option("--style", required=True, metavar="TEXT", help='The descriptor that names the style, such as "by X".')
@click.option("--rights", required=True, type=click.Choice(RIGHTS), help="With which right you use the pictures.")
@click.option("--credits", default="", metavar="TEXT", help="Who is to be named in the weight files.")
@click.option("--model", type=click.Choice(list(BASES)), default="sdxl", show_default=True, help="The base to train on.")
@click.option("--output", "-o", metavar="FILE", type=click.Path(path_type=Path), help="The spec to write; by default NAME.toml.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def command(
    name: str, images: Path, style: str, rights: str, credits: str, model: str, output: Path | None, force: bool
) -> int:
    """Write a commented spec for a folder of images.

    Counts the pictures and their captions, and names the next commands.
    """
    import re

    output = output or Path(f"{name}.toml")
    problems = []
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        problems.append(Problem("NAME", f"{name!r}: write letters, digits, '.', '_' and '-', 64 at most", code="E-SPEC-NAME"))
    if not style.strip() or "," in style or "\n" in style:
        message = f"{style!r}: write one descriptor, without commas"
        problems.append(Problem("--style", message, hint='--style "by Honoré Daumier"', code="E-SPEC-PATTERN"))
    if output.exists() and not force:
        hint = "choose another name with -o, or replace it with --force"
        problems.append(Problem("--output", f"{str(output)!r} exists", hint, code="E-PATH-EXISTS"))
    if problems:
        raise SpecError(problems)
    if not images.is_dir():
        raise EnvironmentMissing(f"{str(images)!r} is no folder", hint="--images names the folder with your pictures")
    found = _count(images)
    output.parent.mkdir(parents=True, exist_ok=True)
    said = {"style": style.strip(), "rights": rights, "credits": credits}
    output.write_text(spec_text(name, images=images, said=said, model=model, output=output), encoding="utf-8")
    click.echo(f"{output}: written, for {plural(found['pictures'], 'picture')} in {images}")
    _echo_found(found)
    click.echo("\nnext:")
    review = [f"captions review {output}"] if found["captioned"] < found["pictures"] else []  # a page on which they are written
    for line in (*review, f"plan {output}", f"captions preview {output} --epoch 1", f"run {output}"):
        click.echo(f"  loraspec {line}")
    return 0


def spec_text(name: str, *, images: Path, said: dict[str, str], model: str, output: Path) -> str:
    """Return the spec; the folder of pictures is written relative to the spec, ``said`` has style, rights and credits."""
    from loraspec.cli.describe import toml_value

    try:
        path = Path(os.path.relpath(images.resolve(), output.resolve().parent)).as_posix()
    except ValueError:  # another drive
        path = images.resolve().as_posix()
    base, style = BASES[model], said["style"]
    prompts = [f"portrait of a woman, tweed suit, {style}", f"small red boat, sunny beach, two trees, {style}"]
    profiles = "\n" + base["profile"] if base["profile"] else ""
    return SPEC.substitute(
        {**base, "about": base["about"][0].upper() + base["about"][1:]},
        file=output.name,
        name=toml_value(name),
        path=toml_value(path),
        style=toml_value(style),
        rights=said["rights"],
        pad=" " * (30 - len(said["rights"])),
        credits=toml_value(said["credits"]),
        prompts=",\n  ".join(map(toml_value, prompts)) + ",",
        profiles=profiles + (EMBEDDED if model != "embedded" else ""),
    )


def _count(images: Path) -> dict[str, Any]:
    """Count pictures and captions the way a run would find them: through the data source ``folder``."""
    from loraspec.catalog import discover
    from loraspec.randomness import rng_of
    from loraspec.spec.convert import options_of
    from loraspec.values import Context

    catalog = discover()
    component = catalog.find("data_source", "folder").component
    options, problems = options_of(component.options, {"path": str(images.resolve())}, "data.sources[0]")
    if options is None:
        raise SpecError(problems)
    scan = component.build(options).scan(Context(images, rng_of(0), catalog.extensions))
    captioned = sum(sample.caption is not None for sample in scan.samples)
    return {"pictures": len(scan.samples), "captioned": captioned, "problems": scan.problems}


def _echo_found(found: dict[str, Any]) -> None:
    pictures, missing = found["pictures"], found["pictures"] - found["captioned"]
    if not pictures:
        click.echo("  no pictures there yet: PNG, JPEG and WebP count")
        return
    if missing == 0:
        click.echo("  every picture has a caption")
    else:
        which = "no picture has" if missing == pictures else f"{missing} of {pictures} do not have"
        click.echo(f"  {which} a caption: write one beside each, photo.jpg -> photo.txt")
        click.echo('  such as "old man, green coat, dark street, two dogs"; the style is added')
    if not 30 <= pictures <= 100:
        click.echo(f"  a style usually takes 30 to 100 pictures, this folder has {pictures}")
    for problem in found["problems"]:
        click.echo(f"  {escaped(str(problem))}")
