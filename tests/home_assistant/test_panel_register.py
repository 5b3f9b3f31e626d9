"""The page is in the sidebar while an account wants it, and its files contain no HTML and no foreign host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL, DATA_PANELS
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sms1680.panel import register
from tests.home_assistant.helpers import MakeEntry, SetUp

FILES = sorted((Path(register.__file__).parent / "www").glob("*.js"))


def shown(hass: HomeAssistant) -> bool:
    return "sms1680" in hass.data[DATA_PANELS]


@pytest.fixture
async def frontend(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, "frontend", {})


@pytest.mark.usefixtures("frontend")
async def test_option_hides_the_page(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> None:
    made = make_entry()
    await set_up(made)
    panel = hass.data[DATA_PANELS]["sms1680"]
    assert (panel.sidebar_title, panel.require_admin) == ("SMS", False)
    for wanted in (False, True):
        hass.config_entries.async_update_entry(made, options={**made.options, "show_panel": wanted})
        await hass.async_block_till_done()
        assert shown(hass) is wanted


@pytest.mark.usefixtures("frontend")
async def test_page_goes_with_the_last_account(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> None:
    hass.config.language = "zh-Hans"
    made = make_entry()
    await set_up(made)
    assert hass.data[DATA_PANELS]["sms1680"].sidebar_title == "短信"
    await hass.config_entries.async_reload(made.entry_id)
    assert shown(hass)
    await hass.config_entries.async_remove(made.entry_id)
    assert not shown(hass)


async def test_integration_works_without_a_frontend(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert "frontend" not in hass.config.components
    assert await hass.config_entries.async_unload(entry.entry_id)


@pytest.mark.usefixtures("frontend")
async def test_files_are_served_under_an_address_that_changes_with_them(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, hass_client_no_auth: ClientSessionGenerator
) -> None:
    await set_up(make_entry())
    config = hass.data[DATA_PANELS]["sms1680"].config
    assert config is not None
    panel = config["_panel_custom"]["module_url"]
    [card] = [url for url in hass.data[DATA_EXTRA_MODULE_URL].urls if "sms1680" in url]
    client = await hass_client_no_auth()
    for url in (panel, card, *(f"{panel.rpartition('/')[0]}/{path.name}" for path in FILES)):
        answer = await client.get(url)
        assert answer.status == 200
        assert "javascript" in answer.content_type
        assert await answer.text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_set_texts_only_and_name_no_host(path: Path) -> None:
    source = path.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|DOMParser|srcdoc", source)
    assert not re.search(r"https?://|\bfetch\(|XMLHttpRequest|WebSocket\(", source)
    assert all(module.startswith("./") for module in re.findall(r'(?:from|import) \(?"([^"]+)"', source))


def test_both_languages_have_the_same_texts_and_placeholders() -> None:
    source = (FILES[0].parent / "texts.js").read_text("utf-8")
    english, chinese = (
        dict(re.findall(r'^  (\w+): "(.*)",$', source.split(f"const {name} = {{")[1].split("\n};")[0], re.MULTILINE))
        for name in ("EN", "ZH")
    )
    assert english.keys() == chinese.keys()
    assert len(english) > 80
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[key])), key
