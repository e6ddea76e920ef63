"""A model card: what is put beside a weight file when it is shared, in the form that hubs show. No torch.

Markdown with a head of YAML, as the Hugging Face hub reads it (its documentation of model cards). Whose images were used, and who is to be
named, stands there as the sources declared it; nothing of the machine, its user or the time does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from loraspec.comparing.pages import md
from loraspec.escape import escaped_json
from loraspec.finished import Finished
from loraspec.picking import Pick
from loraspec.places import is_absolute
from loraspec.usage import words

FAMILIES = {"sdxl": ("stable-diffusion-xl", "StableDiffusionXLPipeline"), "sd15": ("stable-diffusion", "StableDiffusionPipeline")}
SETTINGS = (
    ("resolution", "data.resolution"), ("repeats", "data.repeats"), ("epochs", "train.epochs"),
    ("batch size", "train.batch_size"), ("adapter", "adapter.use"), ("rank", "adapter.rank"), ("alpha", "adapter.alpha"),
    ("optimizer", "optimizer.use"), ("learning rate", "optimizer.lr"), ("lr scheduler", "lr_scheduler.use"), ("seed", "run.seed"),
)  # fmt: skip


def card(run: Finished, pick: Pick, *, licence: str = "") -> str:
    """Return the card of the epoch that was picked.

    Args:
        run: The run.
        pick: What was picked of it.
        licence: Identifier of the licence of the weights, as SPDX or the hub has it; "" leaves it open.

    Raises:
        SpecError: The epoch is not committed.
    """
    file, *_ = run.digests(pick.epoch)
    parts = [_head(run, licence), f"# {md(run.name)}", _what(run, pick), _use(run, pick, file), _data(run), _training(run, pick)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(run: Finished, licence: str) -> str:
    """Return the YAML: JSON's texts are YAML's too."""
    family = _family(run)
    base, tag = _base(run), _text(run, "captions.style_tag")
    rows: dict[str, Any] = {
        "license": licence,
        "base_model": base if base == _text(run, "model.checkpoint") and not base.startswith("package:") else "",
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "instance_prompt": tag,
        "tags": ["text-to-image", "lora", "diffusers", *([FAMILIES[family][0]] if family in FAMILIES else []), "style", "loraspec"],
    }
    lines = [f"{key}: {escaped_json(json.dumps(value, ensure_ascii=False))}" for key, value in rows.items() if value]
    return "\n".join(["---", *lines, "---"])


def _what(run: Finished, pick: Pick) -> str:
    lines = [f"A style LoRA of {md(_base(run))}: epoch {pick.epoch} of {run.epochs[-1]}, to be used at weight {words(pick.weight)}."]
    if tag := _text(run, "captions.style_tag"):
        lines.append(f"Write **{md(tag)}** in the prompt, as a descriptor of its own.")
    return " ".join(lines)


def _use(run: Finished, pick: Pick, file: str) -> str:
    name = file.rpartition("/")[2]
    lines = [
        "## Use",
        f"- ComfyUI: put {md(name)} into `models/loras`; strength {words(pick.weight)}",
        f"- A1111: put it into `models/Lora`; in the prompt `<lora:{_plain(name.rpartition('.')[0])}:{pick.weight:g}>`",
        "- diffusers:",
        "",
        "  ```python",
        f"  pipe.load_lora_weights(\"FOLDER\", weight_name={json.dumps(name)}, adapter_name=\"style\")",
        f"  pipe.set_adapters(\"style\", {words(pick.weight)})",
        "  ```",
    ]
    return "\n".join(lines[:1]) + "\n\n" + "\n".join(lines[1:])


def _data(run: Finished) -> str:
    counted = Counter((str(row.get("rights") or "not declared"), str(row.get("credits") or "")) for row in _images(run))
    rows = [f"| {md(right)} | {md(credit)} | {count} |" for (right, credit), count in sorted(counted.items())]
    return "\n".join(["## Images", "", "| rights | credits | images |", "|---|---|---|", *rows]) if rows else ""


def _training(run: Finished, pick: Pick) -> str:
    rows = [f"| base | {md(_base(run))} |", *(f"| {name} | {md(value)} |" for name, path in SETTINGS if (value := _text(run, path)))]
    ranking = run.ranking
    why = pick.note
    if pick.by == "ranking" and ranking is not None and ranking.epoch == pick.epoch:
        why = " ".join(ranking.sentences[:1])
    chosen = f"The epoch was chosen by {'a person' if pick.by == 'person' else 'the ranking'}" + (f": {md(why)}" if why else ".")
    files = [f"| {md(name)} | {sha256} |" for name, sha256 in run.digests(pick.epoch).items()]
    table = ["| setting | |", "|---|---|", *rows]
    version, spec = (md(str(run.facts.get(key, ""))) for key in ("loraspec", "spec_hash"))
    made = f"Made with loraspec {version}; sha256 of the resolved spec: {spec}."
    return "\n".join(["## Training", "", *table, "", chosen, "", "| file | sha256 |", "|---|---|", *files, "", made])


def _images(run: Finished) -> Iterator[Mapping[str, Any]]:
    from loraspec.textfile import read_plain

    try:
        lines = read_plain(run.folder / "manifest.jsonl", 64 * 2**20).decode("utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError, RecursionError):
        return
    yield from (row for row in rows if isinstance(row, dict) and not row.get("heldout"))


def _text(run: Finished, path: str) -> str:
    value = run.setting(path, "")
    return str(value) if isinstance(value, (str, int, float)) else ""


def _base(run: Finished) -> str:
    """Return what the base is called: a hub's name whole, of a place on this machine the last part."""
    text = _text(run, "model.checkpoint")
    local = is_absolute(text) or text.startswith(".") or text.count("/") != 1
    return text if text.startswith("package:") or not local else PurePath(text.replace("\\", "/")).name


def _family(run: Finished) -> str:
    return _text(run, "model.use").rpartition(":")[2]


def _plain(text: str) -> str:
    return "".join(sign for sign in text if sign.isalnum() or sign in "-_.")
