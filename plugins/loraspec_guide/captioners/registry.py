"""The captioners of the guide, with their options; imports nothing heavy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import frozen, validators

from loraspec import Component, option

if TYPE_CHECKING:
    from loraspec_guide.captioners.chat import OpenAIChat
    from loraspec_guide.captioners.local import Command, Sidecar, Template

FIELDS = ("name", "folder", "key", "caption", "style_tag", "number")


def _fields(instance: Any, attribute: Any, value: str) -> None:
    unknown = [name for name in re.findall(r"\{([^{}]*)\}", value) if name not in FIELDS]
    if unknown:
        raise ValueError(f"{{{unknown[0]}}} is no field; fields are {', '.join(f'{{{name}}}' for name in FIELDS)}")


def _address(instance: Any, attribute: Any, value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("write an address such as http://127.0.0.1:11434/v1")


@frozen
class SidecarOptions:
    """Options of ``sidecar``."""

    extension: str = option(
        default=".caption", help="Text beside an image, in a file with this instead of the image's extension.",
        validator=validators.matches_re(r"\.[A-Za-z0-9._-]+"),
    )


@frozen
class TemplateOptions:
    """Options of ``template``."""

    text: str = option(
        default="{name}, {style_tag}",
        help="The caption; {name}: of the image's file, _ and - as spaces; {folder}, {key}, {caption} as it is now, {style_tag}, {number}.",
        validator=[validators.matches_re(r"\s*\S.*"), _fields],
    )


@frozen
class CommandOptions:
    """Options of ``command``."""

    program: tuple[str, ...] = option(
        help="A program and its words; {image} stands for the image's file, and comes last where it is not written. No shell is used.",
        validator=[validators.min_len(1), validators.deep_iterable(validators.min_len(1))],
    )
    timeout: float = option(default=120.0, help="An image may take so long.", unit="s", validator=validators.gt(0))


@frozen
class OpenAIChatOptions:
    """Options of ``openai-chat``."""

    model: str = option(help="The model's name on that server, such as llava:13b.", validator=validators.min_len(1))
    base_url: str = option(
        default="http://127.0.0.1:11434/v1", validator=_address,
        help="Where an OpenAI-compatible server listens: Ollama, vLLM, llama.cpp, LM Studio or another.",
    )
    key_variable: str = option(default="", help="Environment variable that holds the server's key; empty for none.",
                               validator=validators.matches_re(r"[A-Za-z0-9_]*"))
    max_side: int = option(default=1024, help="Images are sent no larger than this.", unit="px",
                           validator=[validators.ge(64), validators.le(4096)])
    max_tokens: int = option(default=256, help="Longest answer.", unit="tokens", validator=[validators.ge(16), validators.le(8192)])
    temperature: float = option(default=0.0, help="0 for the most likely answer.", validator=[validators.ge(0), validators.le(2)])
    seed: int = option(default=0, help="Seed of the answer, for servers that know one.", validator=[validators.ge(0), validators.lt(2**31)])
    concurrency: int = option(default=2, help="Images asked about at the same time.", validator=[validators.ge(1), validators.le(64)])
    retries: int = option(default=3, help="Further tries after a busy or failing server.", validator=[validators.ge(0), validators.le(20)])
    timeout: float = option(default=120.0, help="One answer may take so long.", unit="s", validator=validators.gt(0))
    price_in: float = option(default=0.0, help="What a million tokens sent cost; only told.", unit="USD", validator=validators.ge(0))
    price_out: float = option(default=0.0, help="What a million tokens of answers cost; only told.", unit="USD", validator=validators.ge(0))


def _sidecar(options: SidecarOptions) -> Sidecar:
    """Take over captions that another program wrote beside the images."""
    from loraspec_guide.captioners.local import Sidecar

    return Sidecar(options)


def _template(options: TemplateOptions) -> Template:
    """Make captions of file and folder names."""
    from loraspec_guide.captioners.local import Template

    return Template(options)


def _command(options: CommandOptions) -> Command:
    """Run a program for each image; what it prints is the caption."""
    from loraspec_guide.captioners.local import Command

    return Command(options)


def _openai_chat(options: OpenAIChatOptions) -> OpenAIChat:
    """Ask a vision model behind an OpenAI-compatible server, on this machine or elsewhere."""
    from loraspec_guide.captioners.chat import OpenAIChat

    return OpenAIChat(options)


CAPTIONERS = [
    Component("sidecar", SidecarOptions, _sidecar),
    Component("template", TemplateOptions, _template),
    Component("command", CommandOptions, _command),
    Component("openai-chat", OpenAIChatOptions, _openai_chat, libraries=("huggingface_hub",)),
]
