"""The setting `state`: a folder or the address of a server, whose password nobody sees."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sms1680 import Account, Client, InvalidSettingError
from sms1680.limits.base_client import ClientSettings
from sms1680.limits.server_address import ServerAddress, is_address, mask_address, read_address
from sms1680.limits.shared_state import find_state

URL = "redis://house:s3cret-Passw0rd@valkey.local:6380/2"


def test_address_has_user_password_port_and_database() -> None:
    assert read_address(URL) == ServerAddress("valkey.local", 6380, 2, "house", "s3cret-Passw0rd")
    assert read_address("redis://localhost") == ServerAddress("localhost")
    assert read_address("REDISS://:a%40b%2F@[::1]/") == ServerAddress("::1", password="a@b/", tls=True)
    certificate = read_address("rediss://h/1?ssl_ca_certs=/etc/ca.pem")
    assert certificate.tls_arguments == (("ssl_ca_certs", "/etc/ca.pem"),)


@pytest.mark.parametrize(
    "state",
    [
        "redis://",
        "redis:///0",
        "redis://host:port/0",
        "redis://host:99999",
        "redis://host/zero",
        "redis://host/-1",
        "redis://user:s3cret-Passw0rd/x@host",
        "redis://host/0?socket_timeout=60",
        "redis://host/0?ssl_ca_certs=/etc/ca.pem",
        "redis://host/0#s3cret-Passw0rd",
        "redis://[::1/0",
    ],
)
def test_invalid_address_is_refused_without_its_password(state: str) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        read_address(state)
    for language in ("en", "zh"):
        assert "s3cret" not in refused.value.sentence(language)  # type: ignore[arg-type]


def test_password_is_masked_everywhere() -> None:
    address = read_address(URL)
    settings = ClientSettings(state=URL)
    for shown in (str(address), repr(address), repr(settings), mask_address(URL)):
        assert "s3cret" not in shown
    assert mask_address(URL) == "redis://house:****@valkey.local:6380/2"
    assert mask_address("redis://host/0") == "redis://host/0"
    assert mask_address("redis://house@host/0") == "redis://house@host/0"
    assert mask_address("/var/lib/sms1680") == "/var/lib/sms1680"
    assert str(read_address("rediss://[::1]")) == "rediss://[::1]:6379/0"


def test_setting_is_a_folder_or_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server = read_address(URL)
    assert find_state(None) == (None, None)
    assert find_state("/a") == ("/a", None)
    assert find_state(URL, "/b") == ("/b", server)
    monkeypatch.setenv("SMS1680_STATE", URL)
    assert find_state("/a") == ("/a", server)
    assert find_state("redis://other") == (None, ServerAddress("other"))
    monkeypatch.setenv("SMS1680_STATE", "/c")
    assert find_state(None) == ("/c", None)
    assert not is_address(None)


def test_client_refuses_an_invalid_address() -> None:
    with pytest.raises(InvalidSettingError):
        Client(Account("u", "p", product_id="1"), state="redis://host/x")


def test_without_the_package_the_files_are_used_with_a_clear_warning() -> None:
    program = """
import logging, sys, time
logging.basicConfig(level="WARNING", format="%(message)s", stream=sys.stdout)
sys.modules["redis"] = None  # any import of it fails
from sms1680.limits.rate import RateLimiter
from sms1680.limits.server_address import read_address
limiter = RateLimiter("account", 10.0, time.monotonic, None, read_address("redis://:s3cret-Passw0rd@localhost:1/0"))
for _ in range(2):
    turn = limiter.acquire(1, "critical", None)
    try:
        while True:
            time.sleep(next(turn))
    except StopIteration as taken:
        limiter.release(taken.value)
        print("sent")
"""
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    warning, *sent = result.stdout.splitlines()
    assert "the Python package redis is not installed: pip install redis" in warning
    assert "s3cret" not in warning
    assert sent == ["sent", "sent"]


def test_package_is_imported_only_with_an_address() -> None:
    program = "import sys, sms1680; sms1680.Client; from sms1680.limits import budget; print('redis' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert result.stdout == "False\n"
