"""The command line: one small module per command, imported when it is called."""

from __future__ import annotations

import click

import loraspec
from loraspec.cli.group import LazyGroup

COMMANDS: dict[str, dict[str, str]] = {
    "Write a spec": {
        "init": "Write a commented spec for a folder of images.",
        "validate": "Check specs: every mistake at once, with its line.",
        "show": "Print a spec with profiles and --set applied.",
        "migrate": "Rewrite specs of an older format, keeping comments.",
        "schema": "Write the JSON Schema of specs, for editors.",
    },
    "See ahead": {
        "plan": "Say exactly what a run will do; changes nothing.",
        "fetch": "Fetch the images that data sources choose elsewhere.",
        "captions": "Draft, check, review and exchange captions.",
        "plugins": "List the installed components and their options.",
        "cache": "Look into the cache of latents and prompt embeddings, which all runs share.",
    },
    "Train": {
        "run": "Train, evaluate and report.",
        "resume": "Continue a run that was stopped.",
    },
    "Choose": {
        "grid": "Draw any part of the grid: other epochs, weights, prompts or seeds.",
        "pick": "Pick the epoch to use: the ranking's, or your own.",
        "card": "Write a model card of the epoch that was picked.",
        "judge": "Judge epochs by eye, in pairs, without knowing which is which.",
        "compare": "Set runs side by side: what differs, curves, picked cells.",
    },
    "Prove it": {
        "lock": "Write a spec's lock beside it.",
        "verify": "Check a lock or a run against this machine, without training.",
        "reproduce": "Run a lock or a run again and say how equal it is.",
        "diff": "Compare any two of spec, lock and run.",
    },
}


@click.group(cls=LazyGroup, sections=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(loraspec.__version__, prog_name="loraspec", message="%(prog)s %(version)s")
@click.option("--traceback", is_flag=True, help="Show the traceback of an error; may stand anywhere.")
def main(traceback: bool) -> None:
    """Turn one TOML file into one trained style LoRA, and into the proof of how good it is.

    \b
    loraspec init my-style --images photos --style "by X" --rights own
    loraspec plan my-style.toml
    loraspec run my-style.toml
    """


__all__ = ["COMMANDS", "main"]
