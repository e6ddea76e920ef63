"""What a plugin contributes: a component, its options class, its option fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from attrs import field, frozen

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _names(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


@frozen(eq=False)
class Component:
    """A named implementation of a stage.

    Attributes:
        name: What a spec writes after ``use =``. Lower case letters, digits, hyphens.
        options: A frozen attrs class; its fields are exactly the keys that the spec may set. ``use`` is reserved.
            Field types: ``bool int float str Literal[...]``, ``T | None``, ``tuple[T, ...]``, ``dict[str, T]`` of these,
            and nested frozen attrs classes. Paths are written as ``str`` and resolved with ``Context.path``.
        build: Turns checked options into the stage's object (see ``loraspec.contracts``). May import torch, except for
            data sources, image transforms, caption transforms, trackers and callbacks: those also serve ``plan``.
        libraries: Distributions that affect the numbers; their versions go in the lock.
        facts: What ``plan`` must know without torch; the signature for each stage is in ``loraspec.contracts``
            (``ModelFacts``, ``AdapterFacts``, ``ExportFacts``). None for stages that need none.
        axis: For evaluators that are metrics, the ``axis`` of theirs: ``plan`` then counts the cells that are judged.
    """

    name: str = field()
    options: type[Any] = field()
    build: Callable[[Any], Any]
    libraries: tuple[str, ...] = field(default=(), converter=_names)
    facts: Callable[..., Any] | None = None
    axis: str = ""

    @name.validator
    def _check_name(self, _: object, value: str) -> None:
        if not isinstance(value, str) or not NAME.fullmatch(value):
            raise ValueError(f"component name {value!r}: write lower case letters, digits and hyphens")

    @options.validator
    def _check_options(self, _: object, value: type[Any]) -> None:
        if not attrs.has(value):
            raise ValueError(f"component {self.name!r}: options must be an attrs class, got {value!r}")
        if "use" in attrs.fields_dict(value):
            raise ValueError(f"component {self.name!r}: 'use' is reserved and cannot be an option")

    @property
    def summary(self) -> str:
        """The first docstring line of ``build``."""
        lines = (self.build.__doc__ or "").strip().splitlines()
        return lines[0].strip() if lines else ""


def option(*, default: Any = attrs.NOTHING, factory: Callable[[], Any] | None = None, help: str, unit: str = "",
           validator: Any = None, place: bool = False) -> Any:
    """Declare an option of a component: ``attrs.field`` with help and unit kept in its metadata.

    Args:
        default: Value when the spec is silent; without it (and without ``factory``) the option is required.
        factory: Makes the default, for values that need a call.
        help: One sentence for docs, ``loraspec plugins show`` and the JSON schema.
        unit: "px", "steps", "epochs", "fraction" ...
        place: The value is a place for files (or a hub id): it is checked for what would not be one everywhere.
        validator: An attrs validator (``attrs.validators.gt(0)``); its message reaches the user with the option's path.
    """
    made: dict[str, Any] = {"factory": factory} if factory is not None else {"default": default}
    return field(validator=validator, metadata={"help": help, "unit": unit, "place": place}, **made)
