"""``loraspec schema``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file instead of the terminal.")
def command(output: Path | None) -> int:
    """Write the JSON Schema of specs, for editors.

    It holds the options of every installed plugin. An editor that knows tombi or taplo uses it for a spec whose
    first line is "#:schema PATH".
    """
    from loraspec.catalog import discover
    from loraspec.spec.jsonschema import json_schema

    text = json.dumps(json_schema(discover()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return 0
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    click.echo(f'{output}: {len(text):,} bytes; put "#:schema {output.name}" in the first line of a spec beside it')
    return 0
