"""Test the page of conversations and its card in a real browser, as an administrator and as another user.

With SMS1680_WRITE_PICTURES=1, save the pictures of the documentation.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from homeassistant.const import __version__ as version
from support import ROOT
from support.browser import CHROMIUM, Browser, Tab, browse
from support.ha_log_check import complaints

from demo.home_assistant import SUBENTRY_FLOW, VERSIONS, HomeAssistant, configure, created, push_addresses
from demo.platform import Account
from demo.processes import Processes, RunFolder, free_port, until
from sms1680.sandbox import Config, Sandbox

pytestmark = [
    pytest.mark.usefixtures("socket_enabled"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to open Home Assistant's pages with"),
]

WRITES_PICTURES = version == VERSIONS["newest"] and os.environ.get("SMS1680_WRITE_PICTURES") == "1"
PICTURES = ROOT / "docs" / "images"
LONGEST_START = 180.0
BUTTON = "ha-button, mwc-button, ha-progress-button"
OWNER, HOUSEMATE, PASSWORD = "demo", "housemate", "demo-of-1680"
ANNA, BEN = "13800000001", "13800000002"
ALARM = "Back door opened at 22:41. Reply 1 if you take care of it."
ANSWER = "Thanks. Please check the cellar too."
SMOKE = "Smoke in the cellar"
ARABIC = "الباب مفتوح"
HOSTILE = '<img src="x" onerror="window.attacked = true">'
PAGE = "seek.one('sms1680-panel').shadowRoot"
THREAD = "seek.one('sms1680-thread').shadowRoot"
ALARMS = "seek.one('sms1680-alarms').shadowRoot"


@dataclass
class Home:
    """A running Home Assistant with one account, its recipient Anna, and a user who is no administrator."""

    api: HomeAssistant
    box: Sandbox
    log: Path

    async def send(self, text: str, **data: Any) -> None:
        await self.api.act("sms1680.send_message", {"entity_id": "notify.anna", "message": text} | data)


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    folder = RunFolder()
    config, port, log = folder.path / "config", free_port(), folder.logs / "home-assistant.log"
    configure(config, version, port)
    command = [sys.executable, "-m", "homeassistant", "--config", config, "--skip-pip", "--log-no-color"]
    try:
        async with (
            Processes() as processes,
            aiohttp.ClientSession() as session,
            Sandbox(Config(report_delay=0.1)) as box,
        ):
            await processes.start(command, folder.variables(), config, log=log)
            api = HomeAssistant(session, f"http://127.0.0.1:{port}")
            await until(api.answers, "answer of Home Assistant", LONGEST_START)
            await api.sign_up(OWNER, PASSWORD)
            await until(api.running, "Home Assistant that is fully up", LONGEST_START)
            await api.connect()
            made = await api.add_account(Account(box.url, "demo", "demo1680", "61341", {}), "Example")
            await api.add_recipient(made, "Anna", ANNA)
            await api.add_recipient({"result": made["result"]}, "Ben", BEN)
            await add_group(api, made["result"]["entry_id"])
            addresses = push_addresses(made)
            platform = box.platform.accounts["demo"]
            platform.report_address, platform.uplink_address = addresses["report_address"], addresses["uplink_address"]
            await api.entity("notify", lambda state: state != "unavailable")
            user = (await api.command("config/auth/create", name=HOUSEMATE, group_ids=["system-users"]))["user"]
            provider = "config/auth_provider/homeassistant/create"
            await api.command(provider, user_id=user["id"], username=HOUSEMATE, password=PASSWORD)
            yield Home(api, box, log)
    finally:
        folder.close(keep=False)


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browse(tmp_path / "profile") as started:
        yield started


async def add_group(api: HomeAssistant, entry_id: str) -> None:
    """Complete the dialog of a duty group of all recipients."""
    dialog = await api.request("POST", SUBENTRY_FLOW, json={"handler": [entry_id, "group"]})
    [members] = [field for field in dialog["data_schema"] if field["name"] == "members"]
    people = [option["value"] for option in members["selector"]["select"]["options"]]
    form = {"name": "Watch", "members": people, "rota": "always"}
    created(await api.request("POST", f"{SUBENTRY_FLOW}/{dialog['flow_id']}", json=form))


def one(selector: str, text: str = "") -> str:
    return f"seek.one({json.dumps(selector)}, {json.dumps(text, ensure_ascii=False)})"


def bubble(text: str) -> str:
    return f"seek.one('.bubble', {json.dumps(text, ensure_ascii=False)}, {THREAD})"


async def log_in(tab: Tab, home: Home, user: str) -> None:
    """Log in, and open the page."""
    await tab.open(f"{home.api.address}/")
    await tab.write(one("input[name=username]"), user)
    await tab.write(one("input[name=password]"), PASSWORD)
    await tab.click(one(BUTTON, "Log in"))
    await tab.until(one("ha-sidebar"))
    await tab.open(f"{home.api.address}/sms1680")
    await tab.until(one("sms1680-panel"))


async def keep(tab: Tab, name: str) -> None:
    if WRITES_PICTURES:
        (PICTURES / f"{name}.png").write_bytes(await tab.picture("seek.one('sms1680-panel')"))


async def resize(tab: Tab, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    await tab.command("Emulation.setDeviceMetricsOverride", **size)


async def test_conversations_are_read_and_written_on_a_page(home: Home, browser: Browser) -> None:
    tab = await browser.tab()
    await log_in(tab, home, OWNER)
    await tab.until(f"seek.one('#accounts', 'Balance', {PAGE})")
    assert await tab.run(f"{PAGE}.querySelector('.empty').textContent") == "No messages yet."
    await exchange(tab, home)
    await fail(tab, home)
    await keep(tab, "ha-conversations")
    await take_an_alarm(tab, home)
    await write_to_several(tab, home)
    await keep_what_is_open(tab, home)
    await fit_a_phone(tab)
    await speak_chinese(tab, home)
    await show_a_card(tab, home)
    await hide_numbers_from_others(tab, home)
    assert [problem for problem in tab.problems if "sms1680" in problem] == []
    assert complaints(home.log.read_text("utf-8")) == []


async def exchange(tab: Tab, home: Home) -> None:
    """A message, its delivery and the reply appear without reloading. The reply is shown as a text."""
    await tab.run("window.loaded_once = true")
    await home.send(ALARM, priority="critical")
    await tab.click(f"seek.one('#conversations button', 'Anna', {PAGE})")
    await tab.until(bubble(ALARM))
    await tab.until(f"seek.one('.state-delivered', 'Delivered', {THREAD})")
    await tab.until(f"seek.one('.meta', 'Critical', {THREAD})")
    home.box.platform.reply(ANNA, HOSTILE)
    await tab.until(bubble(HOSTILE))
    await tab.until(f"seek.one('.cause', 'Sent by: ', {THREAD})")
    home.box.platform.reply(ANNA, ARABIC)
    await tab.until(f"getComputedStyle({bubble(ARABIC)}).direction === 'rtl'")
    home.box.platform.reply(ANNA, "1")
    await tab.until(f"seek.all('li.in .bubble', '1', {THREAD}).length === 1")
    assert await tab.run(f"{THREAD}.querySelectorAll('img').length") == 0
    assert await tab.run("[window.attacked, window.loaded_once]") == [None, True]
    assert await tab.run(f"{bubble(HOSTILE)}.dir") == "auto"


async def fail(tab: Tab, home: Home) -> None:
    """A message that is written on the page fails, and shows why."""
    phone = home.box.platform.phone(ANNA)
    usual, phone.report_status = phone.report_status, "MK:0001"
    composer = "seek.one('sms1680-composer').shadowRoot"
    await tab.write(f"seek.one('textarea', '', {composer})", ANSWER)
    await tab.until(f"seek.one('#cost', '1 part', {composer})")
    await tab.click(f"seek.one('button', 'Send', {composer})")
    await tab.until(bubble(ANSWER))
    await tab.until(f"seek.one('li.bad .reason', '', {THREAD}).textContent.length > 10")
    assert await tab.run(f"seek.one('textarea', '', {composer}).value") == ""
    phone.report_status = usual


async def take_an_alarm(tab: Tab, home: Home) -> None:
    """An alarm appears, is taken with a button, and shows its steps."""
    await home.api.act("sms1680.raise_alarm", {"group": "Watch", "message": SMOKE, "key": "smoke"})
    await tab.click(f"seek.one('#alarms', 'Open alarms: 1', {PAGE})")
    await tab.until(f"seek.one('.text', {json.dumps(SMOKE)}, {ALARMS})")
    await tab.click(f"seek.one('summary', 'Steps', {ALARMS})")
    # A press is not lost when the alarm changes before the release.
    place = await tab.press(f"seek.one('button', 'Take it', {ALARMS})")
    await home.api.act("sms1680.raise_alarm", {"group": "Watch", "message": SMOKE, "key": "smoke"})
    await tab.until(f"seek.one('.alarm-open', 'Raised 2 times', {ALARMS})")
    await tab.release(place)
    await tab.until(f"seek.one('.alarm-acknowledged', 'Taken by', {ALARMS})")
    await tab.until(f"seek.one('details[open] li', 'Raised, to Anna, Ben', {ALARMS})")
    await keep(tab, "ha-alarms")
    await tab.click(f"seek.one('button', 'Resolve', {ALARMS})")
    await tab.until(f"seek.one('#alarms', 'Alarms', {PAGE}).className === 'plain'")
    await tab.click(f"seek.one('#conversations button', 'Anna', {PAGE})")


async def write_to_several(tab: Tab, home: Home) -> None:
    """A new message goes to all chosen recipients, with its cost while it is written."""
    await tab.click(f"seek.one('#new', '', {PAGE})")
    composer = f"{PAGE}.querySelector('main > sms1680-composer').shadowRoot"
    for name in ("Anna", "Ben"):
        await tab.click(f"seek.one('label.choice', '{name}', {composer})")
    await tab.write(f"seek.one('textarea', '', {composer})", "x" * 100)
    await tab.until(f"seek.one('#cost', '2 parts', {composer})")
    before = len(home.box.platform.messages)
    await tab.click(f"seek.one('button', 'Send', {composer})")
    await home.box.wait_for(lambda platform: len(platform.messages) == before + 2, 60)
    await tab.click(f"seek.one('#conversations button', 'Anna', {PAGE})")
    await tab.until(bubble(ANSWER))


async def keep_what_is_open(tab: Tab, home: Home) -> None:
    """A row that changes under a finger is still opened, and stays open in another language."""
    row = f"seek.one('#conversations li:first-child button', 'Ben', {PAGE})"
    await home.send("One", entity_id="notify.ben")
    await tab.until(f"{row} && seek.one('#conversations li:first-child button', 'One', {PAGE})")
    place = await tab.press(row)
    await home.send("Two", entity_id="notify.ben")
    await tab.until(f"seek.one('#conversations li:first-child button', 'Two', {PAGE})")
    await tab.release(place)
    await tab.until(bubble("Two"))
    for language, label in (("zh-Hans", "新短信"), ("en", "New message")):
        speak = f"Object.assign({PAGE}.host, {{hass: {{...{PAGE}.host.hass, language: '{language}'}}}})"
        assert await tab.run(f"{speak} && {PAGE}.querySelector('#new').textContent") == label
        await tab.until(bubble("Two"))
    await tab.click(f"seek.one('#conversations button', 'Anna', {PAGE})")
    await tab.until(bubble(ANSWER))


async def fit_a_phone(tab: Tab) -> None:
    """On a narrow and dark screen, the page has one column, and every control has a name."""
    background = f"getComputedStyle({PAGE}.host).backgroundColor"
    light = await tab.run(background)
    await resize(tab, 390, 844)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    await tab.command("Emulation.setEmulatedMedia", features=dark)
    await tab.until(f"seek.one('h1', 'Anna', {PAGE})")
    await tab.until(f"getComputedStyle({PAGE}.querySelector('nav')).display === 'none'")
    await tab.until(f"{background} !== {json.dumps(light)}")
    await keep(tab, "ha-conversations-phone")
    for root in (PAGE, THREAD, "seek.one('sms1680-composer').shadowRoot"):
        assert await tab.run(f"{root}.host.scrollWidth") <= 390
        nameless = "!control.textContent && !control.ariaLabel && !control.labels?.length"
        controls = f"[...{root}.querySelectorAll('button, input, select, textarea')]"
        assert await tab.run(f"{controls}.filter((control) => {nameless}).length") == 0
    await tab.click(f"seek.one('button[aria-label^=Back]', '', {PAGE})")
    await tab.until(f"seek.one('#conversations button', 'Anna', {PAGE})")
    await resize(tab, 1200, 900)
    await tab.command("Emulation.setEmulatedMedia", features=[])


async def press(tab: Tab, key: str, code: int, **more: str) -> None:
    for kind in ("keyDown", "keyUp"):
        await tab.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)


async def speak_chinese(tab: Tab, home: Home) -> None:
    await tab.run("localStorage.setItem('selectedLanguage', JSON.stringify('zh-Hans'))")
    await tab.open(f"{home.api.address}/sms1680")
    await tab.until(f"seek.one('#new', '新短信', {PAGE})")
    # The arrow keys move between conversations, and Enter opens one.
    await tab.until(f"({PAGE}.querySelector('#conversations button')?.focus(), seek.focused()?.dataset?.id)")
    await press(tab, "ArrowDown", 40)
    second = f"{PAGE}.querySelectorAll('#conversations button')[1]"
    await tab.until(f"seek.focused() === {second}")
    await press(tab, "ArrowUp", 38)
    await tab.until(f"seek.focused() !== {second}")
    if "Ben" in await tab.run("seek.focused().textContent"):
        await press(tab, "ArrowDown", 40)
    await press(tab, "Enter", 13, text="\r")
    await tab.until(f"seek.one('.reason', '', {THREAD})")
    await tab.run("localStorage.setItem('selectedLanguage', JSON.stringify('en'))")


async def show_a_card(tab: Tab, home: Home) -> None:
    """The card is known to the picker, and shows the newest conversation on a dashboard."""
    card = {"type": "custom:sms1680-conversation-card", "title": "Newest SMS", "count": 5}
    views = [{"title": "Home", "path": "sms", "cards": [card]}]
    await home.api.command("lovelace/dashboards/create", url_path="our-board", title="Board", mode="storage")
    await home.api.command("lovelace/config/save", url_path="our-board", config={"views": views})
    await tab.open(f"{home.api.address}/our-board/sms")
    await tab.until("seek.one('h2', 'Newest SMS')")
    await tab.until(bubble("x" * 100))
    assert await tab.run("window.customCards.some((card) => card.type === 'sms1680-conversation-card')")
    editor = "customElements.get('sms1680-conversation-card').getConfigElement()"
    hass = "document.querySelector('home-assistant').hass"
    fill = f"editor.setConfig({{}}); editor.hass = {hass}; document.body.append(editor); window.editor = editor;"
    await tab.run(f"{editor}.then((editor) => {{ {fill} }})")
    await tab.until("window.editor.shadowRoot.querySelectorAll('option').length === 3")


async def hide_numbers_from_others(tab: Tab, home: Home) -> None:
    """Another user sees the recipients, but neither a full number nor a balance."""
    await tab.run("localStorage.clear()")
    await log_in(tab, home, HOUSEMATE)
    await tab.click(f"seek.one('#conversations button', 'Anna', {PAGE})")
    await tab.until(bubble(ALARM))
    shown = await tab.text()
    assert "138****0001" in shown
    assert ANNA not in shown.replace(" ", "")
    assert "Balance" not in shown
    markup = await tab.run(f"{PAGE}.innerHTML + {THREAD}.innerHTML")
    assert ANNA not in markup
