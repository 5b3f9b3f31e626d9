"""Import the integration's code, so that these tests can talk to it when run alone, and allow sockets."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture(autouse=True)
def _sockets(request: pytest.FixtureRequest) -> None:
    """Allow sockets where Home Assistant's test helper forbids them."""
    if request.config.pluginmanager.has_plugin("homeassistant"):
        request.getfixturevalue("socket_enabled")
