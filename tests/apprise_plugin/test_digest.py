"""The spending limits: what they hold back is counted, the phone learns about it, and nothing is reported as sent."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import apprise
import pytest

from sms1680 import SpendingLimits
from sms1680.apprise import plugin as plugin_module
from sms1680.apprise.dropin import make
from sms1680.sandbox import Config, SandboxThread
from sms1680.text import count_parts

A, B, C = "13800000000", "13900000001", "13700000002"
TEXT = "后门打开"
HELD_BACK = re.compile(r"此前 (\d+) 条未单独发送。")
Service = Callable[..., Any]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the default limits."""

    def set_limits(**limits: int | None) -> None:
        given: dict[str, Any] = {"hour": None, "day": None, "number": None, "automatic": None, **limits}
        monkeypatch.setattr(plugin_module, "DEFAULT_LIMITS", SpendingLimits(**given))

    return set_limits


def texts(box: SandboxThread, number: str = A) -> list[str]:
    return [message.text for message in box.platform.messages if message.number == number]


def let_pass(state_folder: Path, seconds: float) -> None:
    """Make all entries of the ledger older."""
    for file in state_folder.glob("*.spent"):
        with sqlite3.connect(file) as ledger:
            ledger.execute("UPDATE spent SET at = at - ?", (seconds,))
        ledger.close()


def test_default_limits_allow_an_outage_of_50_checks(box: SandboxThread, service: Service) -> None:
    made = service(A, B, C)
    for place in range(50):
        assert made.notify(f"{TEXT}{place}: down")
        assert made.notify(f"{TEXT}{place}: up")
    assert not any("告警将汇总" in text or "未单独" in text for text in texts(box))
    assert len(texts(box)) == 100


@pytest.mark.parametrize(
    ("limits", "after", "next_messages"),
    [
        ({"number": 3}, 601, "10 分钟"),
        ({"hour": 3}, 3601, "60 分钟"),
        ({"day": 3}, 86401, "24 小时"),
    ],
)
def test_what_is_held_back_is_announced_and_counted(
    box: SandboxThread,
    service: Service,
    limit: Callable[..., None],
    state_folder: Path,
    caplog: pytest.LogCaptureFixture,
    limits: dict[str, int],
    after: float,
    next_messages: str,
) -> None:
    limit(**limits)
    results = [service(A).notify(f"{TEXT}{place}") for place in range(10)]
    assert results == [True] * 3 + [False] * 7
    assert texts(box) == [f"{TEXT}0", f"{TEXT}1", f"{TEXT}2（其后 {next_messages}的告警将汇总）"]
    line = next(record.getMessage() for record in caplog.records if "held back" in record.getMessage())
    assert "The limit is 3 " in line
    assert "?cap=PARTS" in line
    assert "?cap=0" in line
    let_pass(state_folder, after)
    assert service(A).notify("窗打开")
    assert service(A).notify("窗关闭")
    assert texts(box)[3:] == ["此前 7 条未单独发送。窗打开", "窗关闭"]


def test_count_is_of_each_number_and_follows_a_signature(
    box: SandboxThread, service: Service, limit: Callable[..., None], state_folder: Path
) -> None:
    limit(number=1)
    assert service(A, sign="某某").notify(TEXT)
    assert not service(A, B, sign="某某").notify(f"{TEXT}1")
    assert not service(A, B, sign="某某").notify(f"{TEXT}2")
    let_pass(state_folder, 601)
    assert service(A, B).notify("【某某】门关")
    tail = "（其后 10 分钟的告警将汇总）"
    assert texts(box, A) == [f"【某某】{TEXT}{tail}", f"【某某】此前 2 条未单独发送。门关{tail}"]
    assert texts(box, B) == [f"【某某】{TEXT}1{tail}", f"【某某】此前 1 条未单独发送。门关{tail}"]


def test_count_that_did_not_arrive_is_announced_again(
    box: SandboxThread, service: Service, limit: Callable[..., None], state_folder: Path
) -> None:
    limit(number=1)
    assert service(A).notify(TEXT)
    assert not service(A).notify(f"{TEXT}1")
    let_pass(state_folder, 601)
    box.call(lambda platform: platform.faults.next("failed"))
    assert not service(A).notify("门关")
    assert service(A).notify("门关了")
    assert texts(box)[-1].startswith("此前 1 条未单独发送。门关了")


