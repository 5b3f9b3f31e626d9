"""Run the integration in a Home Assistant of its own with many deferred messages, until they are sent or it is killed.

python deferred_sender.py FOLDER DATA

FOLDER: of Home Assistant. DATA: the account's data and options, how
many messages the first run queues, and their priority, as JSON.
Prints `ready` once it sends, and `done` once nothing waits. `outcomes` in FOLDER gets a line for each outcome.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from homeassistant.core import Event, callback
from homeassistant.loader import DATA_CUSTOM_COMPONENTS
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_test_home_assistant

from custom_components.sms1680.const import DOMAIN, EVENT_DELAYED_MESSAGE, EVENT_MESSAGE_FAILED
from custom_components.sms1680.deferred.models import QueuedMessage
from demo.processes import free_port

LONG = "长" * 150


def text_of(place: int) -> str:
    """Return a short text, or one of three segments."""
    return f"第{place}条" + (LONG if place % 2 else "")


def number_of(place: int) -> str:
    """Return a number of its own for each message."""
    return f"138{place:08d}"


async def main(folder: str, given: dict[str, Any], queued: Path, *, is_first: bool) -> None:
    outcomes = os.open(Path(folder, "outcomes"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    @callback
    def write(event: Event) -> None:
        line = [event.event_type, event.data["number"], event.data["outcome"]]
        os.write(outcomes, json.dumps(line).encode() + b"\n")

    async with async_test_home_assistant(config_dir=folder) as hass:
        hass.data.pop(DATA_CUSTOM_COMPONENTS, None)
        for event_type in (EVENT_DELAYED_MESSAGE, EVENT_MESSAGE_FAILED):
            hass.bus.async_listen(event_type, write)
        entry = MockConfigEntry(domain=DOMAIN, entry_id="killed", data=given["data"], options=given["options"])
        entry.add_to_hass(hass)
        # The usual port can be in use: another of these programs may run beside this one.
        assert await async_setup_component(hass, "http", {"http": {"server_port": free_port()}})
        assert await async_setup_component(hass, DOMAIN, {})
        queue = entry.runtime_data.deferred
        if is_first:
            now, priority = dt_util.utcnow(), given.get("priority", "normal")
            due, until = now + timedelta(seconds=1), (now + timedelta(hours=1)).timestamp()
            messages = (
                QueuedMessage(number_of(place), text_of(place), priority=priority, since=now.timestamp(), until=until)
                for place in range(given["messages"])
            )
            assert all(await asyncio.gather(*(queue.async_enqueue(message, due) for message in messages)))
            await hass.async_add_executor_job(queued.touch)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while queue.messages:  # noqa: ASYNC110 - it has no event for this
            await asyncio.sleep(0.05)
        sys.stdout.write("done\n")
        sys.stdout.flush()
        await hass.async_block_till_done()
        os._exit(0)


if __name__ == "__main__":
    flag = Path(sys.argv[1], "queued")
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), flag, is_first=not flag.exists()))
