"""M: base models and weight files."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from corpus.case import Case, Outcome
from corpus.specs import write_images, write_spec
from loraspec.weights import header_bytes

BASE = "base.safetensors"
BOTH = (("plan", "spec.toml"), ("run", "spec.toml"))
SD15 = {
    "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
    "cond_stage_model.transformer.text_model.x": (1,),
    "first_stage_model.encoder.conv_in.bias": (1,),
}
ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def model(folder: Path, text: str = BASE, family: str = "sd15") -> None:
    """Write the good spec with another base, and its images."""
    write_spec(folder, 'use = "tiny:tiny"', f'use = "{family}"\ncheckpoint = "{text}"')
    write_images(folder)


def content(data: bytes | Callable[[], bytes], name: str = BASE) -> Callable[[Path], None]:
    """A base of these bytes."""

    def make(folder: Path) -> None:
        model(folder, name)
        (folder / name).write_bytes(data if isinstance(data, bytes) else data())

    return make


def header(value: Any, data: bytes = bytes(8), length: int | None = None) -> Callable[[Path], None]:
    """A base with this header, right or wrong."""

    def made() -> bytes:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + data

    return content(made)


def shapes(tensors: Mapping[str, tuple[int, ...]], family: str) -> Callable[[Path], None]:
    """A whole file with these tensors (sparse), as the base of a family."""

    def make(folder: Path) -> None:
        model(folder, family=family)
        path = folder / BASE
        path.write_bytes(header_bytes({name: ("F16", shape) for name, shape in tensors.items()}, {}))
        size = path.stat().st_size
        for shape in tensors.values():
            cells = 1
            for side in shape:
                cells *= side
            size += 2 * cells
        with path.open("r+b") as file:
            file.truncate(size)

    return make


def long_header(folder: Path) -> None:
    header(ONE, length=100_000_001)(folder)
    with (folder / BASE).open("r+b") as file:
        file.truncate(100_000_200)


def many() -> bytes:
    text = b"{" + b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % number for number in range(1_000_000)) + b"}"
    return struct.pack("<Q", len(text)) + text


def tiny(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """A small diffusers folder, changed."""

    def make(folder: Path) -> None:
        from loraspec.testing.pipelines import build_tiny

        model(folder, "tiny")
        build_tiny(folder / "tiny", "sd15-small")
        change(folder / "tiny")

    return make


def tensors(change: Callable[[dict[str, Any]], Any], part: str = "unet") -> Callable[[Path], None]:
    """A small diffusers folder with one part's tensors changed."""

    def changed(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        [path] = (folder / part).glob("*.safetensors")
        values = {name: value.clone() for name, value in load_file(path).items()}
        change(values)
        save_file(values, path)

    return tiny(changed)


def vae_as_unet(folder: Path) -> None:
    name = "diffusion_pytorch_model.safetensors"
    (folder / "unet" / name).write_bytes((folder / "vae" / name).read_bytes())


def config(name: str, **values: Any) -> Callable[[Path], None]:
    """A folder whose configs ask for code; the module that they name ends the process when it is imported."""

    def make(folder: Path) -> None:
        model(folder, "strange")
        for part, known in (
            ("unet", {"_class_name": "UNet2DConditionModel"}),
            ("vae", {"_class_name": "AutoencoderKL"}),
            ("text_encoder", {"architectures": ["CLIPTextModel"]}),
            ("tokenizer", {}),
        ):
            (folder / "strange" / part).mkdir(parents=True)
            (folder / "strange" / part / "config.json").write_text(json.dumps(known))
        (folder / "strange" / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
        (folder / "evil.py").write_text("open('canary', 'w')")
        path = folder / "strange" / name
        path.write_text(json.dumps(values) if path.suffix == ".json" else "open('canary', 'w')")

    return make


def big_vocabulary(folder: Path) -> None:
    config("tokenizer/tokenizer.json")(folder)
    with (folder / "strange" / "tokenizer" / "tokenizer.json").open("wb") as file:
        file.truncate(500_000_000)


def no_canary(outcome: Outcome) -> None:
    """Nothing was imported."""
    assert "canary" not in outcome.files


def load(folder: Path) -> None:
    """Load the base as a run does."""
    import torch
    from loraspec_guide.models.registry import MODEL_FAMILIES

    from loraspec.randomness import rng_of
    from loraspec.values import Context, Precision

    component = next(component for component in MODEL_FAMILIES if component.name == "sd15")
    family = component.build(component.options(checkpoint="tiny"))
    family.load(Context(folder, rng_of(0), lambda hook: []), precision=Precision(torch.device("cpu"), torch.float32, None))


def other_rank(folder: Path) -> None:
    """A weight file of rank 3, read by a run of rank 2."""
    import torch
    from loraspec_guide.exporters.registry import EXPORTERS

    from loraspec.plan import resolve
    from loraspec.values import AdapterState

    write_spec(folder)
    write_images(folder)
    plan = resolve(folder / "spec.toml", profiles=[], sets=[])
    made = EXPORTERS[0].build(EXPORTERS[0].options())
    other = resolve(folder / "spec.toml", profiles=[], sets=["adapter.rank=3"])
    state = AdapterState("lora", {name: torch.zeros(shape) for name, shape in other.adapter.tensors.items()}, other.adapter.alphas, 3)
    [file] = made.files(state, model=plan.model, header={}, stem="x")
    made.read(file.tensors, model=plan.model, adapter=plan.adapter)


def bad(number: str, title: str, code: str, make: Callable[[Path], Any], *says: str, exit: int = 2, variant: str = "", **more: Any) -> Case:
    """A base that stops ``plan`` and ``run`` alike."""
    return Case(number, title, make, (code,), exit, says=says, variant=variant, **{"commands": BOTH, **more})


def late(number: str, title: str, code: str, make: Callable[[Path], Any], *says: str, variant: str = "") -> Case:
    """A base that is seen to be wrong when its values are read, before the first step."""
    return Case(number, title, make, (code,), 2, says=says, variant=variant, act=load, torch=True)


PICKLE = b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94."
ZIP = b"PK\x03\x04\x14\0\0\0\x08\x08archive/data.pkl"
CASES = (
    bad("M01", "an empty weight file", "E-ST-HEADER", content(b""), "0 bytes", variant="empty"),
    bad("M01", "seven bytes", "E-ST-HEADER", content(b"7 bytes"), "7 bytes", variant="seven"),
    bad("M02", "a header longer than the file", "E-ST-HEADER", header(ONE, length=10**6), variant="file"),
    bad("M02", "a header of 2^63 bytes", "E-ST-HEADER", header(ONE, length=2**63), variant="wide"),
    bad("M02", "a header of 100 MB", "E-ST-HEADER", long_header, "16777216", variant="cap"),
    bad("M03", "a file cut short", "E-ST-SIZE", header(ONE, bytes(1)), "7 bytes short: interrupted download?", variant="short"),
    bad("M03", "a byte too many", "E-ST-SIZE", header(ONE, bytes(9)), "1 bytes behind", variant="long"),
    bad("M04", "tensors that overlap", "E-ST-LAYOUT", header({**ONE, "b": ONE["a"]}), variant="overlap"),
    bad("M04", "a hole between tensors", "E-ST-LAYOUT", header({"a": {**ONE["a"], "data_offsets": [8, 16]}}, bytes(16)), variant="hole"),
    bad("M04", "a negative offset", "E-ST-LAYOUT", header({"a": {**ONE["a"], "data_offsets": [-8, 0]}}), variant="negative"),
    bad("M04", "a shape that overflows", "E-ST-LAYOUT", header({"a": {**ONE["a"], "shape": [2**62, 2**62]}}), variant="overflow"),
    bad("M05", "a tensor twice", "E-ST-DUP", header(f'{{"a":{json.dumps(ONE["a"])},"a":{json.dumps(ONE["a"])}}}'.encode()), "stands twice"),
    bad("M06", "a million empty tensors", "E-ST-COUNT", content(many), "20000"),
    bad("M07", "5 MB of metadata", "E-ST-META", header({"__metadata__": {"a": "x" * 5_000_000}, **ONE}), variant="size"),
    bad("M07", "JSON nested without end", "E-ST-HEADER", header(b'{"a":' + b"[" * 200_000), variant="depth"),
    bad("M08", "a tensor called ../../x", "E-ST-NAME", header({"../../x": ONE["a"]}), variant="path"),
    bad("M08", "NUL in a name", "E-ST-NAME", header({"a\0b": ONE["a"]}), variant="nul"),
    bad("M08", "a name of 10 kB", "E-ST-NAME", header({"n" * 10_000: ONE["a"]}), variant="long"),
    late(
        "M09", "NaN among the weights", "E-ST-NONFINITE", tensors(lambda values: values["conv_in.bias"].fill_(float("nan"))), "conv_in.bias"
    ),
    late(
        "M10",
        "weights in float64",
        "E-ST-DTYPE",
        tensors(lambda values: values.update(x=values["conv_in.bias"].double(), **{"conv_in.bias": values["conv_in.bias"].double()})),
        "conv_in.bias is float64",
        variant="f64",
    ),
    bad("M10", "an unknown dtype", "E-ST-DTYPE", header({"a": {**ONE["a"], "dtype": "P64"}}), "P64", variant="unknown"),
    bad("M11", "a pickle under another name", "E-ST-FORMAT", content(PICKLE), "pickle is never loaded", variant="pickle"),
    bad("M11", "torch's zip under another name", "E-ST-FORMAT", content(ZIP), "pickle is never loaded", variant="zip"),
    *(
        bad("M11", f"a {end} file", "E-ST-FORMAT", content(PICKLE, f"base{end}"), "never loaded", variant=end[1:])
        for end in (".ckpt", ".bin", ".pt")
    ),
    bad(
        "M12",
        "an SD 1.5 file for SDXL",
        "E-MODEL-KIND",
        shapes(SD15, "sdxl"),
        "is a Stable Diffusion 1.x checkpoint",
        "use = 'sd15'",
        variant="sd15",
    ),
    bad(
        "M12",
        "an inpainting model",
        "E-MODEL-KIND",
        shapes({**SD15, "model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3)}, "sd15"),
        "inpainting",
        variant="inpaint",
    ),
    bad(
        "M12",
        "an SDXL refiner",
        "E-MODEL-KIND",
        shapes({"model.diffusion_model.input_blocks.0.0.weight": (384, 4, 3, 3), "conditioner.embedders.0.model.x": (1,)}, "sdxl"),
        "an SDXL refiner",
        variant="refiner",
    ),
    bad(
        "M12",
        "a LoRA as base",
        "E-MODEL-KIND",
        shapes({"lora_unet_x.lora_down.weight": (4, 320)}, "sdxl"),
        "is a LoRA file",
        variant="lora",
    ),
    bad(
        "M12",
        "a VAE as base",
        "E-MODEL-KIND",
        shapes({"encoder.down.0.block.0.conv1.weight": (1, 1, 3, 3)}, "sdxl"),
        "is a VAE",
        variant="vae",
    ),
    late("M12", "a VAE in the place of the U-Net", "E-MODEL-KIND", tiny(vae_as_unet), "unet is a VAE", variant="unet"),
    late(
        "M13",
        "keys missing and keys too many",
        "E-MODEL-KEYS",
        tensors(lambda values: values.update(extra=values.pop("conv_out.bias"))),
        "no tensor for conv_out.bias",
        "extra, which belongs to nothing",
    ),
    bad(
        "M15",
        "a pipeline of a stranger",
        "E-MODEL-CODE",
        config("model_index.json", _class_name=["evil", "Pipeline"]),
        variant="index",
        check=no_canary,
    ),
    bad(
        "M15",
        "a class by a path",
        "E-MODEL-CODE",
        config("unet/config.json", _class_name="../evil"),
        "../evil",
        variant="path",
        check=no_canary,
    ),
    bad(
        "M15",
        "auto_map",
        "E-MODEL-CODE",
        config("text_encoder/config.json", auto_map={"AutoModel": "evil.M"}),
        variant="auto",
        check=no_canary,
    ),
    bad("M15", "Python beside the weights", "E-MODEL-CODE", config("unet/evil.py"), "is code", variant="py", check=no_canary),
    bad("M16", "a vocabulary of 500 MB", "E-TOK-SIZE", big_vocabulary, "500000000", variant="size"),
    bad(
        "M16",
        "a tokenizer that asks for code",
        "E-MODEL-CODE",
        config("tokenizer/tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]}),
        variant="code",
        check=no_canary,
    ),
    *(
        bad(
            "M17",
            "a path that leads nowhere",
            "E-MODEL-PATH",
            lambda folder, text=text: model(folder, text),
            "nothing is at",
            exit=3,
            variant=variant,
            commands=(("plan", "spec.toml"),),
        )
        for text, variant in (("models/sdxl", "folder"), ("images/sdxl", "there"), ("someone/model.safetensors", "file"), ("./a/b", "dot"))
    ),
    Case("M19", "weights of another rank", codes=("E-ADAPTER-SHAPE",), exit=1, act=other_rank, says=("another rank",), torch=True),
)
