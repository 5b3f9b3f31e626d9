"""Start and end of a sandbox, in an event loop and in a thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sms1680.sandbox import Config, Sandbox, SandboxThread

NUMBER = "13800000000"


async def test_sandbox_ends_at_any_moment() -> None:
    """Before Python 3.12, `asyncio.wait_for` can swallow a cancellation if its awaitable ends at the same time."""
    async with asyncio.timeout(30):
        for round_ in range(100):
            async with Sandbox(Config(report_delay=0.0002 * (round_ % 10))) as box:
                account = box.platform.accounts["demo"]
                box.platform.answered(account, box.platform.submit(account, "61341", [(NUMBER, "x")]))
                await asyncio.sleep(0)
                box.platform.changed()
                for _ in range(round_ % 4):
                    await asyncio.sleep(0)


async def test_occupied_port_is_reported() -> None:
    async with Sandbox() as box:
        port = int(box.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await Sandbox(Config(port=port)).__aenter__()


def test_sandbox_in_a_thread() -> None:
    with SandboxThread(Config(report_delay=0.0)) as box:
        message = box.call(
            lambda platform: (
                platform.submit(platform.accounts["demo"], "61341", [(NUMBER, "x")]) and threading.get_ident()
            )
        )
        assert message != threading.get_ident()
        box.wait_for(lambda platform: platform.messages[0].state == "delivered")
        with pytest.raises(TimeoutError):
            box.wait_for(lambda _: False, timeout=0.01)
    assert not any(thread.name == "sms1680-sandbox" for thread in threading.enumerate())
