"""Test Home Assistant's pages in a real browser: add an account and a recipient, send an SMS, receive a reply.

With SMS1680_WRITE_PICTURES=1, save the pages of the newest Home Assistant as the pictures of the READMEs.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from homeassistant.const import __version__ as version
from support import ROOT
from support.browser import CHROMIUM, Browser, Tab, browse
from support.ha_log_check import complaints

from demo.home_assistant import VERSIONS, HomeAssistant, configure
from demo.processes import Processes, RunFolder, free_port, until
from sms1680.sandbox import Config, Sandbox

pytestmark = [
    pytest.mark.usefixtures("socket_enabled"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to open Home Assistant's pages with"),
]

IS_NEWEST = version == VERSIONS["newest"]
WRITES_PICTURES = IS_NEWEST and os.environ.get("SMS1680_WRITE_PICTURES") == "1"
PICTURES = ROOT / "docs" / "images"
LONGEST_START = 180.0

TOOLS = "/config/tools/action" if IS_NEWEST else "/developer-tools/action"
BUTTON = "ha-button, mwc-button, ha-progress-button"
LIST_ITEM = "ha-list-item, ha-list-item-button, mwc-list-item, ha-combo-box-item"

USER, PASSWORD = "demo", "demo-of-1680"
SIGNATURE = "示例家居"
RECIPIENT, NUMBER = "Anna", "138 0000 0001"
ALARM = "后门 22:41 被打开。回复“1”表示收到。"
ANSWER = "1"


@dataclass
class Home:
    """A running Home Assistant and its log."""

    address: str
    log: Path


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    """A Home Assistant that runs as a program, as in the demo, and its first user."""
    folder = RunFolder()
    config, port, log = folder.path / "config", free_port(), folder.logs / "home-assistant.log"
    configure(config, version, port)
    command = [sys.executable, "-m", "homeassistant", "--config", config, "--skip-pip", "--log-no-color"]
    try:
        async with Processes() as processes, aiohttp.ClientSession() as session:
            await processes.start(command, folder.variables(), config, log=log)
            started = HomeAssistant(session, f"http://127.0.0.1:{port}")
            await until(started.answers, "answer of Home Assistant", LONGEST_START)
            await started.sign_up(USER, PASSWORD)
            await until(started.running, "Home Assistant that is fully up", LONGEST_START)
            yield Home(started.address, log)
    finally:
        folder.close(keep=False)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    """The sandbox platform and its page."""
    async with Sandbox(Config(report_delay=0.1)) as sandbox:
        yield sandbox


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    """A real browser."""
    async with browse(tmp_path / "profile") as started:
        yield started


def one(selector: str, text: str = "") -> str:
    """Return the first visible element whose text contains this."""
    return f"seek.one({json.dumps(selector)}, {json.dumps(text, ensure_ascii=False)})"


def last(selector: str, text: str) -> str:
    """Return the last such element."""
    return f"seek.all({json.dumps(selector)}, {json.dumps(text)}).at(-1)"


def field(name: str) -> str:
    """Return the input element of a form field."""
    selector = f"[...seek.deep()].find((element) => element.localName === 'ha-selector' && element.name === '{name}')"
    return f"seek.one('input, textarea', '', {selector}.shadowRoot)"


async def press(tab: Tab, text: str) -> None:
    await tab.click(one(BUTTON, text))


async def keep(tab: Tab, name: str, *elements: str, margin: int = 16) -> None:
    """Save a picture of these elements if requested."""
    if WRITES_PICTURES:
        (PICTURES / f"{name}.png").write_bytes(await tab.picture(*elements, margin=margin))


async def test_user_sets_up_an_account_and_exchanges_messages(home: Home, box: Sandbox, browser: Browser) -> None:
    tab = await browser.tab()
    await log_in(tab, home)
    letter = await add_account(tab, home, box)
    phone = await register(browser, box, letter)
    await send(tab, home)
    await open_device(tab, home)
    await tab.until(message_event("Delivered"))
    await answer(phone)
    await tab.until(message_event("Received"))
    await keep(tab, "ha-device", "...seek.all('ha-card')")
    if WRITES_PICTURES:  # the automation editor belongs to Home Assistant and changes often
        await find_triggers(tab, home)
    # Neither the pages nor Home Assistant logged a problem of the integration.
    assert [problem for problem in tab.problems if "sms1680" in problem] == []
    assert phone.problems == []
    assert complaints(home.log.read_text("utf-8")) == []


async def log_in(tab: Tab, home: Home) -> None:
    await tab.open(f"{home.address}/")
    await tab.write(one("input[name=username]"), USER)
    await tab.write(one("input[name=password]"), PASSWORD)
    await press(tab, "Log in")
    await tab.until(one("ha-sidebar"))


async def add_account(tab: Tab, home: Home, box: Sandbox) -> str:
    """Add the account and a recipient, and return the letter that the form shows."""
    await tab.open(f"{home.address}/config/integrations/dashboard/add?domain=sms1680")
    await press(tab, "OK")
    await tab.click(one(LIST_ITEM, "HTTP"))
    account = {"username": "demo", "password": "demo1680", "product_id": "61341", "gateway": box.url}
    for name, value in {**account, "signature": SIGNATURE}.items():
        await tab.write(field(name), value)
    await keep(tab, "ha-account-dialog", one("dialog"), margin=0)
    await press(tab, "Submit")
    if IS_NEWEST:  # the form of the first recipient follows automatically, then the letter
        await fill_in_recipient(tab)
        return await read_letter(tab)
    letter = await read_letter(tab)
    await tab.open(f"{home.address}/config/integrations/integration/sms1680")
    await tab.click(one("ha-md-list-item ha-md-button-menu"))
    await tab.click(one("ha-md-menu-item", "Add recipient"))
    await fill_in_recipient(tab)
    await press(tab, "Finish")
    return letter


async def fill_in_recipient(tab: Tab) -> None:
    await tab.write(field("name"), RECIPIENT)
    await tab.write(field("number"), NUMBER)
    await press(tab, "Submit")


async def read_letter(tab: Tab) -> str:
    shown = one("pre", "推送地址")
    await tab.until(shown)
    await keep(tab, "ha-letter", one("dialog"), margin=0)
    letter = await tab.run(f"{shown}.textContent")
    await press(tab, "Finish")
    return str(letter)


async def register(browser: Browser, box: Sandbox, letter: str) -> Tab:
    """Enter the letter's addresses at the platform, and return its page."""
    phone = await browser.tab()
    await phone.open(box.url)
    await phone.until("document.querySelector('#live-text').dataset.t === 'live'")
    for channel, name in (("mr", "report"), ("mo", "uplink")):
        (address,) = re.findall(rf"http://\S+/{channel}\b", letter)
        await phone.write(f"document.querySelector('#{name}-address')", address)
    await phone.click("document.querySelector('#addresses button')")
    await box.wait_for(lambda platform: platform.accounts["demo"].uplink_address is not None)
    return phone


