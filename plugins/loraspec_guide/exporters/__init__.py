"""Exporters ``kohya`` and ``diffusers``."""
