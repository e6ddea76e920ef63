"""What a report may say: no absolute path of the machine that made it."""

from __future__ import annotations

import re

_PATH = re.compile(
    r"""(?<![\w.:/\\~$}])          # where a path begins, not inside a URL, a hub id or a package place
    (?:~|[A-Za-z]:(?=[\\/])|\\\\)?[\\/]{1,2}  # /, ~/, C:\\, \\\\server
    (?:[^\s"'<>|:*?,;()\\/]+[\\/]+)+   # at least one folder
    ([^\s"'<>|:*?,;()\\/]*)""",
    re.VERBOSE,
)
_QUOTED = re.compile(r'"((?:~|[A-Za-z]:)?[\\/](?:\\.|[^"\\\n])*)"')


def without_paths(text: str) -> str:
    """Return a text with every absolute path cut down to its last part: ``/mnt/me/runs/a`` becomes ``.../a``."""
    return _PATH.sub(lambda found: f".../{found[1]}", _QUOTED.sub(lambda found: f'".../{_last(found[1])}"', text))


def _last(path: str) -> str:
    return re.split(r"[/\\]+", path.rstrip("/\\"))[-1]
