"""The fixtures that plugin authors get serve our own tests too."""

from __future__ import annotations

pytest_plugins = ["loraspec.testing"]
