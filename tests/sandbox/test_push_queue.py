"""Pushes: their URLs, and the times of their attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st

from sms1680.sandbox import PushRules
from sms1680.sandbox.push_queue import PushQueue, encode, report_url, uplink_url

if TYPE_CHECKING:
    from tests.sandbox.conftest import HandClock, MakeDesk

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


def test_urls_match_the_document() -> None:
    assert report_url("http://h/1603/mr", "42", "13800000000", "KX:1000") == (
        "http://h/1603/mr?msgid=42&mobile=13800000000&status=KX%3A1000"
    )
    assert uplink_url("http://h/?channel=1", "13800000000", "好 的", "12", None, semicolon=True) == (
        "http://h/?channel=1&mobile=13800000000&content=%E5%A5%BD+%E7%9A%84&xh=12;"
    )
    assert uplink_url("http://h/mo", "1", "a", "", "7", semicolon=False).endswith("&msgid=7&xh=")


def test_values_are_encoded_like_javas_urlencoder() -> None:
    assert encode("a b*-._~+&;") == "a+b*-._%7E%2B%26%3B"


@given(TEXTS)
def test_text_makes_the_round_trip(text: str) -> None:
    url = uplink_url("http://h/mo", "13800000000", text, "12", None, semicolon=False)
    assert url.isascii()
    assert parse_qs(urlsplit(url).query, keep_blank_values=True)["content"] == [text]


MakeQueue = Callable[..., tuple[PushQueue, "HandClock"]]


@pytest.fixture
def queue_of(desk: MakeDesk) -> MakeQueue:
    def make(**rules: object) -> tuple[PushQueue, HandClock]:
        table = desk()
        return PushQueue(PushRules(**rules), table.clock), table.clock

    return make


def test_push_is_repeated_with_growing_pauses_until_given_up(queue_of: MakeQueue) -> None:
    queue, clock = queue_of(attempts=5, first_pause=1.0, growth=3.0, longest_pause=10.0)
    states = []
    queue.add("report", "http://h/", states.append)
    pauses = []
    for _ in range(5):
        clock.now = queue.next_due
        push = queue.pop_due()
        queue.record_attempt(push, None, b"")
        pauses.append(None if queue.next_due is None else queue.next_due - clock.now)
    assert pauses == [1.0, 3.0, 9.0, 10.0, None]
    assert (queue.waiting, queue.delivered, queue.given_up, queue.attempts) == (0, 0, 1, 5)
    assert states == ["waiting", "given_up"]


@pytest.mark.parametrize("answer", [(200, b"0"), (200, b" 0\r\n")])
def test_push_is_delivered_with_200_and_0(queue_of: MakeQueue, answer: tuple[int | None, bytes]) -> None:
    queue, _ = queue_of()
    queue.add("report", "http://h/")
    queue.record_attempt(queue.pop_due(), *answer)
    assert (queue.waiting, queue.delivered) == (0, 1)


@pytest.mark.parametrize(
    "answer", [(200, b""), (200, b"ok"), (200, b"00"), (204, b""), (302, b"0"), (500, b"0"), (None, b"")]
)
def test_push_is_repeated_after_other_answers(queue_of: MakeQueue, answer: tuple[int | None, bytes]) -> None:
    queue, clock = queue_of()
    queue.add("report", "http://h/")
    queue.record_attempt(queue.pop_due(), *answer)
    assert queue.waiting == 1
    assert queue.pop_due() is None
    clock.advance(1)
    assert queue.pop_due() is not None


def test_repetition_can_be_disabled(queue_of: MakeQueue) -> None:
    queue, _ = queue_of(repeat=False)
    queue.add("report", "http://h/")
    queue.record_attempt(queue.pop_due(), 500, b"")
    assert queue.given_up == 1


def test_cleared_push_stays_cleared(queue_of: MakeQueue) -> None:
    queue, _ = queue_of()
    queue.add("report", "http://h/")
    push = queue.pop_due()
    queue.clear()
    queue.record_attempt(push, 200, b"0")
    assert (queue.waiting, queue.delivered, queue.attempts) == (0, 0, 0)
