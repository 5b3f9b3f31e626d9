"""What every test has: a state folder of its own, so that no test paces another or touches the user's."""

import importlib.util
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("homeassistant"):
    # Home Assistant loads the integration as custom_components.sms1680. Its test helper has a package of that name too,
    # and puts it first once a test begins: ours must be there before.
    sys.path.insert(0, str(Path(__file__).parent.parent))
    import custom_components  # noqa: F401


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives the test, and the processes it starts, an empty folder for the state shared on a machine."""
    folder = tmp_path / "sms1680-state"
    monkeypatch.setenv("SMS1680_STATE_DIR", str(folder))
    return folder
