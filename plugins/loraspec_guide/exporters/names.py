"""Keys of LoRA files from neutral names (``unet.<module>.lora_down.weight``), without torch.

kohya: ``lora_unet_<module with underscores>.lora_down.weight``. SDXL modules carry the block numbers of the original layout
(``input_blocks_4_1``, "SAI names"), as sd-scripts and OneTrainer write them; SD 1.5 modules carry diffusers' (networks/lora.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from loraspec.values import ModelFacts, Target
from loraspec_guide.models.original import unet_name

DTYPES: Final = {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}
FAMILIES: Final = ("sdxl", "sd15")
ENDINGS: Final = (".lora_down.weight", ".lora_up.weight", ".alpha")
TEXT_PREFIX: Final = {"sdxl": {"text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}, "sd15": {"text_encoder": "lora_te"}}


def split(name: str) -> tuple[str, str, str]:
    """Return component, module and ending of a neutral name.

    Raises:
        ValueError: The name is of no adapter of kind ``lora``.
    """
    for ending in ENDINGS:
        if name.endswith(ending):
            component, _, module = name.removesuffix(ending).partition(".")
            return component, module, ending
    raise ValueError(f"{name!r} ends in none of {', '.join(ENDINGS)}")


def uses_sai_names(model: ModelFacts) -> bool:
    """Say whether SAI names fit this U-Net: SDXL's layout, with block numbers that readers cannot mistake.

    Readers find blocks by substring: ``input_blocks_1`` would be found in ``input_blocks_10`` too. Where that could happen, and
    where blocks differ in their number of layers, diffusers block names are written, which every reader of SDXL files knows as well.
    """
    if model.family != "sdxl" or not isinstance(model.unet_config.get("layers_per_block", 2), int):
        return False
    stems = {_stem(one, model) for one in model.targets if one.component == "unet"}
    return not any(a != b and b.startswith(a) for a in stems for b in stems)


def _stem(target: Target, model: ModelFacts) -> str:
    return "_".join(unet_name(target.name, model.unet_config).split(".")[:2])


def kohya_keys(names: Iterable[str], model: ModelFacts) -> dict[str, str]:
    """Return the kohya key of each neutral name.

    Raises:
        ValueError: Two names would share a key, or a name is of no known component.
    """
    sai = uses_sai_names(model)
    found: dict[str, str] = {}
    for name in names:
        component, module, ending = split(name)
        if component == "unet":
            prefix, module = "lora_unet", unet_name(module, model.unet_config) if sai else module
        elif component in TEXT_PREFIX.get(model.family, {}):
            prefix = TEXT_PREFIX[model.family][component]
        else:
            raise ValueError(f"{name!r}: the family {model.family!r} has no {component!r}")
        found[name] = f"{prefix}_{module.replace('.', '_')}{ending}"
    if len(set(found.values())) != len(found):
        raise ValueError("two modules would share one key")
    return found


def diffusers_keys(names: Iterable[str]) -> dict[str, str]:
    """Return diffusers' key of each neutral name of a weight: ``lora_A`` is down, ``lora_B`` is up."""
    return {name: name.replace(".lora_down.", ".lora_A.").replace(".lora_up.", ".lora_B.") for name in names}
