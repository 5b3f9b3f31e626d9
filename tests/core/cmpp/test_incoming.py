"""Received DELIVERs with a controlled clock: duplicates, early reports, long messages; backoff and wire log."""

import random
import re
from typing import Any

import pytest
from hypothesis import given, strategies as st

from sms1680 import DeliveryReport, Reason, Reply
from sms1680.cmpp.connection import Backoff
from sms1680.cmpp.events import CloseCause, SessionClosed
from sms1680.cmpp.incoming import DeliverProcessor, InboundDeliver, PendingItem
from sms1680.cmpp.tracking import ReportTracker, plain_number
from sms1680.cmpp.wire.errors import CodecError
from sms1680.cmpp.wire.pdus import Deliver
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.cmpp.wirelog import WireLog

NUMBER = "13800138000"


class Inbound:
    """A processor with a controlled clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tracker = ReportTracker(0.0)
        self.processor = DeliverProcessor(self.tracker, "10690001", assembly_time=60.0, ack_timeout=30.0)
        self.sequence = 0
        self.connection = "connection"

    def feed(self, content: bytes, *, in_flight: bool = False, **fields: Any) -> list[PendingItem]:
        self.sequence += 1
        given: dict[str, Any] = {"msg_id": self.sequence, "dest_id": "1069000188", "src_terminal_id": NUMBER} | fields
        pdu = Deliver(sequence_id=self.sequence, msg_content=content, **given)
        return self.processor.process(InboundDeliver(pdu, self.connection), self.now, in_flight=in_flight)

    def report(self, msg_id: int, stat: str = "DELIVRD", number: str = NUMBER, **options: Any) -> list[PendingItem]:
        content = bytes(ReportContent(msg_id=msg_id, stat=stat, dest_terminal_id=number))
        return self.feed(content, registered_delivery=1, **options)


def values(items: list[PendingItem]) -> list[Any]:
    return [one.value for one in items]


# --- replies ---------------------------------------------------------------------------------------------------------


def test_repeated_reply_is_acknowledged_again_after_it_was_accepted() -> None:
    inbound = Inbound()
    [first] = inbound.feed(b"Y", msg_id=5)
    assert inbound.feed(b"Y", msg_id=5) == []
    due = inbound.processor.settle(first, accepted=True)
    assert [deliver.pdu.sequence_id for deliver in due] == [1, 2]
    [again] = inbound.feed(b"Y", msg_id=5)
    assert again.value is None
    assert [deliver.pdu.sequence_id for deliver in inbound.processor.settle(again, accepted=True)] == [3]


def test_rejected_reply_is_dispatched_again_when_repeated() -> None:
    inbound = Inbound()
    [first] = inbound.feed(b"Y", msg_id=5)
    assert inbound.processor.settle(first, accepted=False) == []
    assert values(inbound.feed(b"Y", msg_id=5)) == [Reply(NUMBER, "Y", "88", "5")]


@pytest.mark.parametrize(
    "other", [{"msg_id": 6}, {"src_terminal_id": "13800138001"}, {"content": b"N"}, {"msg_id": 0}], ids=str
)
def test_different_message_is_not_a_duplicate(other: dict[str, Any]) -> None:
    inbound = Inbound()
    inbound.feed(b"Y", msg_id=other.get("msg_id", 5) and 5)
    content = other.pop("content", b"Y")
    assert len(inbound.feed(content, **({"msg_id": 5} | other))) == 1


def test_equal_replies_without_msg_id_are_both_dispatched() -> None:
    inbound = Inbound()
    assert len(inbound.feed(b"Y", msg_id=0)) == 1
    assert len(inbound.feed(b"Y", msg_id=0)) == 1


def test_without_msg_id_the_key_depends_on_the_connection() -> None:
    inbound = Inbound()
    [first] = inbound.feed(b"Y", msg_id=0)
    inbound.processor.settle(first, accepted=True)
    inbound.sequence, inbound.connection = 0, "another connection"
    assert values(inbound.feed(b"Y", msg_id=0)) == [Reply(NUMBER, "Y", "88", "0")]


def test_same_reply_with_the_same_msg_id_is_new_after_five_times_t() -> None:
    inbound = Inbound()
    [first] = inbound.feed(b"2", msg_id=12345)
    inbound.processor.settle(first, accepted=True)
    inbound.now = 300.0
    assert values(inbound.feed(b"2", msg_id=12345)) == [None]
    inbound.now = 301.0
    [second] = inbound.feed(b"2", msg_id=12345)
    assert second.value == Reply(NUMBER, "2", "88", "12345")
    inbound.processor.settle(second, accepted=True)
    # A gateway repeats an unacknowledged DELIVER on the next connection, at any time.
    inbound.now, inbound.connection = 4000.0, "another connection"
    assert values(inbound.feed(b"N", msg_id=5)) == [Reply(NUMBER, "N", "88", "5")]
    inbound.now = 4300.0
    assert values(inbound.feed(b"2", msg_id=12345)) == [None]


def test_unaccepted_reply_stays_a_duplicate_at_any_age() -> None:
    inbound = Inbound()
    inbound.feed(b"2", msg_id=5)
    inbound.now = 3000.0
    assert inbound.feed(b"2", msg_id=5) == []


def test_extension_follows_the_source_number() -> None:
    inbound = Inbound()
    [own] = values(inbound.feed(b"Y", dest_id="10690001"))
    [other] = values(inbound.feed(b"Y", dest_id="95555"))
    assert (own.extension, other.extension) == ("", "95555")


@pytest.mark.parametrize(
    ("came", "plain"),
    [("8613800138000", NUMBER), ("+8613800138000", NUMBER), (NUMBER, NUMBER), ("10086", "10086"), ("", "")],
)
def test_trap_22_plain_number_removes_86(came: str, plain: str) -> None:
    assert plain_number(came) == plain


def test_waiting_segment_is_acknowledged_after_half_of_t() -> None:
    inbound = Inbound()
    assert inbound.feed(bytes((5, 0, 3, 1, 3, 1)) + b"a", tp_udhi=1) == []
    inbound.now = 10.0
    assert inbound.feed(bytes((5, 0, 3, 1, 3, 3)) + b"c", tp_udhi=1) == []
    assert inbound.processor.deadline == 30.0
    items, due = inbound.processor.tick(30.0)
    assert (items, [deliver.pdu.sequence_id for deliver in due]) == ([], [1])
    due[0].acknowledged = True
    items, due = inbound.processor.tick(60.0)
    assert values(items) == [Reply(NUMBER, "a…c", "88", "1", incomplete=True)]
    assert due == []  # the application now decides on the second one
    assert inbound.processor.deadline is None
    assert [deliver.pdu.sequence_id for deliver in inbound.processor.settle(items[0], accepted=True)] == [2]


def test_rejected_long_message_is_not_acknowledged_and_is_dispatched_again() -> None:
    inbound = Inbound()
    segments = [(bytes((5, 0, 3, 1, 2, number)) + b"ab"[number - 1 : number], number) for number in (1, 2)]
    inbound.feed(segments[0][0], tp_udhi=1, msg_id=1)
    [whole] = inbound.feed(segments[1][0], tp_udhi=1, msg_id=2)
    assert inbound.processor.settle(whole, accepted=False) == []
    assert inbound.processor.tick(60.0) == ([], [])
    assert values(inbound.feed(segments[0][0], tp_udhi=1, msg_id=1)) == [Reply(NUMBER, "ab", "88", "1")]
    assert inbound.feed(segments[1][0], tp_udhi=1, msg_id=2) == []
    assert len(inbound.processor.settle(whole, accepted=True)) == 4


def test_segment_repeated_after_the_complete_message_is_a_duplicate() -> None:
    inbound = Inbound()
    inbound.feed(bytes((5, 0, 3, 1, 2, 1)) + b"a", tp_udhi=1, msg_id=1)
    [whole] = inbound.feed(bytes((5, 0, 3, 1, 2, 2)) + b"b", tp_udhi=1, msg_id=2)
    assert whole.value == Reply(NUMBER, "ab", "88", "1")
    assert len(inbound.processor.settle(whole, accepted=True)) == 2
    [again] = inbound.feed(bytes((5, 0, 3, 1, 2, 1)) + b"a", tp_udhi=1, msg_id=1)
    assert again.value is None
    assert inbound.processor.deadline == 30.0 or inbound.processor.deadline is None


def test_segment_that_comes_again_under_new_ids_fills_no_memory() -> None:
    inbound = Inbound()
    for _ in range(500):
        assert inbound.feed(bytes((5, 0, 3, 1, 2, 1)) + b"a", tp_udhi=1) == []
    [whole] = inbound.feed(bytes((5, 0, 3, 1, 2, 2)) + b"b", tp_udhi=1)
    assert whole.value == Reply(NUMBER, "ab", "88", "1")
    assert len(whole.delivers) == len(whole.keys) == 8
    due = inbound.processor.settle(whole, accepted=True)
    assert [deliver.pdu.sequence_id for deliver in due] == list(range(494, 502))  # the newest of each segment
    [again] = inbound.feed(bytes((5, 0, 3, 1, 2, 1)) + b"a", tp_udhi=1, msg_id=1)  # a forgotten one
    assert again.value is None
    assert len(inbound.processor.settle(again, accepted=True)) == 1
    assert inbound.processor.tick(1000.0) == ([], [])


def test_character_cut_between_segments_is_decoded() -> None:
    inbound = Inbound()
    octets = "门开".encode("gb18030")
    inbound.feed(bytes((5, 0, 3, 1, 2, 1)) + octets[:3], tp_udhi=1, msg_fmt=15)
    [whole] = inbound.feed(bytes((5, 0, 3, 1, 2, 2)) + octets[3:], tp_udhi=1, msg_fmt=15)
    assert isinstance(whole.value, Reply)
    assert whole.value.content == "门开"


def test_trap_17_odd_octet_in_a_segment_does_not_shift_the_next_one() -> None:
    def read(*bodies: bytes) -> object:
        inbound = Inbound()
        items: list[PendingItem] = []
        for number, body in enumerate(bodies, 1):
            items = inbound.feed(bytes((5, 0, 3, 1, len(bodies), number)) + body, tp_udhi=1, msg_fmt=8)
        [whole] = values(items)
        return whole.content

    one, two, three = (text.encode("utf-16-be") for text in ("世界", "你好", "再见"))
    assert read(one + b"\0", two, three) == "世界你好再见"
    assert read(one[:3], one[3:] + two) == "世界你好"
    assert read(one, two, three + b"\0") == "世界你好再见"


def test_flush_returns_everything_that_waits() -> None:
    inbound = Inbound()
    inbound.feed(bytes((5, 0, 3, 1, 2, 1)) + b"a", tp_udhi=1)
    inbound.report(99, in_flight=True)
    assert [type(value) for value in values(inbound.processor.flush())] == [Reply, DeliveryReport]
    assert inbound.processor.flush() == []


# --- reports ---------------------------------------------------------------------------------------------------------


def test_trap_8_report_is_detected_whatever_its_flags_say() -> None:
    inbound = Inbound()
    content = bytes(ReportContent(msg_id=7, stat="DELIVRD", dest_terminal_id=NUMBER))
    [report] = values(inbound.feed(content, registered_delivery=1, tp_udhi=1, msg_fmt=15))
    assert report == DeliveryReport("7", NUMBER, "DELIVRD")


def test_trap_2_report_waits_for_its_submit_resp_for_up_to_t() -> None:
    inbound = Inbound()
    assert inbound.report(7, in_flight=True) == []
    assert inbound.report(8, in_flight=True) == []
    assert values(inbound.processor.on_message_accepted((7,), 1, 1.0)) == [DeliveryReport("7", NUMBER, "DELIVRD")]
    assert inbound.processor.deadline == 30.0
    items, due = inbound.processor.tick(30.0)
    assert (items, len(due)) == ([], 1)
    assert inbound.processor.deadline == 60.0
    items, _ = inbound.processor.tick(60.0)
    assert values(items) == [DeliveryReport("8", NUMBER, "DELIVRD")]


def test_trap_1_early_report_of_a_segment_counts_for_the_long_message() -> None:
    inbound = Inbound()
    assert inbound.report(8, in_flight=True) == []
    [early] = inbound.processor.on_message_accepted((7, 8), 2, 0.0)
    assert early.value is None
    assert values(inbound.report(7)) == [DeliveryReport("7", NUMBER, "DELIVRD")]


def test_reports_of_several_destinations_are_joined_separately() -> None:
    inbound = Inbound()
    inbound.processor.on_message_accepted((7, 8), 2, 0.0)
    assert values(inbound.report(7)) == [None]
    assert values(inbound.report(8, number="8613800138001")) == [None]
    assert values(inbound.report(8)) == [DeliveryReport("7", NUMBER, "DELIVRD")]
    assert values(inbound.report(7, number="13800138001")) == [DeliveryReport("7", "13800138001", "DELIVRD")]


def test_reports_of_an_open_message_wait_for_it_without_limit() -> None:
    inbound = Inbound()
    assert inbound.report(7, in_flight=True) == []  # before the SUBMIT_RESP of its segment
    inbound.processor.on_segment_accepted(7)
    inbound.processor.on_segment_accepted(8)
    assert inbound.report(8) == []  # after it, with nothing in flight
    assert inbound.processor.deadline == 30.0
    items, due = inbound.processor.tick(30.0)
    assert (items, len(due)) == ([], 2)  # acknowledged without waiting for the other segments
    assert inbound.processor.deadline is None
    assert inbound.processor.tick(5000.0) == ([], [])
    [first, second] = inbound.processor.on_message_accepted((7, 8, 9), 3, 5000.0)
    assert (first.value, second.value) == (None, None)
    assert values(inbound.report(9)) == [DeliveryReport("7", NUMBER, "DELIVRD")]


def test_partly_accepted_message_is_reported_by_segment() -> None:
    inbound = Inbound()
    inbound.processor.on_message_accepted((7, 9), 3, 0.0)
    assert values(inbound.report(9)) == [DeliveryReport("9", NUMBER, "DELIVRD")]
    assert values(inbound.report(7, "UNDELIV")) == [DeliveryReport("7", NUMBER, "UNDELIV")]


@pytest.mark.parametrize("status", ["DELIVRD", "UNDELIV"])
def test_earlier_report_counts_after_a_late_response_completes_the_message(status: str) -> None:
    inbound = Inbound()
    inbound.processor.on_message_accepted((8,), 2, 0.0)
    assert values(inbound.report(8, status)) == [DeliveryReport("8", NUMBER, status)]
    inbound.processor.on_message_accepted((7, 8), 2, 0.0)
    assert values(inbound.report(7)) == [DeliveryReport("7", NUMBER, status)]


def test_report_repeated_with_another_outer_msg_id_is_a_duplicate() -> None:
    inbound = Inbound()
    [first] = inbound.report(7)
    inbound.processor.settle(first, accepted=True)
    assert values(inbound.report(7)) == [None]


def test_invalid_report_raises_codec_error() -> None:
    with pytest.raises(CodecError):
        Inbound().feed(b"short", registered_delivery=1)


@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_reports_in_any_order_give_exactly_one_result(chance: random.Random, segments: int) -> None:
    inbound = Inbound()
    ids = tuple(range(1000, 1000 + segments))
    reports = [(msg_id, stat) for msg_id in ids for stat in ("ACCEPTD", "DELIVRD")]
    chance.shuffle(reports)
    known = chance.randrange(len(reports) + 1)
    items: list[PendingItem] = []
    for place, (msg_id, stat) in enumerate(reports):
        if place == known:
            items += inbound.processor.on_message_accepted(ids, segments, 0.0)
        items += inbound.report(msg_id, stat, in_flight=place < known)
    if known == len(reports):
        items += inbound.processor.on_message_accepted(ids, segments, 0.0)
    final = [value for value in values(items) if value is not None and value.state.value != "pending"]
    assert final == [DeliveryReport("1000", NUMBER, "DELIVRD")] if segments > 1 else len(final) == 1


def test_tracker_forgets_messages_after_two_to_three_days() -> None:
    tracker = ReportTracker(0.0)
    tracker.add((1,), 1, 0.0)
    tracker.add((2, 3), 2, 1.0)
    for day in (1, 2):
        tracker.add((100 + day,), 1, day * 86400.0)
    assert tracker.is_known(1)
    assert tracker.is_known(3)
    tracker.add((103,), 1, 3 * 86400.0)
    assert not tracker.is_known(1)
    assert len(tracker) == 3


# --- backoff ----------------------------------------------------------------------------------------------------------


def closed(
    status: int | None = None, reason: Reason | None = None, cause: CloseCause = CloseCause.LOGIN_REFUSED
) -> SessionClosed:
    return SessionClosed(cause, (), status, reason)


@pytest.mark.parametrize(
    ("end", "delays"),
    [
        (None, [1, 2, 4, 8, 16, 32, 60, 60]),
        (closed(cause=CloseCause.CONNECTION_LOST), [1, 2, 4, 8, 16, 32, 60, 60]),
        (closed(3, Reason.AUTHENTICATION), [300, 600, 1200, 2400, 3600, 3600]),
        (closed(2, Reason.IP), [300, 600, 1200, 2400, 3600, 3600]),
        (closed(4, Reason.VERSION), [300, 600, 1200, 2400, 3600, 3600]),
        (closed(cause=CloseCause.PROTOCOL_ERROR), [300, 600, 1200, 2400, 3600, 3600]),
        (closed(5, Reason.SUSPENDED), [60, 120, 240, 480, 900, 900]),
    ],
)
def test_delays_double_up_to_their_maximum(end: SessionClosed | None, delays: list[int]) -> None:
    backoff = Backoff(lambda: 0.0)
    assert [backoff.next_delay(end, 0.0) for _ in delays] == delays


def test_random_extra_is_half_of_the_delay_within_the_maximum() -> None:
    backoff = Backoff(lambda: 1.0)
    suspended = closed(5, Reason.SUSPENDED)
    assert [backoff.next_delay(suspended, 0.0) for _ in range(5)] == [90, 180, 360, 720, 900]


def test_stable_connection_resets_the_delay_and_a_short_one_counts_as_failed() -> None:
    backoff = Backoff(lambda: 0.0)
    lost = closed(cause=CloseCause.CONNECTION_LOST)
    assert [backoff.next_delay(None, 0.0) for _ in range(3)] == [1, 2, 4]
    assert backoff.next_delay(lost, 59.0) == 8
    assert backoff.next_delay(lost, 60.0) == 1
    assert backoff.next_delay(closed(5, Reason.SUSPENDED), 0.0) == 60
    assert backoff.next_delay(None, 0.0) == 1


def test_the_first_terminate_of_the_gateway_needs_no_delay() -> None:
    backoff = Backoff(lambda: 0.0)
    terminated = closed(cause=CloseCause.GATEWAY_CLOSED)
    assert [backoff.next_delay(terminated, 1.0) for _ in range(4)] == [0, 1, 2, 4]
    assert backoff.next_delay(terminated, 60.0) == 0
    assert backoff.next_delay(terminated, 0.0) == 1


# --- the wire log ----------------------------------------------------------------------------------------------------


def test_wire_log_joins_octets_and_hides_numbers(golden: dict[str, bytes]) -> None:
    whole: list[str] = []
    cut: list[str] = []
    octets = b"".join(golden.values())
    WireLog(whole.append).log("←", octets)
    log = WireLog(cut.append)
    for octet in octets:
        log.log("←", bytes((octet,)))
    assert whole == cut
    assert len(whole) == len(golden)
    digits = [line.replace(" ", "") for line in whole]
    assert all(number.encode().hex() not in line for line in digits for number in ("13800138000", "13900139000"))
    assert all(number.encode().hex() not in line for line in digits for number in ("901234", "10690001"))
    assert not any(re.search(r"\d{11}", line) for line in whole)
    WireLog(whole.append).log("→", b"GET / HTTP/1.1\r\n")
    assert whole[-1] == "→ 16 octets that are not CMPP"


def test_report_of_the_first_segment_alone_decides_after_a_time() -> None:
    inbound = Inbound()
    inbound.processor.on_message_accepted((11, 12, 13), 3, 0.0)
    [first] = inbound.report(11)
    assert first.value is None
    assert inbound.processor.deadline == 90.0
    assert inbound.processor.tick(89.0) == ([], [])
    [[result], _] = inbound.processor.tick(90.0)
    assert (result.value, result.acknowledged) == (DeliveryReport("11", NUMBER, "DELIVRD"), True)
    assert inbound.processor.deadline is None
    assert values(inbound.report(12)) == [None]
    inbound.processor.on_message_accepted((21, 22), 2, 0.0)
    inbound.report(21)
    assert values(inbound.report(22, "UNDELIV")) == [DeliveryReport("21", NUMBER, "UNDELIV")]
    assert inbound.processor.deadline is None
