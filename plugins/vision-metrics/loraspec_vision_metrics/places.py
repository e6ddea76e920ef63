"""Where weights lie: a path relative to the spec, or a place on the Hugging Face hub with a commit. Imports nothing heavy."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from loraspec.errors import EnvironmentMissing

HUB = "hf:"
COMMIT = "[0-9a-f]{40}"
WANTED = ("*.json", "*.txt", "*.model", "*.safetensors")


def located(text: str, context: Any) -> Path:
    """Return what a path of the spec names, whether it is there or not."""
    found: Path = context.path(text)
    return found


def file_of(text: str, *, revision: str, sha256: str, context: Any) -> Path:
    """Return a file of weights, fetched from the hub when it is named there and not yet cached.

    Raises:
        EnvironmentMissing: It is not there, or it is another one.
    """
    if text.startswith(HUB):
        owner, name, *inside = text.removeprefix(HUB).split("/")
        path = _fetched(f"{owner}/{name}", "/".join(inside), revision)
    else:
        path = located(text, context)
    if not path.is_file():
        raise EnvironmentMissing(f"{text}: there is no such file of weights", hint="paths are relative to the spec")
    if sha256 and (found := _sha256(path)) != sha256:
        raise EnvironmentMissing(f"{text}: its sha256 is {found}, the spec asks for {sha256}", hint="fetch the file that the spec names")
    return path


def folder_of(text: str, *, revision: str, context: Any) -> Path:
    """Return a model's folder, fetched from the hub when it is named there and not yet cached.

    Raises:
        EnvironmentMissing: It is not there.
    """
    path = _fetched(text.removeprefix(HUB), "", revision) if text.startswith(HUB) else located(text, context)
    if not (path / "config.json").is_file():
        raise EnvironmentMissing(f"{text}: there is no config.json", hint="name the folder that save_pretrained wrote")
    return path


def _fetched(repository: str, inside: str, revision: str) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        if inside:
            return Path(hf_hub_download(repository, inside, revision=revision))
        return Path(snapshot_download(repository, revision=revision, allow_patterns=WANTED))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, HFValidationError, OSError) as error:
        raise EnvironmentMissing(
            f"{repository} at {revision} is not in the local cache, and the hub did not give it ({type(error).__name__})",
            hint=f"with a network: hf download {repository} {inside} --revision {revision}",
        ) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
