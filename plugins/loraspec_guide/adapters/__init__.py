"""Adapter ``lora``."""
