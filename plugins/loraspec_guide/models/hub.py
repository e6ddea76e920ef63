"""Fetching from the Hugging Face hub: .safetensors, .json and .txt of the parts that are needed, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from loraspec.errors import EnvironmentMissing

PARTS: Final = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")


def download(repo: str, revision: str, *, variant: str | None, parts: tuple[str, ...] = PARTS) -> Path:
    """Return the folder of a hub id in the local cache, fetching what is not there.

    Raises:
        EnvironmentMissing: Not cached, and the hub cannot be reached, does not know it, or wants a login.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    weights = f"*.{variant}*.safetensors" if variant else "*.safetensors"
    allowed = [f"{part}/{pattern}" for part in parts for pattern in (weights, "*.json", "*.txt")]
    allowed += ["model_index.json"] + (["config.json", "diffusion_pytorch_model*.safetensors"] if parts == ("vae",) else [])
    ignored = [] if variant else ["*.fp16.safetensors", "*.fp16-*.safetensors", "*.non_ema.safetensors", "*.bf16.safetensors"]
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=allowed, ignore_patterns=ignored))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, HFValidationError, OSError) as error:
        raise EnvironmentMissing(
            f"{repo!r} (revision {revision!r}) is not in the local cache, and the hub did not give it ({type(error).__name__})",
            hint=f"with a network: hf download {repo} --revision {revision}; "
            "or name a diffusers folder or a .safetensors file in model.checkpoint",
        ) from None


def cached(repo: str, revision: str) -> Path | None:
    """Return the folder of a hub id in the local cache, or None; nothing is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
