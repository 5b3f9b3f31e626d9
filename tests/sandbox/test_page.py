"""The phone page in a real browser: messages, replies, switches and both languages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser import Tab

from sms1680 import sandbox
from sms1680.sandbox import Account, Sandbox
from sms1680.sandbox.cmpp.faults import CMPPFault

if TYPE_CHECKING:
    from tests.sandbox.conftest import MakeCaller, Receiver

PAGE = Path(sandbox.__file__).with_name("page")
NUMBER = "13911000000"
EVIL = "<img src=x onerror=alert(1)><b>bold</b>"


async def click(tab: Tab, selector: str) -> None:
    await tab.run(f"document.querySelector({selector!r}).click()")


async def test_message_appears_and_can_be_answered(call: MakeCaller, tab: Tab, receiver: Receiver) -> None:
    desk = await call(Account(report_address=receiver.url, uplink_address=receiver.url), report_delay=0.05)
    await tab.open(desk.box.url)
    await tab.until("document.querySelector('#live-text').dataset.t === 'live'")
    await desk.send("【家里】后门打开了", NUMBER, xh="012")
    await tab.until("document.querySelector('.theirs .bubble').innerText === '【家里】后门打开了'")
    await tab.until("document.querySelector('.theirs .icon-ticks')")
    assert await tab.run("document.querySelector('.theirs .signature').innerText") == "【家里】"
    meta = await tab.run("document.querySelector('.theirs .meta').innerText.replace(/\\s+/g, ' ')")
    assert re.fullmatch(r"106900001680·012 1 part \d\d:\d\d", meta)
    assert await tab.run("document.querySelector('#phone-number').innerText") == "139 1100 0000"
    assert await tab.run("document.querySelector('#extension').value") == "012"
    await tab.write("document.querySelector('#content')", "好的 <1>")
    await click(tab, "#reply button.send")
    await tab.until("document.querySelector('.mine .bubble').innerText === '好的 <1>'")
    await tab.until("document.querySelector('.mine .icon-ticks')")
    assert receiver.received[-1] == ("/", {"mobile": NUMBER, "content": "好的 <1>", "xh": "012;"})
    assert tab.problems == []


async def test_texts_are_never_markup(call: MakeCaller, tab: Tab) -> None:
    desk = await call()
    await desk.send(EVIL, NUMBER)
    await desk.control("reply", number=NUMBER, content=EVIL, extension="1")
    await desk.control("story", id="1", state="done", en=EVIL, detail=EVIL)
    await desk.control("words", forbidden=[EVIL])
    await tab.open(desk.box.url)
    await tab.until("document.querySelector('.mine .bubble')")
    for selector in (".theirs .bubble", ".mine .bubble", "#steps b", "#steps small", "#forbidden .word"):
        assert await tab.run(f"document.querySelector({selector!r}).innerText") == EVIL
    assert await tab.run("document.querySelectorAll('img').length") == 0
    assert tab.problems == []


async def test_switches_settings_and_held_messages(call: MakeCaller, tab: Tab) -> None:
    desk = await call()
    account = desk.box.platform.accounts["demo"]
    await desk.send("贷款", NUMBER)
    await tab.open(desk.box.url)
    await tab.until("document.querySelector('.remark button')")
    await click(tab, ".remark button")
    await tab.until("document.querySelector('.theirs:not(.ghost)')")
    assert desk.box.platform.phone(NUMBER).texts == ["贷款"]
    await click(tab, "#manual")
    await click(tab, "#signature-required")
    await click(tab, "#faults li:nth-child(2) button")
    await click(tab, "#faults li:nth-child(8) input")
    await desk.box.wait_for(lambda platform: platform.faults.standing is not None and platform.faults.queue)
    assert account.manual
    assert account.signature_required
    assert (desk.box.platform.faults.queue[0][0], desk.box.platform.faults.standing[0]) == ("half", "empty")
    await tab.until("!document.querySelector('#clear-faults').disabled")
    await click(tab, "#clear-faults")
    await desk.box.wait_for(lambda platform: platform.faults.standing is None)
    await tab.write("document.querySelector('#rate-input')", "12.5")
    await tab.write("document.querySelector('#balance-input')", "77")
    await click(tab, "#top-up button")
    await desk.box.wait_for(lambda _: account.flow.rate == 12.5)
    assert account.balances == {"61341": 77}
    await tab.write("document.querySelector('#report-address')", "http://127.0.0.1:1/mr")
    await click(tab, "#addresses button")
    await desk.box.wait_for(lambda _: account.report_address == "http://127.0.0.1:1/mr")
    await click(tab, "#reachable")
    await desk.box.wait_for(lambda platform: platform.phone(NUMBER).report_status == "UNDELIV")
    assert tab.problems == []


async def test_faults_over_cmpp(call: MakeCaller, tab: Tab) -> None:
    desk = await call(cmpp_port=0)
    await tab.open(desk.box.url)
    await tab.until("document.querySelector('#cmpp:not([hidden]) li')")
    assert await tab.run("document.querySelectorAll('#cmpp-faults li').length") == len(CMPPFault)
    await click(tab, "#cmpp-faults li:nth-child(2) button")
    await tab.until("document.querySelector('#cmpp-faults li:nth-child(2) button.on')")
    assert desk.box.cmpp.faults.next_for_submit() is CMPPFault.LOST_ANSWER
    await click(tab, "#restart")
    await desk.box.wait_for(lambda _: desk.box.cmpp.restarts == 1)
    assert tab.problems == []


async def test_page_has_both_languages(call: MakeCaller, tab: Tab) -> None:
    desk = await call()
    await tab.open(f"{desk.box.url}/?lang=zh-CN")
    await tab.until("document.querySelector('#account-title').innerText === '账户'")
    assert await tab.run("document.documentElement.lang") == "zh-Hans"
    await click(tab, "#language")
    await tab.until("document.querySelector('#account-title').innerText === 'Account'")


def test_both_languages_have_the_same_keys() -> None:
    english, chinese = (PAGE / "words.js").read_text("utf-8").split("  zh: {")
    keys = re.compile(r"^    (\w+): ", re.MULTILINE)
    assert keys.findall(english) == keys.findall(chinese.split("\n};")[0])
    used = set(re.findall(r'data-[tpl]="(\w+)"', (PAGE / "index.html").read_text("utf-8")))
    assert used <= set(keys.findall(english))


async def test_unread_messages_are_counted_and_a_reset_clears_the_page(call: MakeCaller, tab: Tab) -> None:
    desk = await call()
    await desk.send("one", NUMBER)
    await tab.open(desk.box.url)
    await tab.until("document.querySelector('.theirs')")
    await desk.send("two", "13688888888")
    await tab.until("document.querySelector('.badge') && document.title.startsWith('(1)')")
    # A press is not lost when its row changes before the release.
    place = await tab.press("document.querySelector('#phone-list li:first-child button')")
    await desk.send("three", "13688888888")
    await tab.until("document.querySelector('.badge').innerText === '2'")
    await tab.release(place)
    await tab.until("document.querySelector('.theirs .bubble').innerText === 'two'")
    assert await tab.run("document.querySelector('.badge')") is None
    await desk.control("reset")
    await tab.until("document.querySelector('.nothing')")
    assert await tab.run("document.querySelectorAll('#phone-list li').length") == 0


@pytest.mark.parametrize("width", [360, 820, 1440])
async def test_page_fits_the_screen(call: MakeCaller, tab: Tab, width: int) -> None:
    desk = await call()
    await desk.send("【家里】" + "https://example.org/" + "x" * 300, NUMBER)
    await desk.control("story", id="1", state="running", en="A" * 80)
    await tab.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    await tab.open(desk.box.url)
    await tab.until("document.querySelector('.theirs')")
    assert await tab.run("document.documentElement.scrollWidth") <= width


async def test_page_shows_a_lost_connection(tab: Tab) -> None:
    async with Sandbox() as box:
        await tab.open(box.url)
        await tab.until("document.querySelector('#live-text').innerText === 'live'")
    await tab.until("document.querySelector('#live-text').innerText.startsWith('connection lost')")
