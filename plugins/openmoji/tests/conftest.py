"""Makes the plugin findable from its source folder when it is not installed."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

SOURCE = str(Path(__file__).resolve().parents[1])
try:
    INSTALLED = bool(metadata.version("loraspec-openmoji"))
except metadata.PackageNotFoundError:
    INSTALLED = False
    sys.path.insert(0, SOURCE)


@pytest.fixture(autouse=True)
def openmoji_plugin(install_plugin):
    """Offer the entry point for one test, unless the distribution does."""
    if not INSTALLED:
        install_plugin("openmoji", target="loraspec_openmoji.hooks", version="0.1.0")