def test_retry_counts_a_held_back_message_once(
    box: SandboxThread, url: Callable[..., str], limit: Callable[..., None], state_folder: Path
) -> None:
    limit(number=1)
    sender = apprise.Apprise()
    assert sender.add(url(A, retry="3", wait="0"))
    assert sender.notify(TEXT)
    assert not sender.notify(f"{TEXT}1")
    let_pass(state_folder, 601)
    assert sender.notify("门关")
    assert texts(box)[-1].startswith("此前 1 条未单独发送。门关")


def test_critical_message_is_never_held_back_nor_changed(
    box: SandboxThread, service: Service, limit: Callable[..., None], state_folder: Path
) -> None:
    limit(number=1, hour=1, day=1, reserve=20)
    assert service(A).notify(TEXT)
    assert not service(A).notify(f"{TEXT}1")
    for place in range(19):
        assert service(A, critical="yes").notify(f"水浸{place}")
    assert texts(box)[1:] == [f"水浸{place}" for place in range(19)]
    let_pass(state_folder, 86401)
    assert service(A).notify("门关")
    assert texts(box)[-1].startswith("此前 1 条未单独发送。")


def test_phone_learns_about_a_limit_that_critical_messages_used_up(
    box: SandboxThread, service: Service, state_folder: Path
) -> None:
    assert service(A, B, cap="6").notify(TEXT)
    assert service(A, B, cap="6", critical="yes").notify("水浸")
    assert service(A, B, cap="6", critical="yes").notify("着火")
    assert [service(A, B, cap="6").notify(f"{TEXT}{place}") for place in range(3)] == [True, False, False]
    let_pass(state_folder, 86401)
    assert service(A, B, cap="6").notify("门关")
    for number in (A, B):
        words = [f"{TEXT}0（其后 24 小时的告警将汇总）", "此前 2 条未单独发送。门关"]
        assert texts(box, number) == [TEXT, "水浸", "着火", *words]


def test_long_signatures_at_both_ends_leave_the_text_whole(box: SandboxThread, service: Service) -> None:
    signed = f"【{'某' * 30}】门开【{'公' * 30}】"
    assert service(A, cap="1", sign=f"{'某' * 30},{'公' * 30}").notify(signed)
    assert texts(box) == [signed.replace("门开", "门开（其后 24 小时的告警将汇总）")]


def test_words_never_cost_more_than_the_limit(box: SandboxThread, service: Service, state_folder: Path) -> None:
    assert service(A, cap="1").notify("水" * 70)
    assert not service(A, cap="1").notify("水" * 70)
    let_pass(state_folder, 86401)
    assert service(A, cap="1").notify("水" * 70)
    first, second = texts(box)
    assert first == "水" * 53 + "…（其后 24 小时的告警将汇总）"
    assert second == "此前 1 条未单独发送。" + "水" * 41 + "…（其后 24 小时的告警将汇总）"
    assert {count_parts(text) for text in texts(box)} == {1}


def test_text_of_full_length_stays_within_the_length(box: SandboxThread, service: Service) -> None:
    assert service(A, cap="8", sign="某某").notify("水" * 600)
    (text,) = texts(box)
    assert len(text) == 500
    assert text.endswith("…（其后 24 小时的告警将汇总）")


def test_each_phone_of_a_call_learns_about_the_limit(box: SandboxThread, service: Service) -> None:
    assert service(A, B, C, cap="7").notify(TEXT)
    assert service(A, B, C, cap="7").notify(f"{TEXT}1")
    assert not service(A, B, C, cap="7").notify(f"{TEXT}2")
    assert [texts(box, number)[1] for number in (A, B, C)] == [f"{TEXT}1（其后 24 小时的告警将汇总）"] * 3
    assert [len(texts(box, number)) for number in (A, B, C)] == [3, 2, 2]


# --- a message that is sent once more ---


