"""The option "May talk to Assist" in the dialogs of a recipient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from homeassistant.data_entry_flow import FlowResultType

from tests.home_assistant.helpers import ALICE, CAROL, enter_recipient, start_recipient

if TYPE_CHECKING:
    from homeassistant.core import HomeAssistant
    from pytest_homeassistant_custom_component.common import MockConfigEntry

CAROLS = {"name": "Carol", "number": CAROL}
PIN = "4711350"


def stored(entry: MockConfigEntry, name: str) -> dict[str, Any]:
    (subentry,) = (one for one in entry.subentries.values() if one.title == name)
    return dict(subentry.data)


async def test_a_code_is_needed_by_default(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    result = await enter_recipient(hass, await start_recipient(hass, entry), {**CAROLS, "assist": True})
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, {"assist": "code_needed"})
    result = await enter_recipient(hass, result, {**CAROLS, "assist": True, "commands": "pin", "assist_parts": 3})
    assert result["step_id"] == "pin"
    result = await enter_recipient(hass, result, {"pin": PIN})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert stored(entry, "Carol") == {
        "number": CAROL,
        "commands": "pin",
        "pin": PIN,
        "assist": True,
        "assist_code": True,
        "assist_parts": 3,
        "assist_hourly": 10,
    }


async def test_who_switches_the_code_off_is_told_what_it_means(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    given = {"name": "Alice", "number": ALICE, "assist": True, "assist_code": False, "assist_agent": "conversation.x"}
    result = await enter_recipient(hass, await start_recipient(hass, entry, "alice"), given)
    assert result["step_id"] == "assist_without_code"
    assert result["description_placeholders"] == {"recipient": "Alice"}
    assert "assist" not in stored(entry, "Alice")
    result = await enter_recipient(hass, result, {})
    assert result["reason"] == "reconfigure_successful"
    assert stored(entry, "Alice")["assist_code"] is False
    # Other changes do not ask again.
    result = await enter_recipient(
        hass, await start_recipient(hass, entry, "alice"), {**given, "assist_hourly": 3, "commands": "pin"}
    )
    assert result["step_id"] == "pin"


@pytest.mark.parametrize("unused", [{"assist_code": False}, {"assist_parts": 1}])
async def test_without_the_option_nothing_is_stored(
    hass: HomeAssistant, entry: MockConfigEntry, unused: dict[str, Any]
) -> None:
    result = await enter_recipient(hass, await start_recipient(hass, entry), {**CAROLS, **unused})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert stored(entry, "Carol") == {"number": CAROL}
