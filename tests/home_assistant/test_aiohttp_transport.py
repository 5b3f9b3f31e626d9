"""The HTTP transport over Home Assistant's aiohttp connections, and when it is not used."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest
from carrier_table import CarrierTable, Make, gateway
from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from support.gateway import OK

from custom_components.sms1680.account.aiohttp_transport import AiohttpTransport, async_get_transport, make_session
from custom_components.sms1680.client.http.announcement import Announcement
from custom_components.sms1680.client.http.httpx_transport import AsyncHttpxTransport
from custom_components.sms1680.client.http.transport import Request, Response, Timeouts, TransportError
from tests.home_assistant.helpers import MakeEntry, SetUp, send_to_alice

__all__ = ["gateway"]


class TestAiohttp(CarrierTable):
    request_class, response_class, error_class, timeouts_class = Request, Response, TransportError, Timeouts

    def exchanges(
        self, timeouts: Timeouts, *requests: Request, between: Callable[[], object] | None = None
    ) -> list[Response | TransportError]:
        async def run() -> list[Response | TransportError]:
            results = []
            async with aiohttp.ClientSession(cookies={"of": "others"}, headers={"User-Agent": "others"}) as shared:
                session = make_session(shared.connector)
                carrier = AiohttpTransport(session, timeouts)
                for request in requests:
                    results.append(await carrier.exchange(request))
                    if between is not None:
                        await asyncio.to_thread(between)
                await carrier.aclose()
                await session.close()
            return results

        done: list[list[Response | TransportError]] = []
        # Home Assistant's tests have an event loop in this thread.
        thread = threading.Thread(target=lambda: done.append(asyncio.run(run())))
        thread.start()
        thread.join(60)
        return done[0]


def post(url: str) -> Request:
    return Request("POST", f"{url}/sendXSms.do", b"mobile=1")


async def test_announcement_comes_with_the_connection_and_before_the_first_octet(
    hass: HomeAssistant, gateway: Make
) -> None:
    peer = gateway(OK, OK, stays=True)
    seen: list[tuple[int, int]] = []

    class Hook:
        error: Exception | None = None

        def before(self, _: object, /) -> None:
            seen.append((peer.connections, len(peer.requests)))
            if self.error is not None:
                raise self.error

        def undo(self, _: object, /) -> None:
            raise AssertionError

    carrier, hook = async_get_transport(hass), Hook()
    assert isinstance(await carrier.exchange(post(peer.url), Announcement(hook, (0,), lambda: False)), Response)
    gone = Announcement(hook, (0,), lambda: True)
    assert await carrier.exchange(post(peer.url), gone) == TransportError(begun=False, detail="NotAnnouncedError")
    hook.error = OSError("disk full")
    failing = Announcement(hook, (0,), lambda: False)
    assert await carrier.exchange(post(peer.url), failing) == TransportError(begun=False, detail="NotAnnouncedError")
    assert failing.failure == "OSError"
    assert [requests for _, requests in seen] == [0, 1]
    assert len(peer.requests) == 1


async def test_cancelled_exchange_may_have_been_sent(hass: HomeAssistant, gateway: Make) -> None:
    peer = gateway(b"", stays=True)
    call = asyncio.create_task(async_get_transport(hass).exchange(post(peer.url)))
    await asyncio.to_thread(peer.has_read.wait, 5)
    call.cancel()
    assert await call == TransportError(begun=True, detail="cancelled")


async def test_connections_are_those_of_home_assistant(hass: HomeAssistant) -> None:
    carrier = async_get_transport(hass)
    connector = async_get_clientsession(hass).connector
    assert carrier._session.connector is connector
    assert async_get_transport(hass)._session is carrier._session
    await carrier.aclose()
    assert not connector.closed


@pytest.mark.parametrize(
    ("variable", "options", "expected"),
    [
        ("other_proxy", {}, AiohttpTransport),
        ("http_proxy", {}, AsyncHttpxTransport),
        ("ALL_PROXY", {}, AsyncHttpxTransport),
        ("other_proxy", {"proxy": "http://127.0.0.1:1"}, AsyncHttpxTransport),
    ],
)
async def test_account_with_a_proxy_uses_httpx(
    make_entry: MakeEntry,
    set_up: SetUp,
    monkeypatch: pytest.MonkeyPatch,
    *,
    variable: str,
    options: dict[str, Any],
    expected: type,
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    entry = make_entry(options=options)
    await set_up(entry)
    assert type(entry.runtime_data.client.failover.http._transport) is expected


async def test_message_goes_over_the_connections_of_home_assistant(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp
) -> None:
    await set_up(make_entry())
    with patch.object(AiohttpTransport, "exchange", autospec=True, side_effect=AiohttpTransport.exchange) as exchange:
        assert (await send_to_alice(hass))["outcome"] == "accepted"
    assert exchange.await_count == 1
