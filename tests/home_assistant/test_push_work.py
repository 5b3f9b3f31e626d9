"""Each push does little work of ours, so that a burst of replies or reports leaves Home Assistant its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from support.work import counted

from custom_components.sms1680 import const
from tests.home_assistant.helpers import ALICE, UPLINKS, MakeEntry, SetUp

PUSHES = 50


async def work_of_pushes(
    hass: HomeAssistant, client: Any, fields: Callable[[int], dict[str, str]]
) -> list[tuple[str, float]]:
    """Return the work of each function for one push: its calls and jumps."""

    async def push(place: int) -> None:
        response = await client.get(UPLINKS, params={"mobile": ALICE, **fields(place)})
        assert await response.text() == "0"

    await push(0)
    await hass.async_block_till_done()
    with counted() as work:
        for place in range(1, PUSHES + 1):
            await push(place)
    # The tests log at DEBUG, and the filters have work for each record then.
    return [(name, count / PUSHES) for name, count in work.most_common() if "log_filter" not in name]


@pytest.mark.parametrize(
    ("fields", "days", "most"),
    [
        ({"content": "{}", "xh": "12"}, 0, 105),
        ({"content": "{}", "xh": "12"}, 30, 185),
        ({"msgid": "7{}", "status": "DELIVRD"}, 0, 135),
        ({"msgid": "7{}", "status": "DELIVRD"}, 30, 170),
    ],
    ids=["uplinks in memory", "uplinks on the disk", "reports in memory", "reports on the disk"],
)
async def test_pushes(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    hass_client_no_auth: ClientSessionGenerator,
    *,
    fields: dict[str, str],
    days: int,
    most: int,
) -> None:
    def push(place: int) -> dict[str, str]:
        return {name: value.format(place) for name, value in fields.items()}

    await set_up(make_entry(options={const.CONF_KEEP_DAYS: days}))
    work = await work_of_pushes(hass, await hass_client_no_auth(), push)
    assert sum(count for _, count in work) < most, work
