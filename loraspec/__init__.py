"""Declarative style-LoRA training: what a plugin author imports, and nothing else."""

from loraspec.components import Component, option
from loraspec.errors import Problem
from loraspec.hookspecs import API_VERSION, hookimpl, hookspec

__version__ = "0.1.0"
__all__ = ["API_VERSION", "Component", "Problem", "hookimpl", "hookspec", "option"]
