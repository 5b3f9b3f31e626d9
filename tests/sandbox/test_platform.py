"""The platform's rules, with a manual clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from sms1680.sandbox import Account, Result, State, Verdict
from sms1680.sandbox.flow_rule import FlowRule
from sms1680.sandbox.records import ReportReady

if TYPE_CHECKING:
    from tests.sandbox.conftest import Desk, MakeDesk

NUMBER = "13800000000"
OTHER = "13900000001"
PRODUCT = "61341"


def submit(desk: Desk, *pairs: tuple[str, str], **options: object) -> Result:
    """Submit and answer at once."""
    result = desk.platform.submit(desk.account, options.pop("product", PRODUCT), list(pairs), **options)
    desk.platform.answered(desk.account, result)
    return result


def reports(desk: Desk) -> list[ReportReady]:
    received = []
    desk.platform.listeners.append(lambda event: received.append(event) if isinstance(event, ReportReady) else None)
    return received


@pytest.mark.parametrize(
    ("changes", "pair", "options", "verdict"),
    [
        ({"may_submit": False}, (NUMBER, "x"), {}, Verdict.PERMISSION),
        ({"suspended": True}, (NUMBER, "x"), {}, Verdict.USER),
        ({}, (NUMBER, "x"), {"product": "1"}, Verdict.PRODUCT),
        ({}, (NUMBER, "x"), {"extension": "1a"}, Verdict.PARAMETER),
        ({}, (NUMBER, "x"), {"extension": "１"}, Verdict.PARAMETER),
        ({}, (NUMBER, "x"), {"extension": "1234567890"}, Verdict.LONG_NUMBER),
        ({}, ("1380000000", "x"), {}, Verdict.NUMBER),
        ({}, (NUMBER, " "), {}, Verdict.EMPTY),
        ({"signature_required": True}, (NUMBER, "x"), {}, Verdict.SIGNATURE),
        ({"products": {PRODUCT: 1}}, (NUMBER, "x" * 71), {}, Verdict.BALANCE),
        ({}, (NUMBER, "开发票"), {}, Verdict.FORBIDDEN_WORDS),
    ],
)
def test_refused_submission_costs_nothing_and_is_not_sent(
    desk: MakeDesk, changes: dict[str, object], pair: tuple[str, str], options: dict[str, object], verdict: Verdict
) -> None:
    table = desk(replace(Account(), **changes))
    before = dict(table.account.balances)
    assert submit(table, pair, **options).verdict is verdict
    assert table.account.balances == before
    assert table.platform.messages == []
    assert table.platform.phones == {}
    assert submit(table, (NUMBER, "【某某】好")).verdict in {Verdict.ACCEPTED, Verdict.PERMISSION, Verdict.USER}


def test_accepted_message_is_sent_at_once_and_costs_parts(desk: MakeDesk) -> None:
    table = desk()
    result = submit(table, (NUMBER, "【某某】" + "字" * 71), (OTHER, "b"), ("1", "none"), extension="12")
    assert result.verdict is Verdict.ACCEPTED
    assert table.account.balances[PRODUCT] == 1000 - 3
    message = table.platform.phone(NUMBER).messages[0]
    assert (message.parts, message.extension, message.message_id) == (2, "12", result.message_id)
    assert table.platform.phone(OTHER).texts == ["b"]
    assert len(table.platform.messages) == 2


def test_ids_are_18_digits_that_start_with_china_time(desk: MakeDesk) -> None:
    table = desk()
    first, second = (submit(table, (NUMBER, text)).message_id for text in "ab")
    assert first != second
    china = datetime.fromtimestamp(table.clock.now, UTC) + timedelta(hours=8)
    assert first.startswith(f"{china:%y%m%d%H%M%S}")
    assert len(first) == len(second) == 18
    assert first.isdecimal()


def test_own_signature_of_the_platform_is_prepended_and_charged(desk: MakeDesk) -> None:
    table = desk(Account(own_signature="某某科技", signature_required=True))
    submit(table, (NUMBER, "字" * 65))
    assert table.platform.phone(NUMBER).texts == ["【某某科技】" + "字" * 65]
    assert table.account.balances[PRODUCT] == 998


@pytest.mark.parametrize(("text", "manual", "verdict"), [("贷款", False, Verdict.REVIEW), ("x", True, Verdict.MANUAL)])
def test_held_message_waits_for_a_decision(desk: MakeDesk, text: str, manual: bool, verdict: Verdict) -> None:
    table = desk(Account(manual=manual))
    received = reports(table)
    first, second = submit(table, (NUMBER, text)), submit(table, (OTHER, text))
    assert first.verdict is second.verdict is verdict
    assert table.platform.phone(NUMBER).texts == []
    assert table.platform.ledger == {(NUMBER, text): 1, (OTHER, text): 1}
    assert table.account.balances[PRODUCT] == 998
    table.platform.decide(first.message_id, approve=True)
    table.platform.decide(second.message_id, approve=False)
    table.advance(1)
    assert table.platform.phone(NUMBER).texts == [text]
    assert table.platform.phone(OTHER).texts == []
    assert table.account.balances[PRODUCT] == 999
    assert {(report.message_id, report.status) for report in received} == {
        (first.message_id, "0"),
        (second.message_id, "KX:1000"),
    }
    with pytest.raises(KeyError):
        table.platform.decide(first.message_id, approve=True)


def test_scheduled_message_is_sent_when_due(desk: MakeDesk) -> None:
    table = desk()
    at = datetime.fromtimestamp(table.clock.now + 60, UTC)
    submit(table, (NUMBER, "later"), at=at)
    assert table.account.balances[PRODUCT] == 999
    table.advance(59.9)
    assert table.platform.phone(NUMBER).texts == []
    assert table.platform.messages[0].state is State.SCHEDULED
    table.advance(0.1)
    assert table.platform.phone(NUMBER).texts == ["later"]
    table.advance(1)
    assert table.platform.messages[0].state is State.DELIVERED


def test_past_time_means_now(desk: MakeDesk) -> None:
    table = desk()
    submit(table, (NUMBER, "x"), at=datetime(2010, 12, 30, tzinfo=UTC))
    assert table.platform.phone(NUMBER).texts == ["x"]


def test_delivery_reports_have_the_status_of_the_phone(desk: MakeDesk) -> None:
    table = desk(report_delay=5.0)
    received = reports(table)
    table.platform.phone(OTHER).report_status = "UNDELIV"
    table.platform.phone("13900000002").report_status = None
    result = submit(table, (NUMBER, "x"), (OTHER, "x"), ("13900000002", "x"))
    table.advance(4.9)
    assert received == []
    table.advance(0.1)
    assert [(report.message_id, report.number, report.status) for report in received] == [
        (result.message_id, NUMBER, "0"),
        (result.message_id, OTHER, "UNDELIV"),
    ]
    assert table.platform.phone(OTHER).texts == []
    assert table.platform.phone("13900000002").texts == ["x"]


def test_repeating_a_text_too_often_fails_with_kx_4000(desk: MakeDesk) -> None:
    table = desk(repeat_limit=2, repeat_window=60.0)
    received = reports(table)
    for _ in range(3):
        assert submit(table, (NUMBER, "same")).verdict is Verdict.ACCEPTED
    submit(table, (OTHER, "same"))
    table.advance(1)
    assert [report.status for report in received] == ["0", "0", "KX:4000", "0"]
    assert table.platform.phone(NUMBER).texts == ["same", "same"]
    assert table.platform.ledger[NUMBER, "same"] == 3
    table.advance(60)
    submit(table, (NUMBER, "same"))
    table.advance(1)
    assert received[-1].status == "0"


def test_more_than_a_thousand_numbers_are_refused(desk: MakeDesk) -> None:
    table = desk(Account(products={PRODUCT: 5000}))
    numbers = [(f"138{index:08d}", "x") for index in range(1001)]
    assert submit(table, *numbers).verdict is Verdict.TOO_MANY
    assert submit(table, *numbers[:1000]).verdict is Verdict.ACCEPTED


def test_reply_answers_the_last_message_by_default(desk: MakeDesk) -> None:
    table = desk()
    submit(table, (NUMBER, "first"), extension="11")
    submit(table, (NUMBER, "second"), extension="012")
    assert table.platform.reply(NUMBER, "1").extension == "012"
    assert table.platform.reply(NUMBER, "1", extension="11").extension == "11"
    assert table.platform.reply("10086", "短号").extension == ""
    assert [uplink.text for uplink in table.platform.uplinks] == ["1", "1", "短号"]
    with pytest.raises(ValueError, match="account"):
        table.platform.reply(NUMBER, "1", username="nobody")
    with pytest.raises(ValueError, match="digits"):
        table.platform.reply(NUMBER, "1", extension="x")


def test_reset_clears_everything_except_the_addresses(desk: MakeDesk) -> None:
    table = desk()
    table.account.report_address = "http://127.0.0.1/mr"
    submit(table, (NUMBER, "x"))
    table.platform.faults.always("half")
    table.platform.reset()
    assert table.account.balances == {PRODUCT: 1000}
    assert table.account.report_address == "http://127.0.0.1/mr"
    assert table.platform.ledger == {}
    assert table.platform.faults.standing is None


# --- flow -------------------------------------------------------------------------------------------------------------


def test_next_submit_waits_for_items_by_rate_after_the_answer(desk: MakeDesk) -> None:
    table = desk(Account(rate=10))
    first = table.platform.submit(table.account, PRODUCT, [(NUMBER, "字" * 71), (OTHER, "字" * 71)])
    assert first.flow_items == 4
    assert submit(table, (NUMBER, "x")).verdict is Verdict.TOO_FAST, "the first one is still in progress"
    table.advance(30)
    table.platform.answered(table.account, first)
    table.advance(0.399)
    assert submit(table, (NUMBER, "x")).verdict is Verdict.TOO_FAST
    table.advance(0.002)
    assert submit(table, (NUMBER, "x")).verdict is Verdict.ACCEPTED


def test_refused_submit_does_not_count(desk: MakeDesk) -> None:
    table = desk(Account(rate=1))
    assert submit(table, (NUMBER, "发票")).verdict is Verdict.FORBIDDEN_WORDS
    assert submit(table, (NUMBER, "x")).verdict is Verdict.ACCEPTED


def test_without_a_rate_five_submits_can_be_in_progress(desk: MakeDesk) -> None:
    table = desk()
    results = [table.platform.submit(table.account, PRODUCT, [(NUMBER, str(index))]) for index in range(6)]
    assert [result.verdict for result in results] == [Verdict.ACCEPTED] * 5 + [Verdict.TOO_FAST]
    table.platform.answered(table.account, results[5])
    assert submit(table, (NUMBER, "x")).verdict is Verdict.TOO_FAST
    table.platform.answered(table.account, results[0])
    assert submit(table, (NUMBER, "x")).verdict is Verdict.ACCEPTED


@given(st.floats(0.1, 1000), st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 100)), max_size=20))
def test_rate_is_never_exceeded(rate: float, submits: list[tuple[int, float]]) -> None:
    rule, now, admitted = FlowRule(rate, 5), 0.0, []
    for items, pause in submits:
        now += pause
        if rule.admit(now):
            admitted.append((now, items))
            rule.finish(now, items)
    for (earlier, items), (later, _) in pairwise(admitted):
        assert later >= earlier + items / rate


# --- who may ----------------------------------------------------------------------------------------------------------


def test_passwords_plain_and_md5(desk: MakeDesk) -> None:
    table = desk(Account(password="123456", balance_takes_md5=False))
    digest = "e10adc3949ba59abbe56e057f20f883e"

    def ask(password: str, **options: bool) -> object:
        return table.platform.authenticate("demo", password, "127.0.0.1", **options)

    assert ask("123456") is ask(digest) is table.account
    assert ask(digest.upper()) is ask("12345") is ask("") is ask("密码") is Verdict.AUTHENTICATION
    assert ask("123456", for_balance=True) is table.account
    assert ask(digest, for_balance=True) is Verdict.AUTHENTICATION
    assert table.platform.authenticate("Demo", "123456", "127.0.0.1") is Verdict.AUTHENTICATION


@pytest.mark.parametrize(
    ("address", "admitted"), [("127.0.0.1", True), ("10.1.2.3", True), ("10.2.0.0", False), ("::1", False), ("", False)]
)
def test_ip_list(desk: MakeDesk, address: str, admitted: bool) -> None:
    table = desk(Account(networks=("127.0.0.0/8", "10.1.0.0/16")))
    answer = table.platform.authenticate("demo", "demo1680", address)
    assert answer is (table.account if admitted else Verdict.IP)


@pytest.mark.parametrize(
    "changes", [{"rate": 0}, {"networks": ("nowhere",)}, {"source_number": "1a"}, {"concurrency": 0}]
)
def test_invalid_accounts_are_rejected(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"rate|network|digits|least"):
        Account(**changes)


def test_repr_contains_no_password_number_or_text(desk: MakeDesk) -> None:
    table = desk()
    submit(table, (NUMBER, "secret text"))
    uplink = table.platform.reply(NUMBER, "secret answer")
    shown = repr([table.account, table.platform.messages, uplink, table.platform.phone(NUMBER)])
    assert not any(secret in shown for secret in ("demo1680", NUMBER, "secret"))
