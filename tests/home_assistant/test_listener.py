"""The listener: a port for pushes that Home Assistant's server rejects."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events, async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.sms1680 import const
from custom_components.sms1680.inbound import endpoints, listener
from custom_components.sms1680.inbound.registry import async_get_registry
from tests.home_assistant.helpers import REPORTS, UPLINKS, WEBHOOK, MakeEntry, poll, set_up_entry

UPLINK = "mobile=13800000001&content=" + quote("好的") + "&xh=;"
REPORT = "msgid=7&mobile=13800000001&status=KX:1000"
LINES = "mobile=13800000001&content=" + quote("1\n谢谢") + "&xh=12;"

Get = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def port() -> int:
    return unused_port()


@pytest.fixture
async def account(hass: HomeAssistant, make_entry: MakeEntry, port: int) -> MockConfigEntry:
    """The default account with a listener."""
    entry = make_entry(options={const.CONF_LISTENER_PORT: port})
    await set_up_entry(hass, entry)
    return entry


@pytest.fixture
async def get(port: int) -> AsyncIterator[Get]:
    """Return a function that sends a request to the listener, and returns the status and the text."""
    async with aiohttp.ClientSession() as session:

        async def request(path: str, query: str = "", method: str = "GET", **more: Any) -> tuple[int, str]:
            url = URL(f"http://127.0.0.1:{port}{path}?{query}", encoded=True)
            async with session.request(method, url, **more) as response:
                return response.status, await response.text()

        yield request


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("address", [WEBHOOK, REPORTS, UPLINKS])
async def test_listener_serves_all_addresses(hass: HomeAssistant, get: Get, address: str) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    reports = async_capture_events(hass, const.EVENT_DELIVERY_REPORT)
    assert await get(address, UPLINK) == (200, "0")
    assert await get(address, method="POST", data=REPORT.encode()) == (200, "0")
    assert [(event.data["content"], event.data["via"]) for event in messages] == [("好的", "listener")]
    assert [event.data["state"] for event in reports] == ["failed"]


@pytest.mark.usefixtures("account")
async def test_multiline_text_arrives_through_the_listener(
    hass: HomeAssistant, get: Get, hass_client_no_auth: ClientSessionGenerator, caplog: pytest.LogCaptureFixture
) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    http = await hass_client_no_auth()
    for address in (WEBHOOK, UPLINKS):
        refused = await http.get(URL(f"{address}?{LINES}", encoded=True))
        assert refused.status == 400  # Home Assistant's security filter
        assert await (await http.post(address, data=LINES.encode())).text() == "0"
        assert await get(address, LINES) == (200, "0")
    assert {event.data["content"] for event in messages} == {"1\n谢谢"}
    assert [event.data["via"] for event in messages] == ["webhook", "listener"] * 2
    for secret in ("webhook-id-of-the-tests", "push-secret-of-the-tests", "13800000001", quote("谢谢")):
        assert secret not in caplog.text


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    "text", ["a\tb", "../../etc/passwd", "<script>alert(1)</script>", "proc/self/environ", "union select (1)"]
)
async def test_listener_accepts_texts_that_home_assistant_rejects(hass: HomeAssistant, get: Get, text: str) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    assert await get(UPLINKS, f"mobile=13800000001&content={quote(text)}") == (200, "0")
    assert [event.data["content"] for event in messages] == [text]


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("path", "query", "method", "status"),
    [
        ("/", "", "GET", 404),
        ("/api/", "", "GET", 404),
        ("/api/webhook/another", UPLINK, "GET", 404),
        ("/api/sms1680/another/1603/mo", UPLINK, "GET", 404),
        (WEBHOOK, UPLINK, "PUT", 405),
        (WEBHOOK, "content=1", "GET", 400),
        (WEBHOOK, UPLINK + "&x=" + "x" * 17_000, "GET", 400),
        (WEBHOOK, UPLINK + "&x=1" * 60, "GET", 400),
        (WEBHOOK, UPLINK + "&x=" + "x" * 40_000, "GET", 400),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_listener_rejects_other_and_oversized_requests(
    get: Get, caplog: pytest.LogCaptureFixture, *, path: str, query: str, method: str, status: int
) -> None:
    assert (await get(path, query, method))[0] == status
    assert "Traceback" not in caplog.text
    assert "13800000001" not in caplog.text


async def test_allowed_networks_apply_to_the_listener(
    hass: HomeAssistant, make_entry: MakeEntry, port: int, get: Get
) -> None:
    entry = make_entry(options={const.CONF_LISTENER_PORT: port, const.CONF_NETWORKS: ["192.0.2.0/24"]})
    await set_up_entry(hass, entry)
    # Only Home Assistant's trusted proxies can set the address.
    for headers in ({}, {"X-Forwarded-For": "192.0.2.1"}):
        with pytest.raises(aiohttp.ClientConnectionError):
            await get(WEBHOOK, UPLINK, headers=headers)


async def test_listener_follows_its_option(hass: HomeAssistant, entry: MockConfigEntry, port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    hass.config_entries.async_update_entry(entry, options={**entry.options, const.CONF_LISTENER_PORT: port})
    await hass.async_block_till_done()
    await close((await asyncio.open_connection("127.0.0.1", port))[1])
    hass.config_entries.async_update_entry(entry, options={})
    await hass.async_block_till_done()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_listener_stays_open_during_a_reload(hass: HomeAssistant, account: MockConfigEntry, get: Get) -> None:
    messages: list[Event] = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    assert await hass.config_entries.async_unload(account.entry_id)
    waiting = asyncio.create_task(get(WEBHOOK, UPLINK))
    assert await hass.config_entries.async_setup(account.entry_id)
    assert await waiting == (200, "0")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert len(messages) == 1


@pytest.mark.parametrize("end", ["disabled", "removed", "stopped"])
async def test_listener_closes_with_its_account(
    hass: HomeAssistant, account: MockConfigEntry, port: int, end: str
) -> None:
    if end == "disabled":
        await hass.config_entries.async_set_disabled_by(account.entry_id, ConfigEntryDisabler.USER)
    elif end == "removed":
        await hass.config_entries.async_remove(account.entry_id)
    else:
        hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_port_in_use_raises_a_repair(
    hass: HomeAssistant, make_entry: MakeEntry, hass_client_no_auth: ClientSessionGenerator
) -> None:
    with socket.create_server(("", 0)) as blocker:
        port = blocker.getsockname()[1]
        entry = make_entry(options={const.CONF_LISTENER_PORT: port})
        await set_up_entry(hass, entry)
        issue = ir.async_get(hass).async_get_issue(const.DOMAIN, f"listener_port_{entry.entry_id}")
        assert issue is not None
        assert issue.translation_placeholders == {"account": "Home", "port": str(port)}
        http = await hass_client_no_auth()
        assert await (await http.get(URL(f"{WEBHOOK}?{UPLINK}", encoded=True))).text() == "0"
    assert await hass.config_entries.async_reload(entry.entry_id)
    assert ir.async_get(hass).async_get_issue(const.DOMAIN, f"listener_port_{entry.entry_id}") is None


@pytest.mark.parametrize("end", ["disabled", "removed"])
async def test_port_in_use_is_logged_once_and_its_repair_is_deleted_with_the_account(
    hass: HomeAssistant, make_entry: MakeEntry, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    with socket.create_server(("", 0)) as blocker:
        entry = make_entry(options={const.CONF_LISTENER_PORT: blocker.getsockname()[1]})
        await set_up_entry(hass, entry)
        (error,) = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
        assert "Choose another port in the account's options" in error
        if end == "disabled":
            await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
        else:
            await hass.config_entries.async_remove(entry.entry_id)
        await hass.async_block_till_done()
        assert not ir.async_get(hass).issues


@pytest.mark.parametrize(
    ("hosts", "opened"),
    [
        (None, None),
        (["0.0.0.0", "::"], None),
        (["0.0.0.0"], {"0.0.0.0"}),
        (["127.0.0.1"], {"127.0.0.1"}),
        (["127.0.0.1", "::1"], {"127.0.0.1", "::1"}),
    ],
)
async def test_port_is_open_where_home_assistant_is(
    hass: HomeAssistant, make_entry: MakeEntry, get: Get, port: int, *, hosts: list[str] | None, opened: set[str] | None
) -> None:
    assert await async_setup_component(hass, "http", {})
    hass.http.server_host = hosts
    entry = make_entry(options={const.CONF_LISTENER_PORT: port})
    await set_up_entry(hass, entry)
    assert await get(UPLINKS, UPLINK) == (200, "0")
    sockets = hass.data[endpoints._LISTENERS][entry.entry_id]._server.sockets
    assert {one.getsockname()[0] for one in sockets} == (opened or {"0.0.0.0", "::"})


@pytest.mark.parametrize("address", [WEBHOOK, UPLINKS])
async def test_internal_error_gets_500_and_logs_nothing_of_the_push(
    hass: HomeAssistant,
    account: MockConfigEntry,
    get: Get,
    hass_client_no_auth: ClientSessionGenerator,
    *,
    caplog: pytest.LogCaptureFixture,
    address: str,
) -> None:
    http = await hass_client_no_auth()
    processor = async_get_registry(hass).async_get(account)
    with patch.object(processor, "async_receive", side_effect=ValueError(UPLINK)):
        assert await get(address, UPLINK) == (500, "")
        response = await http.get(URL(f"{address}?{UPLINK}", encoded=True))
        assert (response.status, await response.text()) == (500, "")
    assert caplog.text.count("Could not handle a push: ValueError") == 2
    assert "Traceback" not in caplog.text
    assert UPLINK not in caplog.text


async def test_idle_connections_are_limited_and_cut(
    hass: HomeAssistant, make_entry: MakeEntry, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_MAX_CONNECTIONS", 2)
    monkeypatch.setattr(listener, "_HEAD_TIME", 1000.0)
    entry = make_entry(options={const.CONF_LISTENER_PORT: port})
    await set_up_entry(hass, entry)
    server = hass.data[endpoints._LISTENERS][entry.entry_id]
    silent: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    for known in (1, 2, 2):
        silent.append(await asyncio.open_connection("127.0.0.1", port))
        await poll(lambda known=known: len(server.connections) == known)
    reader, writer = silent.pop(0)  # the oldest makes room
    assert await asyncio.wait_for(reader.read(), 10) == b""
    await close(writer)
    for seconds in (21, 42):
        assert len(server.connections) == 2
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=seconds))
        await hass.async_block_till_done()
    for reader, writer in silent:
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        await close(writer)
    await poll(lambda: not server.connections)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def test_head_that_is_no_request_is_left_as_it_is() -> None:
    assert listener.repair_head(b"SSH-2.0-OpenSSH\r\n") == b"SSH-2.0-OpenSSH\r\n"


@pytest.mark.usefixtures("account")
async def test_connection_with_an_endless_head_is_cut(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n" + b"x" * 100_000)
    received = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            received = await reader.read()
    assert received == b""
    writer.close()
