"""``loraspec captions``."""

from __future__ import annotations

import click

from loraspec.cli.captions.draft import draft
from loraspec.cli.captions.lint import lint
from loraspec.cli.captions.preview import preview
from loraspec.cli.captions.review import review
from loraspec.cli.captions.status import diff, status
from loraspec.cli.captions.tables import export, import_


@click.group()
def command() -> None:
    """Draft, check, review and exchange captions."""


for made in (draft, lint, review, status, diff, preview, import_, export):
    command.add_command(made)
