"""Where a plugin's own models lie: a path relative to the spec, or a place on the Hugging Face hub with a commit. Imports nothing heavy.

Plugins that bring a model to look at pictures with (metrics, captioners) share these words: ``hf:OWNER/NAME`` or
``hf:OWNER/NAME/FILE``, and ``revision``. A hub's files are fetched into its own cache when they are first needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loraspec.errors import EnvironmentMissing, Problem

if TYPE_CHECKING:
    from loraspec.values import Context

HUB = "hf:"
COMMIT = "[0-9a-f]{40}"
FOLDER_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]


def file_of(text: str, *, revision: str, sha256: str = "", context: Context) -> Path:
    """Return a file, fetched from the hub when it is named there and not yet cached.

    Raises:
        EnvironmentMissing: It is not there, or it is another one.
    """
    if text.startswith(HUB):
        owner, name, *inside = text.removeprefix(HUB).split("/")
        path = _fetched(f"{owner}/{name}", "/".join(inside), revision)
    else:
        path = context.path(text)
    if not path.is_file():
        raise EnvironmentMissing(f"{text}: there is no such file", hint="paths are relative to the spec")
    if sha256 and (found := _sha256(path)) != sha256:
        raise EnvironmentMissing(f"{text}: its sha256 is {found}, the spec asks for {sha256}", hint="fetch the file that the spec names")
    return path


def folder_of(text: str, *, revision: str, context: Context) -> Path:
    """Return the folder of a model of transformers, fetched from the hub when it is named there and not yet cached.

    Raises:
        EnvironmentMissing: It is not there.
    """
    path = _fetched(text.removeprefix(HUB), "", revision) if text.startswith(HUB) else context.path(text)
    if not (path / "config.json").is_file():
        raise EnvironmentMissing(f"{text}: there is no config.json", hint="name the folder that save_pretrained wrote")
    return path


def unsure(text: str, revision: str, context: Context, where: str) -> Iterator[Problem]:
    """Yield what is wrong with a place before anything is loaded: no commit of a hub, nothing at a path.

    Args:
        text, revision: As in the options.
        context: The plan's.
        where: Path of the options in the spec.
    """
    if text.startswith(HUB):
        if not revision:
            hint = "write the commit's 40 hexadecimal digits, as the hub shows them under History"
            yield Problem(where, f"revision: {text} is not pinned", hint, code="E-PLUGIN-REVISION")
    elif not context.path(text).exists():
        hint = "paths are relative to the spec; what lies on the hub is written hf:OWNER/NAME or hf:OWNER/NAME/FILE"
        yield Problem(where, f"weights: nothing is at {text!r}", hint, code="E-PLUGIN-WEIGHTS")


def _fetched(repository: str, inside: str, revision: str) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        if inside:
            return Path(hf_hub_download(repository, inside, revision=revision))
        return Path(snapshot_download(repository, revision=revision, allow_patterns=FOLDER_FILES))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, HFValidationError, OSError) as error:
        raise EnvironmentMissing(
            f"{repository} at {revision} is not in the local cache, and the hub did not give it ({type(error).__name__})",
            hint=f"with a network: hf download {repository} {inside} --revision {revision}",
        ) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
