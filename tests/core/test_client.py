"""Both clients against the platform on the desk: outcomes, packets, stops, retries. The same rules for either."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sms1680 import (
    Account,
    AuthenticationError,
    BalanceError,
    InvalidMessageError,
    NoAnswerError,
    NotSentError,
    Reason,
    Receipt,
    RefusedError,
    SendError,
    UnknownOutcomeError,
)
from sms1680.sandbox import Account as PlatformAccount, Config, SandboxThread

Make = Callable[..., Any]
MakeBox = Callable[..., SandboxThread]
NUMBERS = [f"1391100000{digit}" for digit in range(10)]
TEXT = "后门打开"
ACCEPTED = ("accepted", None)


def told(receipts: Iterable[Receipt]) -> list[tuple[str, str | None]]:
    return [(receipt.outcome.value, receipt.reason.value if receipt.reason else None) for receipt in receipts]


def ledger(box: SandboxThread) -> dict[tuple[str, str], int]:
    return box.call(lambda platform: dict(platform.ledger))


def one_account(**settings: Any) -> Config:
    return Config(accounts=(PlatformAccount(**settings),))


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 5000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def test_the_four_calls(make: Make, box: SandboxThread) -> None:
    sms = make(box.url, signature="某某科技")
    assert sms.balance() == 1000
    first, second, again = sms.send(["13911000000", "+86 136-8888-8888", 13911000000], TEXT, extension="012")
    assert [first.number, second.number, again.number] == ["13911000000", "13688888888", "13911000000"]
    assert told([first, second, again]) == [ACCEPTED] * 3
    assert first.message_id
    assert first == again
    assert first.message_ids == (first.message_id,)
    [templated] = sms.send_template("{A}，你好", [("13800210000", "李先生")])
    assert (templated.outcome, templated.message_id) == ("accepted", None)
    assert told(sms.send_batch([("13011001111", "一"), ("13011001112", "二")])) == [ACCEPTED] * 2
    assert ledger(box) == {
        ("13911000000", "【某某科技】后门打开"): 1,
        ("13688888888", "【某某科技】后门打开"): 1,
        ("13800210000", "【某某科技】李先生，你好"): 1,
        ("13011001111", "【某某科技】一"): 1,
        ("13011001112", "【某某科技】二"): 1,
    }
    assert [message.extension for message in box.platform.messages[:2]] == ["012", "012"]
    assert sms.balance() == 995


def test_receipts_have_the_billed_parts(make: Make, box: SandboxThread) -> None:
    sms = make(box.url)
    assert [receipt.parts for receipt in sms.send(NUMBERS[:2], "水" * 71)] == [2, 2]
    assert [receipt.parts for receipt in sms.send_batch([(NUMBERS[0], "一"), (NUMBERS[1], "水" * 135)])] == [1, 3]
    assert [receipt.parts for receipt in sms.send_template("{A}", [(NUMBERS[0], "一"), (NUMBERS[1], "水" * 71)])] == [
        1,
        2,
    ]
    assert sms.balance() == 1000 - 4 - 4 - 3


def test_a_scheduled_message_waits_at_the_platform(make: Make, box: SandboxThread) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    make(box.url).send(NUMBERS[0], TEXT, at=at)
    [message] = box.platform.messages
    assert message.due_at == at.timestamp()
    assert not message.arrived


def test_plain_password_form_is_sent(make: Make, make_box: MakeBox) -> None:
    box = make_box(one_account(balance_takes_md5=False))
    with pytest.raises(AuthenticationError):
        make(box.url).balance()
    plain = Account("demo", "demo1680", product_id="61341", balance_form="plain")
    assert make(box.url, plain).balance() == 1000
    everywhere = Account("demo", "demo1680", product_id="61341", form="plain", balance_form="plain")
    assert told(make(box.url, everywhere).send(NUMBERS[0], TEXT)) == [ACCEPTED]


@pytest.mark.parametrize(
    ("settings", "text", "error", "reason"),
    [
        ({"products": {"61341": 0}}, TEXT, BalanceError, Reason.BALANCE),
        ({"products": {"1": 5}}, TEXT, RefusedError, Reason.PRODUCT),
        ({"networks": ("10.0.0.0/8",)}, TEXT, RefusedError, Reason.IP),
        ({"signature_required": True}, TEXT, RefusedError, Reason.SIGNATURE),
        ({"may_submit": False}, TEXT, RefusedError, Reason.PERMISSION),
        ({}, "开发票吗", RefusedError, Reason.FORBIDDEN_WORDS),
    ],
)
def test_refusal_has_a_reason_and_sends_nothing(
    make: Make, make_box: MakeBox, settings: dict[str, Any], text: str, error: type[RefusedError], reason: Reason
) -> None:
    box = make_box(one_account(**settings))
    with pytest.raises(error) as raised:
        make(box.url).send(NUMBERS[:2], text)
    assert raised.value.reason is reason
    assert told(raised.value.receipts) == [("refused", reason.value)] * 2
    assert reason.en in str(raised.value)
    assert reason.zh in raised.value.sentence("zh")
    assert ledger(box) == {}


def test_the_forbidden_word_is_named_on_the_receipt(make: Make, box: SandboxThread) -> None:
    with pytest.raises(RefusedError) as raised:
        make(box.url).send(NUMBERS[0], "开发票吗")
    assert raised.value.receipts[0].detail == "发票"


def test_a_wrong_password_is_an_authentication_error(make: Make, box: SandboxThread) -> None:
    wrong = Account("demo", "wrong", product_id="61341")
    with pytest.raises(AuthenticationError):
        make(box.url, wrong).send(NUMBERS[0], TEXT)
    with pytest.raises(AuthenticationError):
        make(box.url, wrong).balance()


def test_held_message_raises_no_error(make: Make, make_box: MakeBox, box: SandboxThread) -> None:
    assert told(make(box.url).send(NUMBERS[0], "贷款到期")) == [("held", "review")]
    manual = make_box(one_account(manual=True))
    assert told(make(manual.url).send(NUMBERS[0], TEXT)) == [("held", "manual")]


def test_long_call_is_sent_in_packets(make: Make, box: SandboxThread) -> None:
    calls: list[object] = []
    box.platform.faults.choose = calls.append  # type: ignore[assignment]
    sms = make(box.url, packet_size=4)
    assert told(sms.send(NUMBERS, TEXT)) == [ACCEPTED] * 10
    assert len(calls) == 3
    assert told(sms.send(NUMBERS[:4], "水" * 71)) == [ACCEPTED] * 4
    assert len(calls) == 3 + 2
    assert told(sms.send(NUMBERS[0], "水" * 400)) == [ACCEPTED]  # more items than a packet has: still one
    assert len(calls) == 3 + 2 + 1
    sms.send_batch([(NUMBERS[0], "一"), (NUMBERS[1], "水" * 140), (NUMBERS[2], "水" * 70), (NUMBERS[3], "水" * 280)])
    assert len(calls) == 3 + 2 + 1 + 2
    assert all(count == 1 for count in ledger(box).values())


def test_too_many_halves_the_packet_and_sends_nothing_twice(make: Make, make_box: MakeBox) -> None:
    box = make_box(one_account(numbers_max=3))
    assert told(make(box.url).send(NUMBERS, TEXT)) == [ACCEPTED] * 10
    assert ledger(box) == {(number, TEXT): 1 for number in NUMBERS}


def test_stopping_reason_leaves_the_rest_unsent(make: Make, make_box: MakeBox) -> None:
    box = make_box(one_account(products={"61341": 2}))
    with pytest.raises(BalanceError) as raised:
        make(box.url, packet_size=1).send(NUMBERS[:5], TEXT)
    assert told(raised.value.receipts) == [ACCEPTED] * 2 + [("refused", "balance")] + [("not_sent", "balance")] * 2
    assert [receipt.number for receipt in raised.value.receipts] == NUMBERS[:5]
    assert ledger(box) == {(number, TEXT): 1 for number in NUMBERS[:2]}


def test_packet_reason_does_not_stop_the_others(make: Make, box: SandboxThread) -> None:
    box.platform.faults.next("failed")
    with pytest.raises(RefusedError) as raised:
        make(box.url, packet_size=1).send(NUMBERS[:3], TEXT)
    assert told(raised.value.receipts) == [("refused", "failed"), ACCEPTED, ACCEPTED]
    with pytest.raises(RefusedError) as raised:
        make(box.url, packet_size=1).send_batch([(NUMBERS[0], "发票"), (NUMBERS[1], "好")])
    assert told(raised.value.receipts) == [("refused", "forbidden_words"), ACCEPTED]


def test_unknown_comes_before_refused_before_not_sent(make: Make, make_box: MakeBox) -> None:
    box = make_box(one_account(products={"61341": 1}))
    box.platform.faults.next("half")
    with pytest.raises(UnknownOutcomeError) as raised:
        make(box.url, packet_size=1).send(NUMBERS[:3], TEXT)
    assert told(raised.value.receipts) == [("unknown", "lost"), ("refused", "balance"), ("not_sent", "balance")]
    assert "may have been sent" in str(raised.value)
    assert "unknown 1, refused 1, not_sent 1" in str(raised.value)


@pytest.mark.parametrize(
    ("fault", "outcome", "taken_on"),
    [
        ("padded", ACCEPTED, 1),
        ("blank", ACCEPTED, 1),
        ("nul", ACCEPTED, 1),
        ("bom", ACCEPTED, 1),
        ("crlf", ACCEPTED, 1),
        ("no_length", ACCEPTED, 1),
        ("drop_before", ("unknown", "lost"), 0),
        ("drop_after", ("unknown", "lost"), 1),
        ("no_body", ("unknown", "lost"), 1),
        ("half", ("unknown", "lost"), 1),
        ("stall_before", ("unknown", "lost"), 0),
        ("stall_after", ("unknown", "lost"), 1),
        ("html", ("unknown", "not_understood"), 0),
        ("html_accepted", ("unknown", "not_understood"), 1),
        ("error", ("unknown", "not_understood"), 0),
        ("error_accepted", ("unknown", "not_understood"), 1),
        ("empty", ("unknown", "not_understood"), 0),
        ("redirect", ("refused", "wrong_address"), 0),
    ],
)
def test_odd_response_is_never_repeated(
    make: Make, box: SandboxThread, fault: str, outcome: tuple[str, str | None], taken_on: int
) -> None:
    box.platform.faults.next(fault)
    sms = make(box.url, timeout=1.0)
    if outcome == ACCEPTED:
        receipts = sms.send(NUMBERS[0], TEXT)
    else:
        with pytest.raises(SendError) as raised:
            sms.send(NUMBERS[0], TEXT)
        receipts = raised.value.receipts
    assert told(receipts) == [outcome]
    assert sum(ledger(box).values()) == taken_on
    assert told(sms.send(NUMBERS[1], TEXT)) == [ACCEPTED]  # the next one is not harmed


def test_trickling_response_times_out(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gateway = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UnknownOutcomeError) as raised:
            make(gateway, timeout=0.1).send(NUMBERS[0], TEXT)
    assert raised.value.reason is Reason.LOST


def test_too_fast_is_retried_until_patience_ends(make: Make, box: SandboxThread, time: Time) -> None:
    sms = make(box.url, clock=time.clock, sleep=time.sleep)
    box.platform.faults.next("too_fast", 3)
    assert told(sms.send(NUMBERS[0], TEXT)) == [ACCEPTED]
    assert sum(time.slept) == pytest.approx(0.5 + 1.5 + 3.5)
    box.platform.faults.next("too_fast", 99)
    began = time.now
    with pytest.raises(RefusedError) as raised:
        sms.send(NUMBERS[0], TEXT, patience=10)
    assert told(raised.value.receipts) == [("refused", "too_fast")]
    assert time.now - began <= 10 + 4.5
    assert ledger(box) == {(NUMBERS[0], TEXT): 1}


def test_flow_rule_of_the_platform_is_respected(make: Make, make_box: MakeBox) -> None:
    box = make_box(one_account(rate=100.0, concurrency=1))
    sms = make(box.url, rate=100, packet_size=2)
    assert told(sms.send(NUMBERS, TEXT)) == [ACCEPTED] * 10
    assert told(sms.send(NUMBERS[0], "水" * 140)) == [ACCEPTED]
    assert told(sms.send(NUMBERS[0], TEXT)) == [ACCEPTED]
    assert {verdict.value for verdict in box.platform.verdicts} == {"accepted"}


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_missing_connection_is_retried_within_patience(make: Make, time: Time) -> None:
    sms = make(closed_port(), clock=time.clock, sleep=time.sleep, packet_size=1)
    with pytest.raises(NotSentError) as raised:
        sms.send(NUMBERS[:3], TEXT)
    assert told(raised.value.receipts) == [("not_sent", "no_connection")] * 3
    assert raised.value.receipts[0].repeat == "yes"
    assert time.slept == [0.5, 1, 2, 4, 8, 8]  # the first packet's patience; the others do not go on
    with pytest.raises(NoAnswerError) as asked:
        sms.balance()
    assert asked.value.reason is Reason.NO_CONNECTION


def test_restored_connection_delivers(make: Make, make_box: MakeBox, time: Time) -> None:
    gateway = closed_port()
    boxes: list[SandboxThread] = []

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if not boxes:
            boxes.append(make_box(Config(port=int(gateway.rpartition(":")[2]))))

    assert told(make(gateway, clock=time.clock, sleep=sleep).send(NUMBERS[0], TEXT)) == [ACCEPTED]
    assert ledger(boxes[0]) == {(NUMBERS[0], TEXT): 1}


def test_deadline_limits_the_wait_for_a_slot(make: Make, box: SandboxThread, time: Time) -> None:
    sms = make(box.url, rate=1, packet_size=1, clock=time.clock, sleep=time.sleep)
    with pytest.raises(NotSentError) as raised:
        sms.send(NUMBERS[:5], TEXT, deadline=2.5)
    assert told(raised.value.receipts) == [ACCEPTED] * 3 + [("not_sent", "deadline")] * 2
    assert time.now - 5000.0 <= 2.5
    with pytest.raises(NotSentError):
        make(box.url, deadline=0.5, clock=time.clock, sleep=time.sleep).send(NUMBERS[0], TEXT)


def test_receipts_are_passed_on_even_if_the_hook_fails(
    make: Make, make_box: MakeBox, caplog: pytest.LogCaptureFixture
) -> None:
    box = make_box(one_account(products={"61341": 2}))
    heard: list[Receipt] = []

    def on_receipt(receipt: Receipt) -> None:
        heard.append(receipt)
        raise ValueError(receipt.number)

    with pytest.raises(BalanceError) as raised:
        make(box.url, packet_size=1, on_receipt=on_receipt).send(NUMBERS[:4], TEXT)
    assert tuple(heard) == raised.value.receipts
    assert "ValueError" in caplog.text
    assert NUMBERS[0] not in caplog.text


def test_redirects_are_not_followed_and_prefix_and_proxy_are_used(make: Make, make_box: MakeBox) -> None:
    box = make_box(Config(path_prefix="/ztsms"))
    assert told(make(box.url + "/ztsms/").send(NUMBERS[0], TEXT)) == [ACCEPTED]
    with pytest.raises(RefusedError) as raised:
        make(box.url).send(NUMBERS[0], TEXT)
    assert raised.value.reason is Reason.WRONG_ADDRESS
    # The sandbox in the proxy's place is asked for a foreign host and answers for it.
    assert told(make("http://platform.invalid/ztsms", proxy=box.url).send(NUMBERS[1], TEXT)) == [ACCEPTED]


@pytest.mark.parametrize(
    "settings",
    [
        {"packet_size": 0},
        {"packet_size": 1001},
        {"packet_size": True},
        {"rate": 0},
        {"rate": -1},
        {"rate": float("nan")},
        {"patience": -1},
        {"timeout": 0},
        {"connect_timeout": float("inf")},
        {"max_length": 0},
        {"deadline": "5"},
        {"signature": "x" * 31},
        {"signature": "x", "signature_place": "left"},
        {"proxy": "nonsense://user:secret@h"},
        {"proxy": "socks4://user:secret@h"},
        {"proxy": "http://user:secret@[::1"},
    ],
)
def test_invalid_client_settings_are_refused(make: Make, settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessageError) as raised:
        make("http://127.0.0.1:9", **settings)
    assert "secret" not in str(raised.value)
    assert raised.value.sentence("zh") != str(raised.value)


@pytest.mark.parametrize(
    "options", [{"priority": "urgent"}, {"patience": -1}, {"deadline": -1}, {"at": "now"}, {"extension": 12}]
)
def test_bad_options_are_refused_before_anything_is_sent(
    make: Make, box: SandboxThread, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidMessageError):
        make(box.url).send(NUMBERS[0], TEXT, **options)
    with pytest.raises(TypeError):
        make(box.url).send(NUMBERS[0], TEXT, priorty="critical")
    assert ledger(box) == {}


def test_an_estimate_has_the_clients_signature(make: Make) -> None:
    sms = make("http://127.0.0.1:9", signature="某某科技", max_length=100)
    assert sms.estimate("水" * 65).parts == 2
    with pytest.raises(InvalidMessageError):
        sms.estimate("水" * 95)


def test_repr_shows_no_secret_or_number(make: Make, box: SandboxThread) -> None:
    sms = make(box.url)
    receipts = sms.send(NUMBERS[0], TEXT)
    with pytest.raises(RefusedError) as raised:
        sms.send(NUMBERS[0], "发票")
    for shown in (
        repr(sms.client),
        repr(receipts),
        str(receipts[0]),
        receipts[0].sentence(),
        str(raised.value),
        repr(raised.value),
    ):
        assert NUMBERS[0] not in shown
        assert "demo1680" not in shown
        assert "发票" not in shown
    assert "139****0000" in receipts[0].sentence("zh")
