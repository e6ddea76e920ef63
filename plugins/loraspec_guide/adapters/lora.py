"""LoRA through PEFT, computed in a fused form: float32 weights on exactly the modules that the facts list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loraspec import hookimpl
from loraspec.contracts import ModelFamily
from loraspec.errors import RunError
from loraspec.randomness import Rng
from loraspec.values import AdapterState, Target
from loraspec_guide.adapters.dropout import Clock, KeyedDropout
from loraspec_guide.adapters.fused import fuse
from loraspec_guide.adapters.registry import chosen_targets
from loraspec_guide.models.architecture import ATTENTION_LEAVES

if TYPE_CHECKING:
    from loraspec_guide.adapters.registry import LoraOptions

NAME = "loraspec"


def live_targets(component: str, module: nn.Module) -> list[Target]:
    """Return the published target set as the built module has it: Linear layers and 1x1 convolutions, in module order.

    In a U-Net: everything under an ``attentions`` (its ``Transformer2DModel`` blocks). In a text encoder: projections of
    self-attention and MLP, named as transformers before 5.6 did.
    """
    found = []
    for name, one in module.named_modules():
        parts = name.split(".")
        wanted = "attentions" in parts if component == "unet" else parts[-1] in (*ATTENTION_LEAVES, "fc1", "fc2")
        if not wanted or not isinstance(one, nn.Linear | nn.Conv2d) or tuple(getattr(one, "kernel_size", (1, 1))) != (1, 1):
            continue
        conv = isinstance(one, nn.Conv2d)
        neutral = name if component == "unet" or parts[0] == "text_model" else f"text_model.{name}"
        found.append(Target(component, neutral, one.weight.shape[1], one.weight.shape[0], conv))
    return found


def live_name(module: nn.Module, name: str) -> str:
    """Return a neutral name as this module has it: transformers 5.6 took ``text_model.`` out of ``CLIPTextModel``."""
    return name if hasattr(module, "text_model") else name.removeprefix("text_model.")


class Lora:
    """The adapter ``lora``; names are neutral (``unet.<module>``, text encoders with ``text_model.``)."""

    def __init__(self, options: LoraOptions) -> None:
        self.options = options
        self._layers: dict[str, Any] = {}
        self._clock = Clock()

    def inject(self, family: ModelFamily, *, rng: Rng) -> list[dict[str, Any]]:
        """Freeze the family, add the weights, return one parameter group (``name = "lora"``) in sorted order of names.

        ``lora_down`` is uniform as in PEFT (He et al. 2015, a = sqrt 5: bound 1 / sqrt(inputs)), drawn from
        ``rng("adapter", "<component>.<module>")``; ``lora_up`` is zero.
        """
        components: dict[str, nn.Module] = {"unet": family.denoiser, **family.text_encoders}
        for module in components.values():
            module.requires_grad_(False)
        offered = tuple(target for component, module in components.items() for target in live_targets(component, module))
        chosen = chosen_targets(self.options, offered)
        for component in dict.fromkeys(target.component for target in chosen):
            names = [target.name for target in chosen if target.component == component]
            self._inject(component, components[component], names)
        for name, layer in self._layers.items():
            self._initialise(name, layer, rng)
        self._layers = dict(sorted(self._layers.items()))
        parameters = [weight for layer in self._layers.values() for weight in (layer.lora_A[NAME].weight, layer.lora_B[NAME].weight)]
        return [{"params": parameters, "name": "lora"}]

    def _inject(self, component: str, module: nn.Module, names: Sequence[str]) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        live = [live_name(module, name) for name in names]
        chosen = self.options
        config = LoraConfig(r=chosen.rank, lora_alpha=chosen.alpha, lora_dropout=chosen.dropout, target_modules=live)
        # on the meta device PEFT draws nothing from torch's global generator
        inject_adapter_in_model(config, module, adapter_name=NAME, low_cpu_mem_usage=True)
        self._layers |= {f"{component}.{name}": module.get_submodule(one) for name, one in zip(names, live, strict=True)}
        extra = [name for name, one in module.named_modules() if hasattr(one, "lora_A") and name not in set(live)]
        if extra:
            raise RunError(f"{component} was adapted in more modules than planned: {', '.join(extra[:3])}")

    def _initialise(self, module: str, layer: Any, rng: Rng) -> None:
        down, up = layer.lora_A[NAME], layer.lora_B[NAME]
        base = layer.get_base_layer().weight
        bound = base.shape[1] ** -0.5
        drawn = rng("adapter", module).uniform(-bound, bound, size=tuple(down.weight.shape))
        down.weight = nn.Parameter(torch.as_tensor(drawn, dtype=torch.float32).to(base.device))
        up.weight = nn.Parameter(torch.zeros(tuple(up.weight.shape), dtype=torch.float32, device=base.device))
        if self.options.dropout:
            layer.lora_dropout[NAME] = KeyedDropout(self.options.dropout, module, rng, self._clock)
        fuse(layer)

    @hookimpl
    def loraspec_before_step(self, step: int) -> None:
        """Tell dropout where the run is, so that its masks depend on nothing before."""
        self._clock.start(step)

    def state(self) -> AdapterState:
        """The weights by neutral names, copied to the host."""
        tensors = {}
        for module, layer in self._layers.items():
            for ours, theirs in (("lora_down", layer.lora_A), ("lora_up", layer.lora_B)):
                tensors[f"{module}.{ours}.weight"] = theirs[NAME].weight.detach().to("cpu", torch.float32, copy=True)
        return AdapterState("lora", tensors, dict.fromkeys(self._layers, float(self.options.alpha)), self.options.rank)

    def load_state(self, state: AdapterState) -> None:
        """Copy weights in, in place: optimizers keep their parameters.

        Raises:
            RunError: Kind, names or shapes are not those of this adapter.
        """
        slots: dict[str, Tensor] = {}
        for module, layer in self._layers.items():
            slots[f"{module}.lora_down.weight"] = layer.lora_A[NAME].weight
            slots[f"{module}.lora_up.weight"] = layer.lora_B[NAME].weight
        shapes = {name: tuple(slot.shape) for name, slot in slots.items()}
        given = {name: tuple(tensor.shape) for name, tensor in state.tensors.items()}
        if state.kind != "lora" or shapes != given:
            odd = sorted(name for name in {*shapes, *given} if shapes.get(name) != given.get(name))[:3]
            told = "; ".join(f"{name} is {given.get(name, 'missing')}, {shapes.get(name, 'not there')} here" for name in odd)
            raise RunError(f"these weights are of another adapter: kind {state.kind!r}; {told}").coded("E-ADAPTER-SHAPE")
        if any(alpha != self.options.alpha for alpha in state.alphas.values()):
            theirs = ", ".join(f"{alpha:g}" for alpha in sorted(set(state.alphas.values())))
            told = f"these weights were trained with alpha {theirs}, this adapter has {self.options.alpha:g}"
            raise RunError(told).coded("E-ADAPTER-SHAPE")
        with torch.no_grad():
            for name, slot in slots.items():
                slot.copy_(state.tensors[name])

    def set_weight(self, weight: float) -> None:
        """Scale the adapter's effect by ``weight``; at 0 the adapter is not computed at all, so the base is exact."""
        for layer in self._layers.values():
            layer.set_scale(NAME, weight)
            if layer.disable_adapters is (weight != 0):  # enabling asks for gradients again, so only when it changes
                layer.enable_adapters(weight != 0)

    @contextmanager
    def folded(self, weight: float) -> Iterator[None]:
        """Add the adapter at ``weight`` to the base's own weights for a while, so that drawing costs what the base costs.

        Only float32 weights on the CPU are folded: elsewhere a second copy would cost memory, and in half precision the sum would be
        rounded. The others run beside the base as ever. Afterwards the base's tensors are the same objects as before, to the bit, and
        the adapter stands at 1.
        """
        self.set_weight(weight)
        originals = []
        try:
            if weight:
                with torch.no_grad():
                    for layer in self._layers.values():
                        base = layer.get_base_layer().weight
                        if base.dtype == torch.float32 and base.device.type == "cpu":
                            originals.append((base, base.data))
                            base.data = base.data + layer.get_delta_weight(NAME)
                            layer.enable_adapters(False)
            yield
        finally:
            for base, original in originals:
                base.data = original
            self.set_weight(1.0)
