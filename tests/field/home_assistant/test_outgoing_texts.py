"""Texts as people really write them, through every action and the notify services: each arrives in its right form."""

from __future__ import annotations

from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, PASSWORD, MakeEntry, SetUp, Until, act, notify

SIGNATURES = "某某科技,某某"
# A text, and the text that must arrive, with the public kind of report that it stands for.
TEXTS = {
    "a subject in 【】 is taken for the signature": ("【告警】后门打开", "【某某科技】【告警】后门打开"),
    "a room in 【】 at the end is taken for the signature": ("设备离线【客厅】", "【某某科技】设备离线【客厅】"),
    "the account's own signature is written once": ("【某某科技】后门打开", "【某某科技】后门打开"),
    "the account's second name": ("后门打开【某某】", "后门打开【某某】"),
    "colours of a terminal arrive as signs": ("\x1b[1;31mERROR\x1b[0m 门开", "【某某科技】ERROR 门开"),
    "a NUL ends the text on the phone": ("后门\x00打开", "【某某科技】后门打开"),
    "a BOM and zero-width blanks": ("\ufeff后\u200b门打开", "【某某科技】后门打开"),
    "half an emoji": ("门\ud83d开", "【某某科技】门\ufffd开"),
}


@pytest.mark.parametrize("transport", ["http", "cmpp"])
async def test_text_arrives_as_it_should_through_every_door(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, until: Until, transport: str
) -> None:
    account = {"username": "homeuser", "password": PASSWORD, "product_id": 61341, "gateway": sandbox.url}
    common = {"platform": "sms1680", "recipients": [ALICE]}
    lines: list[dict[str, Any]] = [
        {**common, "name": "line", "account": "Home"},
        {**common, "name": "own", **account, "signature": SIGNATURES},
    ]
    assert await async_setup_component(hass, "notify", {"notify": lines})
    await hass.async_block_till_done()
    await set_up(make_entry(ways=(transport,), options={"signature": SIGNATURES, "number_limit": 0, "hourly_limit": 0}))
    if transport == "cmpp":
        await until(lambda: hass.states.get("binary_sensor.home_connected").state == "on")
    for kind, (text, right) in TEXTS.items():
        before = len(sandbox.platform.messages)
        await act(hass, "send_message", message=text, number=[ALICE])
        await act(hass, "send_batch", messages=[{"number": ALICE, "message": text}])
        await act(hass, "send_template", template="{A}", rows=[{"number": ALICE, "values": [text]}])
        await notify(hass, "notify.alice", message=text)
        for name in ("line", "own"):
            await hass.services.async_call("notify", name, {"message": text}, blocking=True)
        assert [message.text for message in sandbox.platform.messages[before:]] == [right] * 6, kind


@pytest.mark.usefixtures("entry")
async def test_estimate_warns_of_what_is_removed_and_not_shown(hass: HomeAssistant) -> None:
    answer = await act(hass, "estimate", message="【告警】后门\u200b😀")
    told = " ".join(answer["warnings"])
    assert all(found in told for found in ("【告警】", "U+200B", "😀"))
    assert answer["characters"] == 6 + 6 + 2