async def send(tab: Tab, home: Home) -> None:
    """Send with the form of the developer tools."""
    await tab.open(f"{home.address}{TOOLS}?service=sms1680.send_message")
    await tab.click(one(BUTTON, "Add target") if IS_NEWEST else one(".mdc-chip", "Choose entity"))
    await tab.click(one(LIST_ITEM, RECIPIENT))
    message = one("ha-settings-row", "Message")
    await tab.write(f"seek.one('textarea', '', {message})", ALARM)
    await keep(tab, "ha-send", one("ha-service-picker"), message)
    await press(tab, "Perform action")
    await tab.until(one("*", "outcome: accepted"))


async def open_device(tab: Tab, home: Home) -> None:
    """Open the recipient's page from the integration's page."""
    await tab.open(f"{home.address}/config/integrations/integration/sms1680")
    await tab.click(last("ha-list-item-button", RECIPIENT) if IS_NEWEST else last("a", "1 service"))
    await tab.until("location.pathname.startsWith('/config/devices/device/')")


def message_event(kind: str) -> str:
    """Return what the recipient's page shows for the event entity."""
    return f"seek.one('*', '{kind}', seek.one('hui-event-entity-row').shadowRoot)"


async def answer(phone: Tab) -> None:
    """Wait for the message on the phone page, and answer it."""
    await phone.until(f"document.querySelector('.theirs .bubble').innerText === '【{SIGNATURE}】{ALARM}'")
    await phone.until("document.querySelector('.theirs .icon-ticks')")
    assert await phone.run("document.querySelector('#phone-number').innerText") == NUMBER
    await phone.write("document.querySelector('#content')", ANSWER)
    await phone.click("document.querySelector('#reply button.send')")
    await phone.until(f"document.querySelector('.mine .bubble').innerText === '{ANSWER}'")
    await phone.until("document.querySelector('.mine .icon-ticks')")
    await keep(phone, "ha-phone", "document.querySelector('.phones')", "document.querySelector('.handset')")


async def find_triggers(tab: Tab, home: Home) -> None:
    """Find the triggers in the automation editor."""
    await tab.open(f"{home.address}/config/automation/edit/new")
    await press(tab, "Add trigger")
    await tab.click(one("button, ha-button", "By type"))
    await tab.click(one("ha-list-item-button", "SMS 1680"))
    for name in ("SMS received", "Delivery report"):
        await tab.until(one("ha-list-item-button", name))
    await keep(tab, "ha-triggers", f"{one('ha-list-item-button', 'SMS received')}.parentElement", margin=0)