def test_unknown_outcome_is_repeated_once_and_marked(
    box: SandboxThread, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    box.call(lambda platform: platform.faults.next("drop_after"))
    assert service(A, B, repeat="unknown", sign="某某").notify(TEXT)
    assert texts(box) == [f"【某某】{TEXT}", f"【某某】（重发）{TEXT}"]
    assert len(texts(box, B)) == 2
    assert "may arrive twice" in caplog.text


@pytest.mark.parametrize("fault", ["drop_before", "half", "html_accepted", "error_accepted", "empty"])
def test_second_unknown_outcome_stays_unknown(
    box: SandboxThread, service: Service, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    box.call(lambda platform: platform.faults.next(fault, 2))
    assert service(A, repeat="unknown", retry="3", wait="0").notify(TEXT) is False
    assert box.platform.faults.happened == 2
    assert "unknown" in caplog.text


def test_nothing_is_repeated_by_default_nor_after_a_refusal(box: SandboxThread, service: Service) -> None:
    box.call(lambda platform: platform.faults.next("drop_after"))
    assert service(A).notify(TEXT) is False
    assert service(A, repeat="unknown").notify("开发票") is False
    assert texts(box) == [TEXT]


def test_refused_repetition_leaves_the_outcome_unknown(
    box: SandboxThread, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    box.call(lambda platform: platform.faults.next("drop_after") or platform.faults.next("failed"))
    assert service(A, repeat="unknown").notify(TEXT) is False
    assert "138****0000: unknown." in caplog.text


def test_hanging_platform_leaves_time_for_the_repetition(box: SandboxThread, service: Service) -> None:
    box.call(lambda platform: platform.faults.next("stall_after"))
    made = service(A, repeat="unknown")
    made._time_limit = lambda: 4.0
    assert made.notify(TEXT)
    assert texts(box) == [TEXT, f"（重发）{TEXT}"]


def test_repeated_text_keeps_its_length(box: SandboxThread, service: Service) -> None:
    box.call(lambda platform: platform.faults.next("drop_after"))
    assert service(A, repeat="unknown", sign="某某", cap="0").notify("水" * 600)
    assert [len(text) for text in texts(box)] == [500, 500]


@pytest.mark.parametrize("repeat", ["yes", "always"])
def test_other_values_of_repeat_are_rejected(service: Service, repeat: str) -> None:
    with pytest.raises(TypeError):
        service(A, repeat=repeat)


# --- many processes ---


def run_storm(box: SandboxThread, home: Path, processes: int, at_once: int, **options: str) -> list[int]:
    """Send alarms, each with an `apprise` of its own, and return the exit codes. Each tenth alarm is critical."""
    make(home / ".config" / "apprise" / "plugins")
    program = str(Path(sys.executable).with_name("apprise"))

    def send(place: int) -> int:
        query = {"gateway": box.url, **options, **({"critical": "yes"} if place % 10 == 9 else {})}
        address = f"sms1680://demo:demo1680@61341/{A}/{B}/{C}?{urlencode(query)}"
        command = [program, "-b", f"告警{place:03d}", address]
        done = subprocess.run(command, env={**os.environ, "HOME": str(home)}, capture_output=True, check=False)
        return done.returncode

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(send, range(processes)))


LONG = "SMS1680_LONG_STORM" in os.environ


@pytest.mark.timeout(3000)
def test_storm_of_processes(state_folder: Path, tmp_path: Path) -> None:
    """Every alarm is named or counted on each phone. The long form: SMS1680_LONG_STORM=1."""
    processes, cap = (200, 300) if LONG else (10, 12)
    most = cap + max(10, cap // 5)
    with SandboxThread(Config(report_delay=0.0)) as box:
        codes = run_storm(box, tmp_path, processes, 4, cap=str(cap))
        let_pass(state_folder, 86401)
        last = subprocess.run(
            [
                str(Path(sys.executable).with_name("apprise")),
                "-b",
                "恢复",
                f"sms1680://demo:demo1680@61341/{A}/{B}/{C}?{urlencode({'gateway': box.url})}",
            ],
            env={**os.environ, "HOME": str(tmp_path)},
            check=False,
        )
        assert last.returncode == 0
        for number in (A, B, C):
            seen = texts(box, number)
            named = {found.group() for text in seen for found in re.finditer(r"告警\d{3}", text)}
            counted = sum(int(found[1]) for text in seen for found in HELD_BACK.finditer(text))
            assert len(named) + counted == processes, (number, seen)
            assert {f"告警{place:03d}" for place in range(9, processes, 10)} <= named  # the critical ones
            assert any("的告警将汇总）" in text for text in seen)
        storm = [message for message in box.platform.messages if "恢复" not in message.text]
        assert sum(count_parts(message.text) for message in storm) <= most
    assert codes.count(1) == sum(code != 0 for code in codes) > 0  # what was held back is a failure
