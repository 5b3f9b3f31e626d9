"""What grows with the numbers, the recipients and the waiting messages grows no faster than they do."""

from __future__ import annotations

from collections import Counter

import pytest
from homeassistant.core import HomeAssistant
from support.work import counted

from custom_components.sms1680.const import CONF_HOURLY_LIMIT, CONF_NUMBER, DOMAIN
from tests.home_assistant.helpers import MakeEntry, SetUp

OFF = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit", "critical_reserve"), 0)


async def send_to_many(hass: HomeAssistant, start: int, count: int) -> Counter[str]:
    """Send a message to many numbers; return the work."""
    numbers = [f"139{start + place:08d}" for place in range(count)]
    data = {CONF_NUMBER: numbers, "message": "水浸"}
    with counted() as work:
        await hass.services.async_call(DOMAIN, "send_message", data, blocking=True, return_response=True)
        await hass.async_block_till_done()
    return work


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("over_limit", [False, True])
async def test_message_to_many_numbers(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, over_limit: bool
) -> None:
    await set_up(make_entry(options={**OFF, CONF_HOURLY_LIMIT: 1 if over_limit else 0}))
    small, large = [await send_to_many(hass, start, count) for start, count in ((0, 200), (1000, 800))]
    assert large.total() < small.total() * 4 * 1.25
