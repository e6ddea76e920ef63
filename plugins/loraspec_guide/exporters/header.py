"""What a weight file's header says: an allow-list over the run's own header, with the words that other programs read.

Key names: networks/train_network.py and library/sai_model_spec.py of sd-scripts; lora_adapter_metadata of diffusers.
Nothing of the machine, its user or the time gets in, so equal weights give equal files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from loraspec.values import ModelFacts
from loraspec_guide.exporters.names import split

KOHYA: Final = {
    "ss_output_name": "name", "ss_sd_model_name": "base", "ss_epoch": "epoch", "ss_num_epochs": "epochs", "ss_steps": "step",
    "ss_max_train_steps": "steps", "ss_seed": "seed", "ss_num_train_images": "samples_per_epoch", "ss_optimizer": "optimizer",
    "ss_lr_scheduler": "lr_scheduler", "ss_mixed_precision": "mixed_precision", "ss_batch_size_per_device": "batch_size",
    "ss_gradient_accumulation_steps": "gradient_accumulation_steps", "ss_network_alpha": "alpha",
}
MODELSPEC: Final = {"modelspec.title": "name", "modelspec.trigger_phrase": "style_tag"}
OWN: Final = ("spec_hash", "base", "epoch", "epochs", "step", "steps", "seed", "images", "repeats", "adapter", "objective", "rights",
              "credits")
BASE_VERSION: Final = {"sdxl": "sdxl_base_v1-0", "sd15": "sd_v1"}
ARCHITECTURE: Final = {"sdxl": "stable-diffusion-xl-v1-base/lora", "sd15": "stable-diffusion-v1/lora"}
IMPLEMENTATION: Final = {"sdxl": "https://github.com/Stability-AI/generative-models", "sd15": "diffusers"}


def kohya_metadata(header: Mapping[str, str], *, model: ModelFacts, rank: int) -> dict[str, str]:
    """Return ``ss_*``, ``modelspec.*`` and ``loraspec.*`` strings, sorted."""
    said = {"ss_network_module": "networks.lora", "ss_network_dim": str(rank), "ss_v2": "False"}
    said |= {"ss_base_model_version": BASE_VERSION[model.family] + ("_v" if _predicts_v(model) and model.family == "sd15" else "")}
    said |= {key: header[source] for key, source in KOHYA.items() if header.get(source)}
    if header.get("resolution"):
        said["ss_resolution"] = f"({header['resolution']}, {header['resolution']})"
    return dict(sorted((said | _modelspec(header, model) | _own(header)).items()))


def _predicts_v(model: ModelFacts) -> bool:
    return model.prediction == "v_prediction"


def _modelspec(header: Mapping[str, str], model: ModelFacts) -> dict[str, str]:
    said = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": ARCHITECTURE[model.family],
        "modelspec.implementation": IMPLEMENTATION[model.family],
        "modelspec.prediction_type": "v" if _predicts_v(model) else "epsilon",
    }
    said |= {key: header[source] for key, source in MODELSPEC.items() if header.get(source)}
    if header.get("resolution"):
        said["modelspec.resolution"] = f"{header['resolution']}x{header['resolution']}"
    if header.get("loraspec"):
        said["modelspec.implementation_version"] = f"loraspec/{header['loraspec']}"
    return said


def _own(header: Mapping[str, str]) -> dict[str, str]:
    said = {f"loraspec.{key}": header[key] for key in OWN if header.get(key)}
    return said | ({"loraspec.version": header["loraspec"]} if header.get("loraspec") else {})


def diffusers_metadata(header: Mapping[str, str], *, model: ModelFacts, alphas: Mapping[str, float], rank: int) -> dict[str, str]:
    """Return the header of a diffusers file: ``lora_adapter_metadata`` (rank, alpha and modules of each component), and ours.

    Modules of text encoders are written from their layer on, which fits transformers before and after 5.6 alike.
    """
    config: dict[str, object] = {}
    by_component: dict[str, dict[str, float]] = {}
    for name, alpha in sorted(alphas.items()):
        component, module, _ = split(f"{name}.alpha")
        by_component.setdefault(component, {})[module if component == "unet" else module.removeprefix("text_model.encoder.")] = alpha
    for component, modules in by_component.items():
        values = sorted(set(modules.values()))
        usual = max(values, key=lambda value: sum(one == value for one in modules.values()))
        config |= {
            f"{component}.r": rank,
            f"{component}.lora_alpha": _number(usual),
            f"{component}.target_modules": sorted(modules),
            f"{component}.rank_pattern": {},
            f"{component}.alpha_pattern": {module: _number(one) for module, one in modules.items() if one != usual},
        }
    said = {"format": "pt", "lora_adapter_metadata": json.dumps(config, sort_keys=True, separators=(",", ":"))}
    return dict(sorted((said | _modelspec(header, model) | _own(header)).items()))


def _number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value
