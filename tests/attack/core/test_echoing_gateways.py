"""Gateways that echo a request wherever HTTP has room for it: no error, no receipt and no log shows any of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import html
import json
import logging
import socket
import threading
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote_plus

import apprise
import pytest
from support.readings import base64_reading, readings

from sms1680 import Account, AsyncClient, Client, SMS1680Error
from sms1680.apprise import register

PASSWORD = "s3cret-Passw0rd"
NUMBER, TEXT = "13800000001", "机密：门 748291 开了"
SECRETS = (PASSWORD, hashlib.md5(PASSWORD.encode()).hexdigest(), NUMBER, TEXT, "机密", "748291")

ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "as it came": bytes,
    "decoded": lambda echo: unquote_plus(echo.decode()).encode(),
    "percent": lambda echo: quote(unquote_plus(echo.decode())).encode(),
    "HTML": lambda echo: html.escape(unquote_plus(echo.decode())).encode("ascii", "xmlcharrefreplace"),
    "Base64": lambda echo: b64encode(unquote_plus(echo.decode()).encode()),
}
OK = b"HTTP/1.1 200 OK\r\n"
PLACES = {
    "body": OK + b"Connection: close\r\n\r\n%s",
    "body after a code": OK + b"Connection: close\r\n\r\n2,%s",
    "body of an error": b"HTTP/1.1 500 Oh\r\nConnection: close\r\n\r\n<p>%s</p>",
    "reason": b"HTTP/1.1 403 %s\r\nContent-Length: 0\r\n\r\n",
    "status line": b"%s\r\n\r\n",
    "header": OK + b"X-Echo: %s\r\nContent-Length: 3\r\n\r\n-99",
    "header without a colon": OK + b"%s\r\nContent-Length: 3\r\n\r\n-99",
    "folded header": OK + b"X: 1\r\n %s\r\nContent-Length: 3\r\n\r\n-99",
    "charset": OK + b'Content-Type: text/html; charset="%s"\r\nContent-Length: 3\r\n\r\n-99',
    "length": OK + b"Content-Length: %s\r\n\r\n-99",
    "chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n%s\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/?%s\r\nContent-Length: 0\r\n\r\n",
    "cookie": OK + b"Set-Cookie: a=%s\r\nContent-Length: 3\r\n\r\n-99",
}


class Echoing:
    """A gateway that answers each request with what the request contained."""

    def __init__(self, place: bytes) -> None:
        self.encode: Callable[[bytes], bytes] = bytes
        self._place = place
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection, contextlib.suppress(OSError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
        while len(body) < length:
            body += connection.recv(65536)
        echo = head.split(b" ")[1] + b"&" + body
        connection.sendall(self._place.replace(b"%s", self.encode(echo)))

    def stop(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[Echoing]:
    made = Echoing(request.param)
    yield made
    made.stop()


def shown(error: SMS1680Error) -> list[str]:
    """Return what a caller, the command line and Home Assistant can show of an error."""
    receipts = [dataclasses.asdict(dataclasses.replace(one, number="")) for one in error.receipts]
    return [str(error), repr(error), error.sentence("zh"), json.dumps(receipts, default=str), repr(error.receipts)]


def use_client(gateway: str) -> list[str]:
    found: list[str] = []
    account = Account("demo", PASSWORD, product_id="61341")
    with Client(account, gateway=gateway, patience=0, timeout=2.0) as sms:
        for call in (lambda: sms.send(NUMBER, TEXT), sms.balance):
            try:
                found.append(repr(call()))
            except SMS1680Error as error:
                found += shown(error)
    return found


def use_async_client(gateway: str) -> list[str]:
    async def run() -> list[str]:
        found: list[str] = []
        account = Account("demo", PASSWORD, product_id="61341")
        async with AsyncClient(account, gateway=gateway, patience=0, timeout=2.0) as sms:
            for call in (lambda: sms.send(NUMBER, TEXT), sms.balance):
                try:
                    found.append(repr(await call()))
                except SMS1680Error as error:
                    found += shown(error)
        return found

    return asyncio.run(run())


def use_apprise(gateway: str) -> list[str]:
    url = f"sms1680://demo:{PASSWORD}@61341/{NUMBER}?gateway={quote(gateway, safe='')}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from the imports of Apprise's other services
        assert register()
    plugin = apprise.Apprise.instantiate(url, suppress_exceptions=False)
    assert not plugin.notify(TEXT)
    return [plugin.url(privacy=True)]


@pytest.mark.parametrize("use", [use_client, use_async_client, use_apprise])
@pytest.mark.parametrize("gateway", PLACES.values(), ids=PLACES, indirect=True)
def test_echo_is_shown_nowhere(
    use: Callable[[str], list[str]], gateway: Echoing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "httpcore")  # below it, httpcore quotes each status line and header
    found = []
    for gateway.encode in ENCODINGS.values():
        found += use(gateway.url)
    assert len(found) >= len(ENCODINGS)
    for line in found + caplog.text.splitlines():
        for text in (*readings(line), base64_reading(line)):
            assert not [secret for secret in SECRETS if secret in text], line
