"""The control API: reading, writing and access."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING

import aiohttp
import pytest

from sms1680.sandbox import Account
from sms1680.sandbox.cmpp.faults import CMPPFault

if TYPE_CHECKING:
    from tests.sandbox.conftest import MakeCaller

NUMBER = "13800000000"


async def test_state_contains_no_passwords(call: MakeCaller) -> None:
    desk = await call()
    await desk.send("x")
    await desk.send("发票")
    state = await desk.read("state")
    assert state["accounts"][0]["balances"] == {"61341": 999}
    assert state["counts"] == {"messages": 1, "sent": 1, "verdict_accepted": 1, "verdict_forbidden_words": 1}
    assert "demo1680" not in json.dumps(state)


async def test_messages_can_be_filtered(call: MakeCaller) -> None:
    desk = await call()
    await desk.send("【某某】a")
    await desk.send("b", "13900000000")
    reply = await desk.control("reply", number=NUMBER, content="c")
    listed = (await desk.read("messages"))["messages"]
    assert [(item["kind"], item["text"]) for item in listed] == [
        ("message", "【某某】a"),
        ("message", "b"),
        ("uplink", "c"),
    ]
    assert listed[0]["signature"] == "某某"
    assert listed[0]["parts"] == 1
    of_number = (await desk.read(f"messages?number={NUMBER}"))["messages"]
    assert [item["text"] for item in of_number] == ["【某某】a", "c"]
    assert (await desk.read(f"messages?after={reply['serial'] - 1}"))["messages"] == [reply]


async def test_settings(call: MakeCaller) -> None:
    desk = await call()
    await desk.control("account", rate=5, balances={"61341": 7, "new": 1}, manual=True, signature_required=True)
    account = desk.box.platform.accounts["demo"]
    assert (account.flow.rate, account.balances) == (5.0, {"61341": 7, "new": 1})
    assert account.manual
    assert account.signature_required
    await desk.control("account", rate=None, manual=False, signature_required=False)
    assert account.flow.rate is None
    await desk.control("words", forbidden=["甲"], review=[])
    assert await desk.send("甲") == "8,甲"
    assert (await desk.send("贷款")).startswith("1,")
    await desk.control("phone", number=NUMBER, report_status="UNDELIV")
    assert (await desk.read("state"))["phones"][NUMBER] == "UNDELIV"


async def test_faults(call: MakeCaller) -> None:
    desk = await call()
    await desk.control("faults", next="empty", times=2)
    await desk.control("faults", next={"verdict": "product"})
    await desk.control("faults", next={"accept": False, "body": "9", "status": 200, "length": False})
    assert [await desk.send("x") for _ in range(4)] == ["", "", "11", "9"]
    assert (await desk.control("faults", standing="failed"))["standing"] == "failed"
    assert await desk.send("x") == "0"
    assert (await desk.control("faults", clear=True))["standing"] is None


async def test_faults_over_cmpp(call: MakeCaller) -> None:
    desk = await call(cmpp_port=0)
    answer = await desk.control("faults", cmpp="drop_after", times=2)
    assert answer["cmpp"]["queue"] == ["drop_after", "drop_after"]
    assert (await desk.read("state"))["cmpp"]["names"] == [fault.value for fault in CMPPFault]
    await desk.control("faults", restart=True)
    await desk.box.wait_for(lambda _: desk.box.cmpp.restarts == 1)
    assert (await desk.control("faults", clear=True))["cmpp"]["queue"] == []
    await desk.control("faults", cmpp="too_fast")
    await desk.control("reset")
    assert desk.box.cmpp.faults.next_for_submit() is None
    await desk.control("faults", expected=400, cmpp="unknown")


async def test_cmpp_faults_require_a_port(call: MakeCaller) -> None:
    desk = await call()
    assert (await desk.read("state"))["cmpp"] is None
    await desk.control("faults", expected=400, cmpp="too_fast")
    await desk.control("faults", expected=400, restart=True)


async def test_held_messages_can_be_decided(call: MakeCaller) -> None:
    desk = await call()
    await desk.send("贷款")
    held = (await desk.read("messages"))["messages"][0]
    assert held["held_for"] == "review"
    await desk.control("held", message_id=held["message_id"], approve=True)
    assert desk.box.platform.phone(NUMBER).texts == ["贷款"]
    await desk.control("held", expected=400, message_id=held["message_id"], approve=True)


async def test_the_story(call: MakeCaller) -> None:
    desk = await call()
    for state in ("running", "done"):
        await desk.control("story", id="one", state=state, en="First", zh="第一", detail="1 s")
    await desk.control("story", links=[{"title": "Home Assistant", "url": "http://127.0.0.1:8123/"}])
    assert (await desk.read("state"))["story"] == {
        "steps": [{"id": "one", "state": "done", "en": "First", "zh": "第一", "detail": "1 s"}],
        "links": [{"title": "Home Assistant", "url": "http://127.0.0.1:8123/"}],
    }


async def test_a_reset(call: MakeCaller) -> None:
    desk = await call()
    await desk.send("x")
    before = (await desk.read("state"))["epoch"]
    await desk.control("reset")
    state = await desk.read("state")
    assert state["epoch"] == before + 1
    assert state["counts"] == {"messages": 0}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("reply", {"number": "x", "content": "y"}),
        ("reply", {"number": NUMBER}),
        ("reply", {"number": NUMBER, "content": 1}),
        ("account", {"username": "nobody"}),
        ("account", {"rate": 0}),
        ("account", {"rate": True}),
        ("account", {"balances": {"61341": -1}}),
        ("account", {"balances": [1]}),
        ("account", {"report_address": "javascript:alert(1)"}),
        ("account", {"manual": "yes"}),
        ("faults", {"next": "unknown"}),
        ("faults", {"next": {"status": 99}}),
        ("faults", {"next": {"stall_after": -1}}),
        ("faults", {"next": {"verdict": "unknown"}}),
        ("faults", {"next": "half", "times": 1.5}),
        ("held", {"message_id": "1", "approve": True}),
        ("report", {"username": "demo", "msgid": "1", "mobile": "1", "status": "0"}),
        ("words", {"forbidden": [""]}),
        ("story", {"id": "1", "en": "x", "state": "unknown"}),
        ("story", {"links": [{"title": "x", "url": "file:///etc/passwd"}]}),
        ("phone", {"number": "10086"}),
    ],
)
async def test_invalid_fields_are_answered_with_400(call: MakeCaller, path: str, fields: dict[str, object]) -> None:
    desk = await call()
    answer = await desk.control(path, expected=400, **fields)
    assert answer["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"null"])
async def test_body_must_be_a_json_object(call: MakeCaller, body: bytes) -> None:
    desk = await call()
    headers = {"Content-Type": "application/json"}
    async with desk.session.post(f"{desk.box.url}/api/pushes", data=body, headers=headers) as answer:
        assert answer.status == 400


# --- whom it lets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:9999", 200),
        ("[::1]:80", 200),
        ("sandbox.localhost", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.168.1.2", 403),
    ],
)
async def test_foreign_host_is_refused(call: MakeCaller, host: str, status: int) -> None:
    desk = await call()
    for path in ("state", "messages"):
        async with desk.session.get(f"{desk.box.url}/api/{path}", headers={"Host": host}) as answer:
            assert answer.status == status
    if status == 403:
        async with desk.session.get(f"{desk.box.url}/api/events", headers={"Host": host}) as answer:
            assert answer.status == 403
        async with desk.session.post(f"{desk.box.url}/api/reset", json={}, headers={"Host": host}) as answer:
            assert answer.status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_post_from_another_origin_is_refused(call: MakeCaller, origin: str) -> None:
    desk = await call()
    async with desk.session.post(f"{desk.box.url}/api/reset", json={}, headers={"Origin": origin}) as answer:
        assert answer.status == 403
    async with desk.session.post(f"{desk.box.url}/api/reset", json={}, headers={"Origin": desk.box.url}) as answer:
        assert answer.status == 200


async def test_form_post_is_refused(call: MakeCaller) -> None:
    desk = await call()
    async with desk.session.post(f"{desk.box.url}/api/reset", data={"a": "b"}) as answer:
        assert answer.status == 415
    async with desk.session.get(f"{desk.box.url}/api/reset") as answer:
        assert answer.status == 405


async def test_page_blocks_foreign_content(call: MakeCaller) -> None:
    desk = await call()
    for path in ("/", "/page/app.js", "/page/conversation.js", "/page/words.js", "/page/style.css", "/page/icon.svg"):
        async with desk.session.get(desk.box.url + path) as answer:
            assert answer.status == 200
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            text = await answer.text()
            assert set(re.findall(r"https?://\w[\w.]*", text)) <= {"http://www.w3.org", "http://127.0.0.1"}
            assert "innerHTML" not in text


# --- following --------------------------------------------------------------------------------------------------------


async def changes(stream: aiohttp.StreamReader) -> dict[str, object]:
    """Return the next change of an event stream."""
    async with asyncio.timeout(10):
        while True:
            line = await stream.readline()
            if line.startswith(b"data: "):
                return json.loads(line[6:])


async def test_changes_are_sent_as_events(call: MakeCaller) -> None:
    desk = await call(report_delay=0.2)
    async with desk.session.get(f"{desk.box.url}/api/events") as stream:
        assert stream.content_type == "text/event-stream"
        await desk.send("x")
        first = await changes(stream.content)
        assert [item["state"] for item in first["items"]] == ["sent"]
        assert first["state"]["accounts"][0]["balances"] == {"61341": 999}
        await_delivered = await changes(stream.content)
        while not await_delivered["items"]:
            await_delivered = await changes(stream.content)
        assert [item["state"] for item in await_delivered["items"]] == ["delivered"]


async def test_slow_subscriber_is_disconnected(call: MakeCaller) -> None:
    desk = await call(Account(products={"61341": 10_000}))
    async with desk.session.get(f"{desk.box.url}/api/events") as stream:
        await stream.content.readline()
        for thousand in range(3):
            numbers = [(f"13{thousand}{index:08d}", "x") for index in range(1000)]
            desk.box.platform.submit(desk.box.platform.accounts["demo"], "61341", numbers)
        async with asyncio.timeout(10):
            await stream.content.read()
        assert stream.content.at_eof()
