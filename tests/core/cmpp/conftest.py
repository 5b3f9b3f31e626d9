"""The golden PDUs (made by an independent implementation) and ways to draw PDUs at random."""

import json
from pathlib import Path
from typing import Any

import pytest

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("cmpp2_vectors.json").read_text())["vectors"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that asks for a `vector` with each of them."""
    if "vector" in metafunc.fixturenames:
        metafunc.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])


@pytest.fixture
def golden() -> dict[str, bytes]:
    """The octets of each golden PDU by its name."""
    return {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}
