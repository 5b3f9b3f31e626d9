"""The four HTTP calls over a real socket."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, strategies as st

from sms1680.sandbox import Account, Fault, Verdict
from sms1680.sandbox.http import parse_parameters

if TYPE_CHECKING:
    from tests.sandbox.conftest import MakeCaller, Raw

NUMBER = "13800000000"
DEMO = Account()
DROP = object()


@pytest.mark.parametrize("method", ["get", "post"])
async def test_send_accepts_get_and_post(call: MakeCaller, method: str) -> None:
    desk = await call()
    answer = await getattr(desk, method)(
        "sendXSms", mobile="13911000000,13688888888", content="中国 100% + &=;", dstime="", xh="12345"
    )
    code, message_id = answer.split(",")
    assert code == "1"
    assert [message.message_id for message in desk.box.platform.messages] == [message_id] * 2
    assert desk.box.platform.phone("13688888888").texts == ["中国 100% + &=;"]
    assert desk.box.platform.messages[0].extension == "12345"


async def test_template_and_batch_examples_of_the_document(call: MakeCaller) -> None:
    desk = await call()
    groups = "13800210000,李先生,甲;1380021000,王先生,乙;13500210000,王先生"
    assert await desk.post("sendDIYSms", params=groups, content="{A}，你好！{B}") == "1"
    assert await desk.post("sendPackSms", content="13011001111|发送内容1$13011001112|发送内容2$x|y") == "1"
    assert desk.box.platform.ledger == {
        ("13800210000", "李先生，你好！甲"): 1,
        ("13011001111", "发送内容1"): 1,
        ("13011001112", "发送内容2"): 1,
    }


async def test_balance_counts_parts_and_accepts_both_password_forms(call: MakeCaller) -> None:
    desk = await call()
    await desk.send("字" * 135)
    assert await desk.get("balance") == "997"
    desk.base["password"] = hashlib.md5(b"demo1680").hexdigest()
    assert await desk.get("balance") == "997"
    assert (await desk.send("x")).startswith("1,")


SEND = {"mobile": NUMBER, "content": "【某某】好"}
TEMPLATE = {"params": f"{NUMBER},1", "content": "【某某】{A}"}
BATCH = {"content": f"{NUMBER}|【某某】好"}


@pytest.mark.parametrize(
    ("account", "changes", "send", "personalised"),
    [
        (DEMO, {"password": "wrong"}, "-1", "-1"),
        (DEMO, {"username": "DEMO"}, "-1", "-1"),
        (replace(DEMO, products={"61341": 0}), {}, "2", "-2"),
        (DEMO, {"productid": "9"}, "11", "-11"),
        (DEMO, {"productid": DROP}, "12", "-12"),
        (DEMO, {"username": DROP, "UserName": "demo"}, "12", "-12"),
        (DEMO, {"dstime": "20301230174821"}, "12", "-12"),
        (DEMO, {"xh": "abc"}, "12", "-12"),
        (DEMO, {"content": ""}, "7", "-7"),
        (replace(DEMO, may_submit=False), {}, "9", "-9"),
        (replace(DEMO, suspended=True), {}, "-11", "0"),
        (replace(DEMO, networks=("10.0.0.0/8",)), {}, "-14", "-14"),
        (replace(DEMO, manual=True), {}, "4", "-3"),
        (replace(DEMO, numbers_max=1), {"mobile": "1,2", "params": "1;2", "content": "1|a$2|b"}, "10", "-10"),
        (DEMO, {"mobile": "1,12012345678", "params": "1;2", "content": "1|a$2|b"}, "6", "-6"),
    ],
)
async def test_answers_of_each_call(
    call: MakeCaller, account: Account, changes: dict[str, object], send: str, personalised: str
) -> None:
    desk = await call(account)
    for name, parameters, expected in (
        ("sendXSms", SEND, send),
        ("sendDIYSms", TEMPLATE, personalised),
        ("sendPackSms", BATCH, personalised),
    ):
        form = {**desk.base, **parameters}
        known = set(form) | {"username", "UserName", "productid", "dstime", "xh"}
        form.update({key: value for key, value in changes.items() if key in known})
        form = {key: value for key, value in form.items() if value is not DROP}
        async with desk.session.post(f"{desk.box.url}/{name}.do", data=form) as answer:
            assert (name, await answer.text()) == (name, expected)
    assert all(message.held_for == "manual" for message in desk.box.platform.messages)


async def test_answers_for_words_signature_and_variables(call: MakeCaller) -> None:
    desk = await call(replace(DEMO, signature_required=True))
    assert await desk.send("【某某】发票和赌博") == "8,发票,赌博"
    assert await desk.post("sendPackSms", content=f"{NUMBER}|【某某】发票") == "-8"
    assert await desk.send("【某某】贷款") == "3"
    assert await desk.post("sendPackSms", content=f"{NUMBER}|【某某】贷款") == "-3"
    assert await desk.send("没有签名") == "-15"
    assert await desk.post("sendPackSms", content=f"{NUMBER}|没有签名") == "-15"
    assert await desk.post("sendDIYSms", params=NUMBER, content="【某某】{A}") == "-4"


@pytest.mark.parametrize(
    ("account", "changes", "expected"),
    [
        (DEMO, {"password": "wrong"}, "-1"),
        (DEMO, {"productid": "9"}, "-2"),
        (replace(DEMO, may_query_balance=False), {}, "-9"),
        (replace(DEMO, networks=("10.0.0.0/8",)), {}, "-14"),
        (replace(DEMO, balance_takes_md5=False), {"password": hashlib.md5(b"demo1680").hexdigest()}, "-1"),
    ],
)
async def test_answers_of_the_balance_call(
    call: MakeCaller, account: Account, changes: dict[str, object], expected: str
) -> None:
    desk = await call(account)
    desk.base.update(changes)
    assert await desk.get("balance") == expected


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "sendDIYSms"), ("GET", "sendPackSms"), ("POST", "balance"), ("PUT", "sendXSms")]
)
async def test_wrong_method_is_answered_with_405(call: MakeCaller, method: str, path: str) -> None:
    desk = await call()
    async with desk.session.request(method, f"{desk.box.url}/{path}.do", params=desk.base) as answer:
        assert answer.status == 405


async def test_every_verdict_can_be_forced(call: MakeCaller) -> None:
    desk = await call()
    for verdict, expected in ((Verdict.TOO_FAST, "5"), (Verdict.FAILED, "0"), (Verdict.IP, "-14")):
        desk.box.platform.faults.next(Fault(verdict=verdict))
        assert await desk.send("x") == expected
    desk.box.platform.faults.next(Fault(verdict=Verdict.TOO_FAST), times=2)
    assert await desk.post("sendPackSms", content=f"{NUMBER}|x") == "-5"
    assert await desk.get("balance") == "-5"
    desk.box.platform.faults.next(Fault(body="13", accept=False))
    assert await desk.send("x") == "13"
    assert desk.box.platform.messages == []


async def test_exceeding_the_rate_is_too_fast(call: MakeCaller) -> None:
    desk = await call(replace(DEMO, rate=0.001))
    assert (await desk.send("a")).startswith("1,")
    assert await desk.send("b") == "5"
    assert await desk.post("sendPackSms", content=f"{NUMBER}|c") == "-5"


async def test_more_than_five_calls_at_once_are_too_fast(call: MakeCaller) -> None:
    desk = await call(answer_delay=0.5)
    answers = await asyncio.gather(*(desk.send(str(index)) for index in range(6)))
    assert sorted(answer.partition(",")[0] for answer in answers) == ["1"] * 5 + ["5"]


async def test_scheduled_send_uses_china_time(call: MakeCaller) -> None:
    desk = await call()
    at = datetime.now(UTC) + timedelta(hours=8, minutes=1)
    assert (await desk.send("later", dstime=f"{at:%Y-%m-%d %H:%M:%S}")).startswith("1,")
    message = desk.box.platform.messages[0]
    assert message.state == "scheduled"
    assert abs(message.due_at - datetime.now(UTC).timestamp() - 60) < 5


async def test_requests_of_the_c_and_objective_c_programs(call: MakeCaller, raw: Raw) -> None:
    """Send the bytes that the C program (libghttp) and the Objective-C program (Foundation) send."""
    desk = await call()
    query = f"{urlencode(desk.base)}&mobile={NUMBER}&content=zhiling"
    answer = await raw(
        desk.box.url, f"GET /sendXSms.do?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 200")
    head = f"POST /sendXSms.do HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(query)}\r\n"
    answer = await raw(desk.box.url, f"{head}Content-Type: text/plain\r\n\r\n{query}".encode())
    assert answer.startswith(b"HTTP/1.1 200")
    assert desk.box.platform.phone(NUMBER).texts == ["zhiling"] * 2


async def test_invalid_utf8_is_replaced_and_unescaped_bytes_are_refused(call: MakeCaller, raw: Raw) -> None:
    desk = await call()
    head = f"GET /sendXSms.do?{urlencode(desk.base)}&mobile={NUMBER}&content="
    tail = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await raw(desk.box.url, f"{head}{quote('中国', encoding='gbk')}{tail}".encode())
    assert answer.startswith(b"HTTP/1.1 200")
    answer = await raw(desk.box.url, f"{head}中国{tail}".encode())
    assert answer.split()[1] == b"400"
    (text,) = desk.box.platform.phone(NUMBER).texts
    assert set(text) & {"\ufffd"}


async def test_path_prefix(call: MakeCaller) -> None:
    desk = await call(path_prefix="/ztsms")
    async with desk.session.get(f"{desk.box.url}/ztsms/balance.do", params=desk.base) as answer:
        assert await answer.text() == "1000"


def test_first_value_of_a_repeated_parameter_counts() -> None:
    assert parse_parameters(b"a=1&a=2&b=", b"a=3&c=%E4%B8%AD+x") == {"a": "1", "b": "", "c": "中 x"}


@given(st.lists(st.binary(max_size=200), max_size=2))
def test_random_bytes_raise_only_value_error(forms: list[bytes]) -> None:
    try:
        parameters = parse_parameters(*forms)
    except ValueError:
        assert sum(form.count(b"&") for form in forms) > 40
        return
    assert all(isinstance(value, str) for value in parameters.values())


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])),
        max_size=20,
    )
)
def test_parameters_make_the_round_trip(parameters: dict[str, str]) -> None:
    assert parse_parameters(urlencode(parameters).encode()) == parameters
