"""What comes in, under a clock that the tests turn: duplicates, early reports, results of long messages, memory."""

import random
import re
from typing import Any

import pytest
from hypothesis import given, strategies as st

from sms1680 import DeliveryReport, Reason, Reply
from sms1680.cmpp.backoff import Backoff
from sms1680.cmpp.events import CloseCause, SessionClosed
from sms1680.cmpp.incoming import DeliverProcessor, InboundDeliver, PendingItem
from sms1680.cmpp.tracking import ReportTracker, plain_number
from sms1680.cmpp.wire.errors import CodecError
from sms1680.cmpp.wire.pdus import Deliver
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.cmpp.wirelog import WireLog

NUMBER = "13800138000"


class Desk:
    """A processor, and what was handed on by it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tracker = ReportTracker(0.0)
        self.processor = DeliverProcessor(self.tracker, "10690001", assembly_time=60.0, ack_timeout=30.0)
        self.sequence = 0
        self.via = "link"

    def give(self, content: bytes, *, in_flight: bool = False, **fields: Any) -> list[PendingItem]:
        self.sequence += 1
        given: dict[str, Any] = {"msg_id": self.sequence, "dest_id": "1069000188", "src_terminal_id": NUMBER} | fields
        pdu = Deliver(sequence_id=self.sequence, msg_content=content, **given)
        return self.processor.process(InboundDeliver(pdu, self.via), self.now, in_flight=in_flight)

    def report(self, msg_id: int, stat: str = "DELIVRD", number: str = NUMBER, **options: Any) -> list[PendingItem]:
        content = bytes(ReportContent(msg_id=msg_id, stat=stat, dest_terminal_id=number))
        return self.give(content, registered_delivery=1, **options)


def values(handed: list[PendingItem]) -> list[Any]:
    return [one.value for one in handed]


# --- replies ---------------------------------------------------------------------------------------------------------


def test_a_reply_that_comes_again_is_acknowledged_again_once_it_is_safe() -> None:
    desk = Desk()
    [first] = desk.give(b"Y", msg_id=5)
    assert desk.give(b"Y", msg_id=5) == []
    due = desk.processor.settle(first, accepted=True)
    assert [delivery.pdu.sequence_id for delivery in due] == [1, 2]
    [again] = desk.give(b"Y", msg_id=5)
    assert again.value is None
    assert [delivery.pdu.sequence_id for delivery in desk.processor.settle(again, accepted=True)] == [3]


def test_a_reply_that_was_not_taken_is_new_when_it_comes_again() -> None:
    desk = Desk()
    [first] = desk.give(b"Y", msg_id=5)
    assert desk.processor.settle(first, accepted=False) == []
    assert values(desk.give(b"Y", msg_id=5)) == [Reply(NUMBER, "Y", "88", "5")]


@pytest.mark.parametrize(
    "other", [{"msg_id": 6}, {"src_terminal_id": "13800138001"}, {"content": b"N"}, {"msg_id": 0}], ids=str
)
def test_what_differs_is_no_duplicate(other: dict[str, Any]) -> None:
    desk = Desk()
    desk.give(b"Y", msg_id=other.get("msg_id", 5) and 5)
    content = other.pop("content", b"Y")
    assert len(desk.give(content, **({"msg_id": 5} | other))) == 1


def test_a_gateway_that_numbers_nothing_does_not_lose_equal_replies() -> None:
    desk = Desk()
    assert len(desk.give(b"Y", msg_id=0)) == 1
    assert len(desk.give(b"Y", msg_id=0)) == 1


def test_without_a_msg_id_each_connection_numbers_anew() -> None:
    desk = Desk()
    [first] = desk.give(b"Y", msg_id=0)
    desk.processor.settle(first, accepted=True)
    desk.sequence, desk.via = 0, "another link"
    assert values(desk.give(b"Y", msg_id=0)) == [Reply(NUMBER, "Y", "88", "0")]


def test_the_same_reply_under_the_same_msg_id_is_another_one_after_a_few_times_t() -> None:
    desk = Desk()
    [first] = desk.give(b"2", msg_id=12345)
    desk.processor.settle(first, accepted=True)
    desk.now = 300.0
    assert values(desk.give(b"2", msg_id=12345)) == [None]
    desk.now = 301.0
    [second] = desk.give(b"2", msg_id=12345)
    assert second.value == Reply(NUMBER, "2", "88", "12345")
    desk.processor.settle(second, accepted=True)
    # What had no answer comes again with the next connection, however long that takes.
    desk.now, desk.via = 4000.0, "another link"
    assert values(desk.give(b"N", msg_id=5)) == [Reply(NUMBER, "N", "88", "5")]
    desk.now = 4300.0
    assert values(desk.give(b"2", msg_id=12345)) == [None]


def test_what_is_not_safe_yet_is_a_duplicate_whatever_its_age() -> None:
    desk = Desk()
    desk.give(b"2", msg_id=5)
    desk.now = 3000.0
    assert desk.give(b"2", msg_id=5) == []


def test_the_extension_is_what_follows_our_number_else_all_of_it() -> None:
    desk = Desk()
    [own] = values(desk.give(b"Y", dest_id="10690001"))
    [other] = values(desk.give(b"Y", dest_id="95555"))
    assert (own.extension, other.extension) == ("", "95555")


@pytest.mark.parametrize(
    ("came", "plain"),
    [("8613800138000", NUMBER), ("+8613800138000", NUMBER), (NUMBER, NUMBER), ("10086", "10086"), ("", "")],
)
def test_trap_22_numbers_come_with_and_without_86(came: str, plain: str) -> None:
    assert plain_number(came) == plain


def test_segments_wait_with_their_acknowledgements_no_longer_than_half_of_t() -> None:
    desk = Desk()
    assert desk.give(bytes((5, 0, 3, 1, 3, 1)) + b"a", tp_udhi=1) == []
    desk.now = 10.0
    assert desk.give(bytes((5, 0, 3, 1, 3, 3)) + b"c", tp_udhi=1) == []
    assert desk.processor.deadline == 30.0
    handed, due = desk.processor.tick(30.0)
    assert (handed, [delivery.pdu.sequence_id for delivery in due]) == ([], [1])
    due[0].acknowledged = True
    handed, due = desk.processor.tick(60.0)
    assert values(handed) == [Reply(NUMBER, "a…c", "88", "1", incomplete=True)]
    assert due == []  # the second one's answer is the application's to give from now on
    assert desk.processor.deadline is None
    assert [delivery.pdu.sequence_id for delivery in desk.processor.settle(handed[0], accepted=True)] == [2]


def test_a_whole_message_that_was_not_taken_is_not_acknowledged_later_and_comes_again() -> None:
    desk = Desk()
    segments = [(bytes((5, 0, 3, 1, 2, number)) + b"ab"[number - 1 : number], number) for number in (1, 2)]
    desk.give(segments[0][0], tp_udhi=1, msg_id=1)
    [whole] = desk.give(segments[1][0], tp_udhi=1, msg_id=2)
    assert desk.processor.settle(whole, accepted=False) == []
    assert desk.processor.tick(60.0) == ([], [])
    assert values(desk.give(segments[0][0], tp_udhi=1, msg_id=1)) == [Reply(NUMBER, "ab", "88", "1")]
    assert desk.give(segments[1][0], tp_udhi=1, msg_id=2) == []
    assert len(desk.processor.settle(whole, accepted=True)) == 4


def test_a_segment_that_comes_again_behind_the_whole_message_is_a_duplicate() -> None:
    desk = Desk()
    desk.give(bytes((5, 0, 3, 1, 2, 1)) + b"a", tp_udhi=1, msg_id=1)
    [whole] = desk.give(bytes((5, 0, 3, 1, 2, 2)) + b"b", tp_udhi=1, msg_id=2)
    assert whole.value == Reply(NUMBER, "ab", "88", "1")
    assert len(desk.processor.settle(whole, accepted=True)) == 2
    [again] = desk.give(bytes((5, 0, 3, 1, 2, 1)) + b"a", tp_udhi=1, msg_id=1)
    assert again.value is None
    assert desk.processor.deadline == 30.0 or desk.processor.deadline is None


def test_a_character_cut_between_segments_is_read() -> None:
    desk = Desk()
    octets = "门开".encode("gb18030")
    desk.give(bytes((5, 0, 3, 1, 2, 1)) + octets[:3], tp_udhi=1, msg_fmt=15)
    [whole] = desk.give(bytes((5, 0, 3, 1, 2, 2)) + octets[3:], tp_udhi=1, msg_fmt=15)
    assert isinstance(whole.value, Reply)
    assert whole.value.content == "门开"


def test_trap_17_an_odd_octet_in_a_segment_shifts_nothing_behind_it() -> None:
    def read(*bodies: bytes) -> object:
        desk = Desk()
        handed: list[PendingItem] = []
        for number, body in enumerate(bodies, 1):
            handed = desk.give(bytes((5, 0, 3, 1, len(bodies), number)) + body, tp_udhi=1, msg_fmt=8)
        [whole] = values(handed)
        return whole.content

    one, two, three = (text.encode("utf-16-be") for text in ("世界", "你好", "再见"))
    assert read(one + b"\0", two, three) == "世界你好再见"
    assert read(one[:3], one[3:] + two) == "世界你好"
    assert read(one, two, three + b"\0") == "世界你好再见"


def test_at_the_end_nothing_is_kept_back() -> None:
    desk = Desk()
    desk.give(bytes((5, 0, 3, 1, 2, 1)) + b"a", tp_udhi=1)
    desk.report(99, in_flight=True)
    assert [type(value) for value in values(desk.processor.flush())] == [Reply, DeliveryReport]
    assert desk.processor.flush() == []


# --- reports ---------------------------------------------------------------------------------------------------------


def test_trap_8_a_report_is_a_report_whatever_its_flags_say() -> None:
    desk = Desk()
    content = bytes(ReportContent(msg_id=7, stat="DELIVRD", dest_terminal_id=NUMBER))
    [report] = values(desk.give(content, registered_delivery=1, tp_udhi=1, msg_fmt=15))
    assert report == DeliveryReport("7", NUMBER, "DELIVRD")


def test_trap_2_a_report_waits_for_its_submit_resp_and_no_longer_than_t() -> None:
    desk = Desk()
    assert desk.report(7, in_flight=True) == []
    assert desk.report(8, in_flight=True) == []
    assert values(desk.processor.on_message_accepted((7,), 1, 1.0)) == [DeliveryReport("7", NUMBER, "DELIVRD")]
    assert desk.processor.deadline == 30.0
    handed, due = desk.processor.tick(30.0)
    assert (handed, len(due)) == ([], 1)
    assert desk.processor.deadline == 60.0
    handed, _ = desk.processor.tick(60.0)
    assert values(handed) == [DeliveryReport("8", NUMBER, "DELIVRD")]


def test_trap_1_an_early_report_of_a_long_message_counts_for_the_whole() -> None:
    desk = Desk()
    assert desk.report(8, in_flight=True) == []
    [early] = desk.processor.on_message_accepted((7, 8), 2, 0.0)
    assert early.value is None
    assert values(desk.report(7)) == [DeliveryReport("7", NUMBER, "DELIVRD")]


def test_a_report_of_several_destinations_is_each_ones_own() -> None:
    desk = Desk()
    desk.processor.on_message_accepted((7, 8), 2, 0.0)
    assert values(desk.report(7)) == [None]
    assert values(desk.report(8, number="8613800138001")) == [None]
    assert values(desk.report(8)) == [DeliveryReport("7", NUMBER, "DELIVRD")]
    assert values(desk.report(7, number="13800138001")) == [DeliveryReport("7", "13800138001", "DELIVRD")]


def test_reports_of_a_message_that_is_not_settled_wait_for_it_without_a_limit() -> None:
    desk = Desk()
    assert desk.report(7, in_flight=True) == []  # before the answer to its segment
    desk.processor.on_segment_accepted(7)
    desk.processor.on_segment_accepted(8)
    assert desk.report(8) == []  # behind it, while nothing is in flight
    assert desk.processor.deadline == 30.0
    handed, due = desk.processor.tick(30.0)
    assert (handed, len(due)) == ([], 2)  # the gateway need not wait for the rest of the message
    assert desk.processor.deadline is None
    assert desk.processor.tick(5000.0) == ([], [])
    [first, second] = desk.processor.on_message_accepted((7, 8, 9), 3, 5000.0)
    assert (first.value, second.value) == (None, None)
    assert values(desk.report(9)) == [DeliveryReport("7", NUMBER, "DELIVRD")]


def test_a_message_that_was_accepted_in_part_is_reported_by_segments() -> None:
    desk = Desk()
    desk.processor.on_message_accepted((7, 9), 3, 0.0)
    assert values(desk.report(9)) == [DeliveryReport("9", NUMBER, "DELIVRD")]
    assert values(desk.report(7, "UNDELIV")) == [DeliveryReport("7", NUMBER, "UNDELIV")]


@pytest.mark.parametrize("status", ["DELIVRD", "UNDELIV"])
def test_what_was_reported_counts_for_a_message_that_becomes_whole_by_a_late_answer(status: str) -> None:
    desk = Desk()
    desk.processor.on_message_accepted((8,), 2, 0.0)
    assert values(desk.report(8, status)) == [DeliveryReport("8", NUMBER, status)]
    desk.processor.on_message_accepted((7, 8), 2, 0.0)
    assert values(desk.report(7)) == [DeliveryReport("7", NUMBER, status)]


def test_the_same_report_under_another_msg_id_of_its_own_is_a_duplicate() -> None:
    desk = Desk()
    [first] = desk.report(7)
    desk.processor.settle(first, accepted=True)
    assert values(desk.report(7)) == [None]


def test_a_report_that_can_not_be_read_raises_the_codecs_error() -> None:
    with pytest.raises(CodecError):
        Desk().give(b"short", registered_delivery=1)


@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_reports_in_any_order_make_exactly_one_result(chance: random.Random, segments: int) -> None:
    desk = Desk()
    ids = tuple(range(1000, 1000 + segments))
    reports = [(msg_id, stat) for msg_id in ids for stat in ("ACCEPTD", "DELIVRD")]
    chance.shuffle(reports)
    known = chance.randrange(len(reports) + 1)
    handed: list[PendingItem] = []
    for place, (msg_id, stat) in enumerate(reports):
        if place == known:
            handed += desk.processor.on_message_accepted(ids, segments, 0.0)
        handed += desk.report(msg_id, stat, in_flight=place < known)
    if known == len(reports):
        handed += desk.processor.on_message_accepted(ids, segments, 0.0)
    final = [value for value in values(handed) if value is not None and value.state.value != "pending"]
    assert final == [DeliveryReport("1000", NUMBER, "DELIVRD")] if segments > 1 else len(final) == 1


def test_what_was_sent_is_forgotten_after_two_to_three_days() -> None:
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


# --- when to connect again -------------------------------------------------------------------------------------------


def closed(
    status: int | None = None, reason: Reason | None = None, cause: CloseCause = CloseCause.LOGIN_REFUSED
) -> SessionClosed:
    return SessionClosed(cause, (), status, reason)


@pytest.mark.parametrize(
    ("end", "waits"),
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
def test_waits_grow_to_their_limit_and_never_end(end: SessionClosed | None, waits: list[int]) -> None:
    backoff = Backoff(lambda: 0.0)
    assert [backoff.next_delay(end, 0.0) for _ in waits] == waits


def test_chance_lengthens_a_wait_by_a_half_at_most_and_never_beyond_the_longest() -> None:
    backoff = Backoff(lambda: 1.0)
    suspended = closed(5, Reason.SUSPENDED)
    assert [backoff.next_delay(suspended, 0.0) for _ in range(5)] == [90, 180, 360, 720, 900]


def test_a_connection_that_stood_begins_again_and_one_that_did_not_counts_as_failed() -> None:
    backoff = Backoff(lambda: 0.0)
    lost = closed(cause=CloseCause.CONNECTION_LOST)
    assert [backoff.next_delay(None, 0.0) for _ in range(3)] == [1, 2, 4]
    assert backoff.next_delay(lost, 59.0) == 8
    assert backoff.next_delay(lost, 60.0) == 1
    assert backoff.next_delay(closed(5, Reason.SUSPENDED), 0.0) == 60
    assert backoff.next_delay(None, 0.0) == 1


# --- the wire log ----------------------------------------------------------------------------------------------------


def test_the_wire_log_takes_octets_as_they_come_and_shows_no_number(golden: dict[str, bytes]) -> None:
    whole: list[str] = []
    cut: list[str] = []
    octets = b"".join(golden.values())
    WireLog(whole.append).log_received(octets)
    log = WireLog(cut.append)
    for octet in octets:
        log.log_received(bytes((octet,)))
    assert whole == cut
    assert len(whole) == len(golden)
    digits = [line.replace(" ", "") for line in whole]
    assert all(number.encode().hex() not in line for line in digits for number in ("13800138000", "13900139000"))
    assert all(number.encode().hex() not in line for line in digits for number in ("901234", "10690001"))
    assert not any(re.search(r"\d{11}", line) for line in whole)
    WireLog(whole.append).log_sent(b"GET / HTTP/1.1\r\n")
    assert whole[-1] == "→ 16 octets that are not CMPP"
