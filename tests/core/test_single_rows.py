"""Rows of templates and batches that contain a separator of their interface: sent by themselves, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sms1680 import InvalidMessageError, RefusedError, SpendingLimits
from sms1680.sandbox import SandboxThread

Make = Callable[..., Any]
A, B, C, D = (f"1391100000{digit}" for digit in range(4))


def sent(box: SandboxThread) -> list[tuple[str, str]]:
    return [(message.number, message.text) for message in box.platform.messages]


def test_rows_of_a_batch_with_separators_are_sent_by_themselves(make: Make, box: SandboxThread) -> None:
    calls: list[object] = []
    box.platform.faults.choose = calls.append  # type: ignore[assignment]
    sms = make(box.url, signature="某某科技")
    receipts = sms.send_batch([(A, "水|电"), (B, "一"), (C, "5$"), (D, "二"), (A, "水|电")], extension="7")
    assert [(receipt.number, receipt.outcome.value) for receipt in receipts] == [
        (number, "accepted") for number in (A, B, C, D, A)
    ]
    assert [bool(receipt.message_id) for receipt in receipts] == [True, False, True, False, True]
    assert [receipt.index for receipt in receipts] == [0, 1, 2, 3, 0]
    assert sent(box) == [
        (B, "【某某科技】一"),
        (D, "【某某科技】二"),
        (A, "【某某科技】水|电"),
        (C, "【某某科技】5$"),
    ]
    assert {message.extension for message in box.platform.messages} == {"7"}
    assert len(calls) == 3


def test_rows_of_a_template_with_separators_are_filled_in_and_sent_by_themselves(
    make: Make, box: SandboxThread
) -> None:
    sms = make(box.url, signature="某某科技", signature_place="behind")
    receipts = sms.send_template("{A}，{PHONE}", [(A, "前门, 后门"), (B, "窗"), (C, "一;" * 60)])
    assert [receipt.outcome.value for receipt in receipts] == ["accepted"] * 3
    assert [receipt.parts for receipt in receipts] == [1, 1, 3]
    assert sent(box) == [
        (B, f"窗，{B}【某某科技】"),
        (A, f"前门, 后门，{A}【某某科技】"),
        (C, f"{'一;' * 60}，{C}【某某科技】"),
    ]


@pytest.mark.parametrize("single_rows", [True, False])
def test_row_whose_value_has_the_signature_has_it_once(make: Make, box: SandboxThread, *, single_rows: bool) -> None:
    sms = make(box.url, signature="某某科技,某某", single_rows=single_rows)
    rows = [(A, "【某某科技】前门"), (B, "【告警】窗"), (C, "【某某】灯")]
    receipts = sms.send_template("{A}", rows)
    assert [receipt.outcome.value for receipt in receipts] == ["accepted"] * 3
    assert sent(box) == [(B, "【某某科技】【告警】窗"), (A, "【某某科技】前门"), (C, "【某某】灯")]


def test_refused_row_keeps_no_other_row_back(make: Make, box: SandboxThread) -> None:
    results: list[tuple[str, str]] = []
    sms = make(box.url, on_receipt=lambda receipt: results.append((receipt.number, receipt.outcome.value)))
    with pytest.raises(RefusedError) as raised:
        sms.send_batch([(A, "发票|"), (B, "一"), (C, "二|")])
    assert [(receipt.number, receipt.outcome.value) for receipt in raised.value.receipts] == [
        (A, "refused"),
        (B, "accepted"),
        (C, "accepted"),
    ]
    assert results == [(B, "accepted"), (A, "refused"), (C, "accepted")]


def test_lost_answer_concerns_one_row_only(make: Make, box: SandboxThread) -> None:
    box.platform.faults.next("half")
    with pytest.raises(Exception, match="may have been sent") as raised:
        make(box.url).send_template("{A}", [(A, "a;b"), (B, "c,d")])
    assert [receipt.outcome.value for receipt in raised.value.receipts] == ["unknown", "accepted"]  # type: ignore[attr-defined]


def test_guard_counts_rows_that_are_sent_by_themselves(make: Make, box: SandboxThread, tmp_path: object) -> None:
    limits = SpendingLimits(hour=2, day=None, number=None, automatic=None)
    sms = make(box.url, spending=limits, state_dir=str(tmp_path))
    with pytest.raises(RefusedError) as raised:
        sms.send_batch([(A, "一|"), (B, "一"), (C, "二|")])
    outcomes = {receipt.number: receipt.outcome.value for receipt in raised.value.receipts}
    assert sorted(outcomes.values()) == ["accepted", "accepted", "refused"]
    assert [receipt.number for receipt in raised.value.receipts] == [A, B, C]
    assert {number for number, outcome in outcomes.items() if outcome == "accepted"} == {
        number for number, _ in sent(box)
    }


def test_setting_forbids_single_rows(make: Make, box: SandboxThread) -> None:
    sms = make(box.url, single_rows=False)
    with pytest.raises(InvalidMessageError, match="row 2"):
        sms.send_batch([(A, "一"), (B, "二|")])
    with pytest.raises(InvalidMessageError, match="row 1"):
        sms.send_template("{A}", [(A, "a,b"), (B, "c")])
    assert not sent(box)
