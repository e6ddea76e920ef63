"""The embedded metrics: what judges epochs with nothing to download."""
