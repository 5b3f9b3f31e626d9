"""The core imports only the standard library, and httpx in its transport module."""

from pathlib import Path

import pytest
from support import ROOT
from support.repo_rules import CORE, core_imports


def test_core_imports_only_the_standard_library_and_httpx() -> None:
    assert list((ROOT / CORE).rglob("*.py"))
    assert list(core_imports(ROOT / CORE, ROOT)) == []


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("a.py", "import json\nfrom . import b\nfrom .cmpp import c", []),
        ("http/httpx_transport.py", "def f():\n    import httpx", []),
        ("a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx", []),
        ("a.py", "if TYPE_CHECKING:\n    import requests", ["client/a.py:2: the core may not import requests"]),
        ("a.py", "import httpx", ["client/a.py:1: the core may not import httpx"]),
        (
            "cmpp/httpx_transport.py",
            "import httpx",
            ["client/cmpp/httpx_transport.py:1: the core may not import httpx"],
        ),
        (
            "a.py",
            "def f():\n    from requests.adapters import X",
            ["client/a.py:2: the core may not import requests.adapters"],
        ),
        ("a.py", "import sms1680", ["client/a.py:1: the core may not import sms1680"]),
        ("a.py", "from ..const import X", ["client/a.py:1: ..const leads out of the core"]),
        ("cmpp/a.py", "from ..const import X", []),
        ("cmpp/a.py", "from ...const import X", ["client/cmpp/a.py:1: ...const leads out of the core"]),
    ],
)
def test_other_imports_are_found(tmp_path: Path, file: str, text: str, found: list[str]) -> None:
    path = tmp_path / "client" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert list(core_imports(tmp_path / "client", tmp_path)) == found
