"""The effects of a notification: at the platform, in the log, and its result."""

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import apprise
import pytest

from sms1680.apprise import NotifySMS1680
from sms1680.sandbox import Account, Config, SandboxThread

A, B, C = "13800000000", "13900000001", "13700000002"
TEXT = "后门打开"
Service = Callable[..., Any]


@pytest.fixture
def log() -> Iterator[list[tuple[str, str]]]:
    """Return the records of Apprise's log from INFO upwards."""
    records: list[tuple[str, str]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append((record.levelname, record.getMessage()))

    handler = Handler(logging.INFO)
    logger = logging.getLogger("apprise")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def sent(box: SandboxThread) -> list[tuple[str, str]]:
    return [(message.number, message.text) for message in box.platform.messages]


def test_batch_is_one_request_and_one_line_at_info(
    box: SandboxThread, service: Service, log: list[tuple[str, str]]
) -> None:
    assert service(A, B).notify(TEXT) is True
    assert sent(box) == [(A, TEXT), (B, TEXT)]
    (message_id,) = {message.message_id for message in box.platform.messages}
    assert log == [("INFO", f"sms1680: accepted (id {message_id}): 138****0000, 139****0001")]


def test_without_batch_each_number_is_one_request(
    box: SandboxThread, service: Service, log: list[tuple[str, str]]
) -> None:
    assert service(A, B, batch="no").notify(TEXT)
    assert sent(box) == [(A, TEXT), (B, TEXT)]
    assert len({message.message_id for message in box.platform.messages}) == 2
    assert len(log) == 1


def test_title_and_body_are_joined_by_a_line_break(box: SandboxThread, service: Service) -> None:
    assert service(A).notify(body=f"{TEXT}\r\n第二行", title=" 警报 ")
    assert service(A).send(TEXT, "警报")
    assert [text for _, text in sent(box)] == [f"警报\n{TEXT}\n第二行", f"警报\n{TEXT}"]


def test_extension_and_signature_reach_the_platform(box: SandboxThread, service: Service) -> None:
    assert service(A, extension="012", signature="某某").notify(TEXT)
    assert service(A, xh="7", sign="某某", place="behind").notify(TEXT)
    assert [(message.extension, message.text) for message in box.platform.messages] == [
        ("012", f"【某某】{TEXT}"),
        ("7", f"{TEXT}【某某】"),
    ]


@pytest.mark.parametrize("declared", [apprise.NotifyFormat.HTML, None])
def test_html_becomes_plain_text(box: SandboxThread, url: Callable[..., str], declared: Any) -> None:
    sender = apprise.Apprise()
    assert sender.add(url(A, format="html"))
    assert sender.notify("<p>后门 <b>打开</b> &amp; 关</p>", title="警报", body_format=declared)
    assert [text.split("\n") for _, text in sent(box)] == [["警报", "后门 打开 & 关"]]
    assert "format=html" in sender[0].url()


def test_declared_html_becomes_plain_text_without_format_argument(box: SandboxThread, url: Callable[..., str]) -> None:
    sender = apprise.Apprise()
    assert sender.add(url(A))
    assert sender.notify("1 &lt; 2 <b>打开</b>", body_format=apprise.NotifyFormat.HTML)
    assert sent(box) == [(A, "1 < 2 打开")]


def test_text_that_looks_like_html_is_unchanged(box: SandboxThread, service: Service) -> None:
    assert service(A).notify("a <b> c & d 温度")
    assert sent(box) == [(A, "a <b> c & d 温度")]


def test_time_is_appended_before_a_trailing_signature(box: SandboxThread, service: Service) -> None:
    assert service(A, stamp="yes").notify(TEXT)
    assert service(A, stamp="yes", sign="某某").notify(TEXT)
    assert service(A, stamp="yes").notify(f"{TEXT}【某某】")
    time = r" \d\d:\d\d:\d\d"
    for (_, text), pattern in zip(
        sent(box), [f"{TEXT}{time}", f"【某某】{TEXT}{time}", f"{TEXT}{time}【某某】"], strict=True
    ):
        assert re.fullmatch(pattern, text)


def test_long_text_is_cut_and_logged(box: SandboxThread, service: Service, log: list[tuple[str, str]]) -> None:
    assert service(A, sign="某某", stamp="yes").notify("长" * 600)
    ((_, text),) = sent(box)
    assert len(text) == 500
    assert re.fullmatch(r"【某某】长{486}… \d\d:\d\d:\d\d", text)
    assert log[0][1].endswith("; the text was cut to 487 characters")


def test_long_text_is_split_with_overflow_split(box: SandboxThread, service: Service) -> None:
    assert service(A, overflow="split", sign="某某").notify("长" * 600)
    assert "".join(text.replace("【某某】", "") for _, text in sent(box)).count("长") == 600
    assert max(len(text) for _, text in sent(box)) <= 500


def test_cut_does_not_split_surrogate_pairs(box: SandboxThread, service: Service) -> None:
    assert service(A, overflow="truncate").notify("😀" * 400)
    ((_, text),) = sent(box)
    assert len(text.encode("utf-16-le")) // 2 <= 500
    assert text == "😀" * 249 + "…"


def test_held_message_is_a_failure_that_says_what_to_do(
    box: SandboxThread, service: Service, log: list[tuple[str, str]]
) -> None:
    assert service(A).notify("优惠") is False
    assert sent(box) == [(A, "优惠")]
    assert log == [
        (
            "ERROR",
            (
                "sms1680: 138****0000: held for manual review at the platform. The text contains words that need a "
                "review. The phone gets it only if the platform's staff release it: ask the platform, or contact the "
                "recipient in another way. A retry skips this number."
            ),
        )
    ]


def test_refusal_is_logged_with_its_reason_and_without_the_word(
    box: SandboxThread, service: Service, log: list[tuple[str, str]]
) -> None:
    assert service(A).notify("开发票") is False
    assert not box.platform.messages
    assert log == [
        (
            "ERROR",
            "sms1680: 138****0000: refused. The text contains words that the platform forbids. Send a different text.",
        )
    ]


def test_unknown_outcome_is_a_failure_with_a_warning(
    box: SandboxThread, service: Service, log: list[tuple[str, str]]
) -> None:
    box.call(lambda platform: platform.faults.next("drop_after"))
    assert service(A).notify(TEXT) is False
    assert sent(box) == [(A, TEXT)]
    ((level, line),) = log
    assert level == "ERROR"
    assert "It may have arrived: do not send it again before you have checked" in line


def test_unsent_message_is_logged_as_not_sent(service: Service, log: list[tuple[str, str]], free_port: int) -> None:
    service = service(A, gateway=f"http://127.0.0.1:{free_port}")
    service._time_limit = lambda: 0.5  # do not wait for the unreachable platform
    assert service.notify(TEXT) is False
    ((level, line),) = log
    assert level == "ERROR"
    assert "138****0000: not sent. Could not connect to the platform." in line


def test_partial_success_logs_both_lines(box: SandboxThread, service: Service, log: list[tuple[str, str]]) -> None:
    box.call(lambda platform: platform.faults.queue.extend([("", None)]) or platform.faults.next("drop_after"))
    assert service(A, B, C, batch="no").notify(TEXT) is False
    assert [number for number, _ in sent(box)] == [A, B, C]
    assert [level for level, _ in log] == ["INFO", "ERROR"]
    assert "138****0000" in log[0][1]
    assert "139****0001: unknown" in log[1][1]
    assert "137****0002" not in log[1][1]


def test_invalid_target_fails_the_notification_but_not_the_others(
    box: SandboxThread, service: Service, log: list[tuple[str, str]]
) -> None:
    wrong = service(A, "10086")
    log.clear()
    assert wrong.notify(TEXT) is False
    assert sent(box) == [(A, TEXT)]
    assert [level for level, _ in log] == ["INFO", "ERROR"]
    assert "Targets that are not mobile numbers: 1." in log[1][1]


def test_missing_numbers_are_logged(box: SandboxThread, service: Service, log: list[tuple[str, str]]) -> None:
    assert service().notify(TEXT) is False
    assert log == [("ERROR", "sms1680: nothing was sent: there is no mobile number to send to.")]
    assert not box.platform.messages


def test_invalid_text_is_logged(service: Service, log: list[tuple[str, str]]) -> None:
    assert service(A).send("   ") is False
    assert [level for level, _ in log] == ["ERROR"]
    assert "nothing was sent: the text is empty" in log[0][1]


def test_incomplete_character_is_replaced(box: SandboxThread, service: Service) -> None:
    assert service(A).send("后门\ud800") is True
    assert service(A).notify("后门打开".encode()[:-1].decode(errors="surrogateescape"))
    assert sent(box) == [(A, "后门�"), (A, "后门打�")]


def test_unexpected_error_is_logged_and_not_raised(
    service: Service, log: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(TEXT)

    monkeypatch.setattr(NotifySMS1680, "_send", broken)
    assert service(A).notify(TEXT) is False
    ((level, line),) = log
    assert level == "ERROR"
    assert (
        "unexpected error in the plugin (RuntimeError). The message may have been sent: check with the recipient"
        in line
    )


def test_hanging_answer_ends_at_the_time_limit(
    box: SandboxThread, service: Service, log: list[tuple[str, str]]
) -> None:
    box.call(lambda platform: platform.faults.next("stall_after"))
    slow = service(A, rto="30")
    slow._time_limit = lambda: 0.6
    assert slow.notify(TEXT) is False
    assert re.search(r"unknown\..*\((TimeLimit|ReadTimeout)\)", log[0][1])


def test_no_request_starts_when_the_time_is_up(
    box: SandboxThread, service: Service, log: list[tuple[str, str]]
) -> None:
    box.call(lambda platform: platform.faults.next("stall_after", 2))
    slow = service(A, B, C, batch="no", rto="1.0", cto="0.5")
    slow._time_limit = lambda: 3.0
    assert slow.notify(TEXT) is False
    assert [number for number, _ in sent(box)] == [A, B]
    assert "137****0002: not sent" in log[0][1]


def test_time_limit_is_shorter_than_apprises(service: Service) -> None:
    made = service(A)
    assert made._time_limit() == 54.0
    made.asset._service_timeout = 10.0
    assert made._time_limit() == 9.0
    made.asset._service_timeout = 0.0  # no limit
    assert made._time_limit() == 54.0


def test_threads_can_share_a_service(box: SandboxThread, service: Service) -> None:
    made = service(A)
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda place=place: results.append(made.notify(f"{TEXT}{place}"))) for place in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8
    assert sorted(sent(box)) == sorted((A, f"{TEXT}{place}") for place in range(8))


def test_wrong_password_ends_the_call(service: Service, box: SandboxThread, log: list[tuple[str, str]]) -> None:
    assert service(A, B, user="demo:wrong", batch="no").notify(TEXT) is False
    assert box.platform.verdicts.total() <= 1
    assert "The user name or the password is wrong" in log[0][1]


@pytest.mark.parametrize(("form", "as_sent"), [("md5", "md5"), ("plain", "plain")])
def test_platform_accepts_both_password_forms(service: Service, form: str, as_sent: str) -> None:
    assert service(A, form=form).notify(f"{TEXT}{as_sent}")


def test_rate_applies_to_the_account(service: Service) -> None:
    with SandboxThread(Config(accounts=(Account(rate=20.0),))) as other:
        made = service(A, B, gateway=other.url, rate="20", batch="no")
        assert made.notify(TEXT)
        assert made.notify(f"{TEXT}。")
        assert len(other.platform.messages) == 4
        assert other.platform.verdicts["too_fast"] == 0


def test_async_notify(box: SandboxThread, url: Callable[..., str]) -> None:
    sender = apprise.Apprise()
    assert sender.add(url(A, overflow="split"))
    assert asyncio.run(sender.async_notify("长" * 600))
    assert len(sent(box)) == 2
