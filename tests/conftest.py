"""Fixtures for every test; the cache of latents is never the user's own."""

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Give each test a cache of its own."""
    monkeypatch.setenv("LORASPEC_CACHE", str(tmp_path_factory.mktemp("cache")))
