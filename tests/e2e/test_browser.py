"""Test the first hour in a real browser, in both languages: an account, the letter, a recipient, an SMS, its reply.

With SMS1680_WRITE_PICTURES=1, save the pages of the newest Home Assistant as the pictures of the documentation.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
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
ALARM = "后门 22:41 被打开。回复“1”表示收到。"
PAGE = "seek.one('sms1680-panel').shadowRoot"
THREAD = "seek.one('sms1680-thread').shadowRoot"
ENTRIES = "/api/config/config_entries/entry"
CHANNELS = {"mr": "report", "mo": "uplink"}


@dataclass(frozen=True)
class Language:
    """What the pages show in a language, and who is added in it."""

    code: str
    name: str
    number: str
    answer: str
    words: dict[str, str]

    def __getitem__(self, english: str) -> str:
        return self.words.get(english, english)

    @property
    def suffix(self) -> str:
        """What the names of its pictures end with."""
        return "" if self.code == "en" else f".{self.code}"


ENGLISH = Language("en", "Anna", "138 0000 0001", "1", {})
CHINESE = Language(
    "zh-Hans",
    "安娜",
    "138 0000 0002",
    "收到",
    {
        "OK": "确定",
        "Submit": "提交",
        "Next": "下一步",
        "Finish": "完成",
        "Add recipient": "添加接收人",
        "Press": "按下",
        "Delivered": "已送达",
        "1 service": "1 个服务",
    },
)


@dataclass
class Home:
    """A running Home Assistant and its log."""

    api: HomeAssistant
    log: Path

    @property
    def address(self) -> str:
        return self.api.address


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
            yield Home(started, log)
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


async def resize(tab: Tab, width: int = 1200, height: int = 900) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    await tab.command("Emulation.setDeviceMetricsOverride", **size)


async def test_user_sets_up_an_account_and_exchanges_messages(
    home: Home,
    box: Sandbox,
    browser: Browser,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    """Once in each language, from no account to a reply. It prints and reports how long that takes."""
    tab, phone = await browser.tab(), await browser.tab()
    await log_in(tab, home)
    await phone.open(box.url)
    await phone.until("document.querySelector('#live-text').dataset.t === 'live'")
    for language in (ENGLISH, CHINESE):
        await tab.run(f"localStorage.setItem('selectedLanguage', JSON.stringify('{language.code}'))")
        began = time.monotonic()
        letter = await add_account(tab, home, box, language)
        await register(phone, box, letter)
        await send_test_message(tab, phone, home, language)
        await converse(tab, phone, home, language)
        seconds = f"{time.monotonic() - began:.1f}"
        record_property(f"seconds from no account to a reply in {language.code}", seconds)
        with capsys.disabled():
            sys.stdout.write(f"\nFrom no account to a reply in {language.code}: {seconds} seconds\n")
        if language is ENGLISH:
            await send(tab, home, language)
            if WRITES_PICTURES:
                await take_pictures(tab, phone, home)
            await start_again(home, CHINESE)
    # Neither the pages nor Home Assistant logged a problem of the integration.
    assert [problem for problem in tab.problems if "sms1680" in problem] == []
    assert phone.problems == []
    assert complaints(home.log.read_text("utf-8")) == []


async def start_again(home: Home, language: Language) -> None:
    """Remove the account, and change the language of Home Assistant."""
    await home.api.connect()
    await home.api.command("config/core/update", language=language.code)
    (entry,) = [one for one in await home.api.request("GET", ENTRIES) if one["domain"] == "sms1680"]
    await home.api.request("DELETE", f"{ENTRIES}/{entry['entry_id']}")


async def log_in(tab: Tab, home: Home) -> None:
    await tab.open(f"{home.address}/")
    await tab.write(one("input[name=username]"), USER)
    await tab.write(one("input[name=password]"), PASSWORD)
    await press(tab, "Log in")
    await tab.until(one("ha-sidebar"))


async def add_account(tab: Tab, home: Home, box: Sandbox, language: Language) -> str:
    """Add the account and a recipient, and return the letter that the dialog shows."""
    await tab.command("Page.bringToFront")  # menus of older versions do not open in the background
    await tab.open(f"{home.address}/config/integrations/dashboard/add?domain=sms1680")
    await press(tab, language["OK"])
    await tab.click(one(LIST_ITEM, "HTTP"))
    account = {"username": "demo", "password": "demo1680", "product_id": "61341", "gateway": box.url}
    for name, value in {**account, "signature": SIGNATURE}.items():
        await tab.write(field(name), value)
    await keep(tab, f"ha-account-dialog{language.suffix}", one("dialog"), margin=0)
    await press(tab, language["Submit"])
    letter = await read_letter(tab, language)
    if not IS_NEWEST:  # else the form of the first recipient follows the letter
        await tab.open(f"{home.address}/config/integrations/integration/sms1680")
        await tab.click(one("ha-md-list-item ha-md-button-menu"))
        await tab.click(one("ha-md-menu-item", language["Add recipient"]))
    await tab.write(field("name"), language.name)
    await tab.write(field("number"), language.number)
    await press(tab, language["Submit"])
    await press(tab, language["Finish"])
    return letter


async def read_letter(tab: Tab, language: Language) -> str:
    """Return the letter. On a phone, its field shows every address completely."""
    if not IS_NEWEST:
        shown = one("pre", "推送地址")
        await tab.until(shown)
        letter = await tab.run(f"{shown}.textContent")
        await press(tab, language["Finish"])
        return str(letter)
    editor = one("ha-code-editor")
    await tab.until(editor)
    await resize(tab, 390, 844)
    lines = f"[...seek.deep({editor}.shadowRoot)].filter((element) => element.matches('.cm-line'))"
    await tab.until(f"{lines}.some((line) => line.textContent.endsWith('/mo'))")
    assert await tab.run(f"{lines}.every((line) => line.scrollWidth <= {editor}.clientWidth)")
    await tab.until(f"seek.one('ha-icon-button', '', {editor}.shadowRoot)")
    await keep(tab, f"ha-letter{language.suffix}", one("dialog"), margin=0)
    await resize(tab)
    letter = await tab.run(f"{editor}.value")
    await press(tab, language["Next"])
    return str(letter)


async def register(phone: Tab, box: Sandbox, letter: str) -> None:
    """Enter the letter's addresses at the platform."""
    addresses = {name: re.findall(rf"http://\S+/{channel}\b", letter)[0] for channel, name in CHANNELS.items()}
    for name, address in addresses.items():
        await phone.write(f"document.querySelector('#{name}-address')", address)
    await phone.click("document.querySelector('#addresses button')")
    await box.wait_for(lambda platform: platform.accounts["demo"].uplink_address == addresses["uplink"])


