"""The tool that language-model agents get, apart from the agents themselves."""

from __future__ import annotations

import importlib.util

import pytest
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.llm import async_get_tools

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("homeassistant.components.llm") is None,
    reason="Home Assistant takes every intent as a tool before 2026.10",
)


async def test_other_apis_get_no_tool(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert entry.subentries
    assert async_get_tools(hass, None, "other") is None
