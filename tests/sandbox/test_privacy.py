"""The sandbox's logs contain no password, full number or text at any level."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import aiohttp
import pytest

from sms1680.sandbox import Account, Platform

if TYPE_CHECKING:
    from tests.sandbox.conftest import MakeCaller, Raw, Receiver

NUMBER = "13812345678"
TEXT = "秘密 secret words"
SECRETS = ("demo1680", NUMBER, TEXT, "secret", quote("秘密"), "push-secret")


def assert_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    formatter = logging.Formatter("%(message)s %(pathname)s %(args)s")
    written = "\n".join(formatter.format(record) for record in caplog.records)
    assert not [secret for secret in SECRETS if secret in written], written


async def test_normal_traffic_logs_no_secrets(
    call: MakeCaller, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    address = f"{receiver.url}/push-secret"
    desk = await call(
        Account(report_address=address, uplink_address="http://127.0.0.1:9/push-secret"), report_delay=0.0
    )
    await desk.send(TEXT, NUMBER)
    await desk.get("sendXSms", mobile=NUMBER, content=TEXT)
    await desk.get("balance")
    for preset in ("drop_after", "half", "no_length"):
        desk.box.platform.faults.next(preset)
        with contextlib.suppress(aiohttp.ClientError):
            await desk.send(TEXT, NUMBER)
    await desk.control("reply", number=NUMBER, content=TEXT)
    await desk.box.wait_for(lambda platform: platform.pushes.delivered >= 4 and platform.pushes.attempts >= 5)
    assert_no_secret(caplog)


async def test_malformed_requests_log_no_secrets(call: MakeCaller, caplog: pytest.LogCaptureFixture, raw: Raw) -> None:
    caplog.set_level(logging.DEBUG)
    desk = await call()
    query = urlencode(desk.base | {"mobile": NUMBER, "content": TEXT})
    for request in (
        f"GET /sendXSms.do?{query} {TEXT}\r\n\r\n".encode(),
        f"GET /sendXSms.do?{query} HTTP/1.1\r\nHost: x\r\n{TEXT}\r\n\r\n".encode(),
        f"GET /sendXSms.do?{query}&x={'y' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        f"POST /sendXSms.do HTTP/1.1\r\nHost: x\r\nContent-Length: 1{TEXT}\r\n\r\n{query}".encode(),
        f"{query}\r\n\r\n".encode(),
    ):
        await raw(desk.box.url, request)
    assert any("could not process" in record.getMessage() for record in caplog.records)
    assert_no_secret(caplog)


async def test_unexpected_error_is_logged_without_request_data(
    call: MakeCaller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(TEXT)

    desk = await call()
    monkeypatch.setattr(Platform, "submit", fail)
    async with desk.session.post(
        f"{desk.box.url}/sendXSms.do", data=desk.base | {"mobile": NUMBER, "content": TEXT}
    ) as answer:
        assert answer.status == 500
        assert await answer.text() == ""
    assert any("RuntimeError in" in record.getMessage() for record in caplog.records)
    assert_no_secret(caplog)
