"""Delivery reports and replies, pushed to a real web server."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from sms1680.sandbox import Account, PushRules

if TYPE_CHECKING:
    from tests.sandbox.conftest import MakeCaller, Receiver

NUMBER = "13800000000"
QUICK = PushRules(first_pause=0.01, longest_pause=0.02, attempts=4)


@pytest.mark.parametrize(("report_path", "uplink_path"), [("/index.aspx", "/index.aspx"), ("/1603/mr", "/1603/mo")])
async def test_report_and_reply_are_pushed(
    call: MakeCaller, receiver: Receiver, report_path: str, uplink_path: str
) -> None:
    desk = await call(report_delay=0.0)
    await desk.control("account", report_address=receiver.url + report_path, uplink_address=receiver.url + uplink_path)
    message_id = (await desk.send("【某某】好", xh="12")).partition(",")[2]
    await desk.box.wait_for(lambda platform: platform.pushes.delivered == 1)
    await desk.control("reply", number=NUMBER, content="1\n谢谢 100% +&;=")
    await desk.box.wait_for(lambda platform: platform.pushes.delivered == 2)
    assert receiver.received == [
        (report_path, {"msgid": message_id, "mobile": NUMBER, "status": "0"}),
        (uplink_path, {"mobile": NUMBER, "content": "1\n谢谢 100% +&;=", "xh": "12;"}),
    ]
    assert desk.box.platform.uplinks[0].push == "delivered"


async def test_each_number_has_one_report(call: MakeCaller, receiver: Receiver) -> None:
    desk = await call(Account(report_address=f"{receiver.url}/1603/mr"), report_delay=0.0)
    await desk.send("x", "13800000001,13800000002,13800000003")
    await desk.box.wait_for(lambda platform: platform.pushes.delivered == 3)
    assert sorted(query["mobile"] for _, query in receiver.received) == ["13800000001", "13800000002", "13800000003"]


async def test_reply_with_full_number_and_id_without_semicolon(call: MakeCaller, receiver: Receiver) -> None:
    account = Account(uplink_address=receiver.url, uplink_full_number=True, uplink_id=True)
    desk = await call(account, pushes=PushRules(semicolon=False))
    await desk.control("reply", number="10086", content="x", extension="08")
    await desk.box.wait_for(lambda platform: platform.pushes.delivered == 1)
    uplink = desk.box.platform.uplinks[0]
    assert receiver.received == [
        ("/", {"mobile": "10086", "content": "x", "msgid": uplink.message_id, "xh": f"{account.source_number}08"})
    ]


async def test_push_is_repeated_until_answered(call: MakeCaller, receiver: Receiver) -> None:
    receiver.answers = iter([(500, "0"), (302, "0"), (200, "ok")])
    desk = await call(Account(uplink_address=receiver.url), pushes=QUICK)
    await desk.control("reply", number=NUMBER, content="x")
    await desk.box.wait_for(lambda platform: platform.pushes.delivered == 1)
    assert len(set(receiver.raw)) == 1
    assert len(receiver.raw) == 4
    assert all(path == "/" for path, _ in receiver.received), "a redirect is not followed"


async def test_push_to_a_closed_port_is_given_up(call: MakeCaller) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        desk = await call(Account(uplink_address=address), pushes=QUICK)
        await desk.control("reply", number=NUMBER, content="x")
        await desk.box.wait_for(lambda platform: platform.pushes.given_up == 1)
    state = await desk.read("state")
    assert state["pushes"] == {"waiting": 0, "delivered": 0, "given_up": 1, "attempts": 4, "repeat": True}
    assert desk.box.platform.uplinks[0].push == "given_up"


async def test_repetition_can_be_disabled_at_runtime(call: MakeCaller, receiver: Receiver) -> None:
    receiver.answers = iter([(500, "")])
    desk = await call(Account(uplink_address=receiver.url), pushes=QUICK)
    await desk.control("pushes", repeat=False)
    await desk.control("reply", number=NUMBER, content="x")
    await desk.box.wait_for(lambda platform: platform.pushes.given_up == 1)
    assert len(receiver.raw) == 1


async def test_nothing_is_pushed_without_an_address(call: MakeCaller) -> None:
    desk = await call(report_delay=0.0)
    await desk.send("x")
    await desk.control("reply", number=NUMBER, content="x")
    await desk.box.wait_for(lambda platform: platform.messages[0].state == "delivered")
    assert desk.box.platform.pushes.waiting == 0
    assert desk.box.platform.uplinks[0].push == "none"


async def test_control_api_can_push_any_report(call: MakeCaller, receiver: Receiver) -> None:
    desk = await call(Account(report_address=receiver.url))
    await desk.control("report", username="demo", msgid="1", mobile="1", status="MK:0001")
    await desk.box.wait_for(lambda platform: platform.pushes.delivered == 1)
    assert receiver.received == [("/", {"msgid": "1", "mobile": "1", "status": "MK:0001"})]
