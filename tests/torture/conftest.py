"""The world that all torture tests share: a server that forks runs, and the run that nobody disturbed."""

import pytest
from wreck.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Prepare once."""
    patch = pytest.MonkeyPatch()
    made = World(tmp_path_factory.mktemp("torture")).prepare()
    yield made
    patch.undo()
