"""Mutated pushes over a socket, to the port of an account: each connection ends, and the port still works afterwards.

The objects of the integration and of Home Assistant are counted before and after. The long form, of 20,000 for a
million mutations, prints the memory at several points:

    SMS1680_MUTATIONS=1000000 scripts/test attack tests/attack/home_assistant/test_mutated_pushes.py -s --timeout=3600
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import time
from collections import Counter

import pytest
from aiohttp.test_utils import unused_port
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import async_capture_events

from custom_components.sms1680 import const
from custom_components.sms1680.inbound import http_handler, listener
from tests.attack.core.mutations import COUNT, SHORT, mutate, push_seeds
from tests.attack.core.test_mutated import memory, report
from tests.home_assistant.helpers import UPLINKS, WEBHOOK, MakeEntry, set_up_entry

PUSHES = max(400, COUNT // 50)
AT_ONCE = 8
MOST_GROWTH = 64 * 2**20  # octets: the store of the messages that were read is among them
MOST_OBJECTS = 100  # of any other class than those with a bound of their own, however many pushes there were
BOUNDS = {"SeenItem": 5000}  # remembered to recognise a repeated push
POINTS = (0.02, 0.1, 0.25, 0.5, 0.75, 1.0)  # shares of the pushes after which the memory is printed


async def push(port: int, request: bytes) -> str:
    """Return the status, or how the connection ended without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 60)
    except ConnectionError:
        return "reset"
    finally:
        writer.close()
    return answer[9:12].decode() or "closed"


def count_objects() -> Counter[str]:
    """Count the objects of the integration and of Home Assistant by class."""
    gc.collect()
    kinds = Counter(type(found) for found in gc.get_objects())
    packages = ("custom_components.sms1680", "homeassistant.")
    return Counter(
        {kind.__qualname__: count for kind, count in kinds.items() if str(kind.__module__).startswith(packages)}
    )


@pytest.mark.timeout(7200)
async def test_port_survives_mutated_pushes(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if COUNT > SHORT:  # the test itself would remember each line of the log: about 20 KB a push
        for logger in ("", "homeassistant", "custom_components.sms1680", "sms1680", "asyncio"):
            caplog.set_level(logging.ERROR, logger or None)
    monkeypatch.setattr(listener, "_HEAD_TIME", 1.0)
    monkeypatch.setattr(http_handler, "_BODY_TIMEOUT", 1.0)
    port, chance, counts = unused_port(), random.Random(1680), Counter[str]()
    options = {const.CONF_LISTENER_PORT: port, const.CONF_REPEAT_WINDOW: 0}
    await set_up_entry(hass, make_entry(options=options))
    seeds, begun = push_seeds(), time.monotonic()
    objects, before = count_objects(), memory()

    async def send(count: int) -> None:
        for _ in range(count):
            octets = mutate(chance, seeds)
            address = chance.choice((WEBHOOK, UPLINKS)).encode()
            if chance.random() < 0.7:
                head = b"GET " + address + b"?" + octets + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            else:
                length = len(octets) if chance.random() < 0.9 else chance.choice((0, len(octets) // 2, 10**9))
                head = b"POST " + address + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
                head += str(length).encode() + b"\r\n\r\n" + octets
            counts[await push(port, head)] += 1

    sent = 0
    for share in POINTS:
        wanted = int(PUSHES * share) - sent
        await asyncio.gather(*(send(wanted // AT_ONCE) for _ in range(AT_ONCE)))
        await hass.async_block_till_done()
        sent += wanted
        print(f"\nafter {sent} pushes: {(memory() - before) / 2**20:+.1f} MB")  # noqa: T201
    grown = count_objects() - objects
    assert {name: count for name, count in grown.items() if count > BOUNDS.get(name, MOST_OBJECTS)} == {}
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    whole = f"GET {UPLINKS}?mobile=13800000001&content=whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert await push(port, whole.encode()) == "200"
    await hass.async_block_till_done()
    assert [event.data["content"] for event in messages] == ["whole"]
    report("pushes over a socket", counts, before, begun)
    assert not [status for status in counts if status.startswith("5")]
    assert min(counts["200"], counts["400"]) > 0
    assert memory() - before < MOST_GROWTH
