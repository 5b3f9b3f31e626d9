"""The imports of the core."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_own_transport_needs_no_httpx() -> None:
    program = """
import sys
sys.modules["httpx"] = None  # any import of it fails
import sms1680
from sms1680.http.transport import Response
class Carrier:
    def exchange(self, request): return Response(200, b"1,77")
    def close(self): pass
account = sms1680.Account("u", "p", product_id="1")
with sms1680.Client(account, carrier=Carrier()) as sms:
    print(sms.send("13900000000", "x")[0].message_id)
"""
    assert run(program) == "77"


def test_unused_packages_are_not_imported() -> None:
    program = """
import sys, sms1680
print(*sorted({"httpx", "aiohttp", "apprise", "sms1680.cmpp"} & set(sys.modules)))
"""
    assert run(program) == ""


def test_all_public_names_exist() -> None:
    import sms1680

    assert all(hasattr(sms1680, name) for name in sms1680.__all__)
    assert sms1680.cmpp.__name__ == "sms1680.cmpp"
