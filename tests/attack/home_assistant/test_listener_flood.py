"""Floods of the listener, and pushes that no HTTP parser accepts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import unused_port
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sms1680 import const
from custom_components.sms1680.inbound import endpoints, listener
from tests.home_assistant.helpers import UPLINKS, WEBHOOK, MakeEntry, poll, set_up_entry

SILENT = 70
PUSHES = 40


class Peer:
    """Raw connections to the listener."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._open: list[asyncio.StreamWriter] = []

    async def connect(self, source: str = "127.0.0.1") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        self._open.append(writer)
        return reader

    async def push(self, target: bytes, source: str = "127.0.0.1") -> bytes:
        """Send a request with exactly these octets as its address, and return the status and the body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        self._open.append(writer)
        writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            answer = await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            return b"reset"
        return answer[9:12] + b" " + answer.rpartition(b"\r\n\r\n")[2]

    async def close(self) -> None:
        for writer in self._open:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer(unused_port())
    yield made
    await made.close()


def uplink(serial: int) -> bytes:
    return f"{UPLINKS}?mobile=13800000001&content=n{serial}".encode()


@pytest.mark.parametrize("networks", [["127.0.0.1"], []], ids=["another network", "any network"])
async def test_silent_connections_keep_no_push_out(
    hass: HomeAssistant, make_entry: MakeEntry, peer: Peer, networks: list[str]
) -> None:
    """With networks, the silent ones are refused when they connect. Without, those that wait are dropped first."""
    await set_up_entry(hass, make_entry(options={const.CONF_LISTENER_PORT: peer.port, const.CONF_NETWORKS: networks}))
    server = next(iter(hass.data[endpoints._LISTENERS].values()))
    for serial in range(PUSHES):
        for _ in range(SILENT * 2 // PUSHES):
            await peer.connect("127.0.0.2")
        assert await peer.push(uplink(serial)) == b"200 0"
        assert len(server.connections) <= (1 if networks else listener._MAX_PER_ADDRESS)
    for serial in range(PUSHES, PUSHES + 3):  # while the platform itself leaves connections open
        for _ in range(SILENT // 3):
            await peer.connect()
        assert await peer.push(uplink(serial)) == b"200 0"
    assert len(server.connections) <= listener._MAX_CONNECTIONS


async def test_head_that_never_ends_is_cut(
    hass: HomeAssistant, make_entry: MakeEntry, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_HEAD_TIME", 0.2)
    await set_up_entry(hass, make_entry(options={const.CONF_LISTENER_PORT: peer.port}))
    silent = await peer.connect()
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(silent.read(), 5) == b""
    assert not (await peer.push(b"/" + b"x" * 60_000)).startswith(b"200")
    server = next(iter(hass.data[endpoints._LISTENERS].values()))
    await poll(lambda: not server.connections)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("好的".encode(), "好的"),
        ("好的".encode("gb18030"), "好的"),
        (b"open the door", "open the door"),
        ("1 号门 #3 好".encode(), "1 号门 #3 好"),
        (b"a\tb", "a\tb"),
        ("好\n的".encode(), "好\n的"),
        (b"100%", "100%"),
    ],
)
async def test_listener_reads_what_no_parser_accepts(
    hass: HomeAssistant, make_entry: MakeEntry, peer: Peer, content: bytes, text: str
) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    await set_up_entry(hass, make_entry(options={const.CONF_LISTENER_PORT: peer.port}))
    for address in (UPLINKS, WEBHOOK):
        target = address.encode() + b"?mobile=13800000001&content=" + content + b"&xh=12;"
        assert await peer.push(target) == b"200 0"
    assert [event.data["content"] for event in messages] == [text, text]
    assert {event.data["extension"] for event in messages} == {"12"}


@pytest.mark.parametrize("content", ["好的".encode(), "好的".encode("gb18030"), b"open the door"])
async def test_push_that_home_assistant_cannot_parse_leaves_a_repair(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator, content: bytes
) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    http = await hass_client_no_auth()
    peer = Peer(http.port)
    answer = await peer.push(WEBHOOK.encode() + b"?mobile=13800000001&content=" + content)
    await peer.close()
    await hass.async_block_till_done()
    issue = ir.async_get(hass).async_get_issue(const.DOMAIN, f"refused_push_{entry.entry_id}")
    assert (answer[:3], bool(issue), len(messages)) in {(b"400", True, 0), (b"200", False, 1)}