async def send_test_message(tab: Tab, phone: Tab, home: Home, language: Language) -> None:
    """Press the button on the recipient's page, and wait for the delivery report."""
    await tab.open(f"{home.address}/config/integrations/integration/sms1680")
    services = language["1 service"]
    await tab.click(last("ha-list-item-button", language.name) if IS_NEWEST else last("a", services))
    await tab.until("location.pathname.startsWith('/config/devices/device/')")
    await tab.click(f"seek.one('{BUTTON}', '{language['Press']}', seek.one('hui-button-entity-row').shadowRoot)")
    await phone.click(one(".phones button", language.number))
    await phone.until(f"document.querySelector('#phone-number').innerText === '{language.number}'")
    await phone.until("document.querySelector('.theirs .icon-ticks')")
    await tab.until(f"seek.one('*', '{language['Delivered']}', seek.one('hui-event-entity-row').shadowRoot)")


async def converse(tab: Tab, phone: Tab, home: Home, language: Language) -> None:
    """Open the page of conversations, answer on the phone, and wait until the answer appears."""
    await tab.open(f"{home.address}/sms1680")
    await tab.click(f"seek.one('#conversations button', '{language.name}', {PAGE})")
    await tab.until(f"seek.one('.bubble', 'Home Assistant', {THREAD})")
    await phone.write("document.querySelector('#content')", language.answer)
    await phone.click("document.querySelector('#reply button.send')")
    await tab.until(f"seek.all('li.in .bubble', '{language.answer}', {THREAD}).length === 1")
    await phone.until("document.querySelector('.mine .icon-ticks')")
    if language is CHINESE:  # the test of the page saves the picture in English
        await keep(tab, f"ha-conversations{language.suffix}", "seek.one('sms1680-panel')", margin=0)


async def send(tab: Tab, home: Home, language: Language) -> None:
    """Send with the form of the developer tools."""
    await tab.open(f"{home.address}{TOOLS}?service=sms1680.send_message")
    await tab.click(one(BUTTON, "Add target") if IS_NEWEST else one(".mdc-chip", "Choose entity"))
    await tab.click(one(LIST_ITEM, language.name))
    message = one("ha-settings-row", "Message")
    await tab.write(f"seek.one('textarea', '', {message})", ALARM)
    await keep(tab, "ha-send", one("ha-service-picker"), message)
    await press(tab, "Perform action")
    await tab.until(one("*", "outcome: accepted"))


async def take_pictures(tab: Tab, phone: Tab, home: Home) -> None:
    """Save the pictures of the phone, of the recipient's page, and of the automation editor, which changes often."""
    await phone.until(f"document.querySelector('#handset, .handset').innerText.includes('{ALARM[:8]}')")
    await keep(phone, "ha-phone", "document.querySelector('.phones')", "document.querySelector('.handset')")
    await tab.command("Page.bringToFront")
    await tab.open(f"{home.address}/config/integrations/integration/sms1680")
    await tab.click(last("ha-list-item-button", ENGLISH.name))
    await tab.until("seek.one('hui-event-entity-row')")
    await phone.write("document.querySelector('#content')", ENGLISH.answer)
    await phone.click("document.querySelector('#reply button.send')")
    await tab.until("seek.one('*', 'Received', seek.one('hui-event-entity-row').shadowRoot)")
    await keep(tab, "ha-device", "...seek.all('ha-card')")
    await find_triggers(tab, home)


async def find_triggers(tab: Tab, home: Home) -> None:
    """Find the triggers in the automation editor."""
    await tab.open(f"{home.address}/config/automation/edit/new")
    await press(tab, "Add trigger")
    await tab.click(one("button, ha-button", "By type"))
    await tab.click(one("ha-list-item-button", "SMS 1680"))
    for name in ("SMS received", "Delivery report"):
        await tab.until(one("ha-list-item-button", name))
    await keep(tab, "ha-triggers", f"{one('ha-list-item-button', 'SMS received')}.parentElement", margin=0)
