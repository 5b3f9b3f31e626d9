"""The clock is set while messages wait: each is tried as long as it should be, and none waits for a wrong time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.sms1680.deferred import clock
from custom_components.sms1680.deferred.clock import ClockWatch
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    EVENING,
    QUIET,
    UNREACHABLE,
    MakeEntry,
    SetUp,
    ends,
    in_store,
    later,
    recipient,
    send_to_alice,
    sent,
    use_gateway,
)

KEEP_TRYING = {"minutes": 30}
HOUR, DAYS = 3600.0, 400 * 86_400.0


class Clock:
    """A clock that can be set, next to one that only advances with the time that the test lets pass."""

    def __init__(self, freezer: FrozenDateTimeFactory) -> None:
        self._freezer = freezer
        self.set_by = 0.0
        self.boot: str | None = "first start"

    def monotonic(self) -> float:
        return self._freezer().timestamp() - self.set_by

    def start_machine(self, boot: str | None = "second start", uptime: float = 20.0) -> None:
        """Start the machine again, which begins the monotonic clock anew."""
        self.boot = boot
        self.set_by = self._freezer().timestamp() - uptime

    def set(self, seconds: float) -> None:
        self.set_by += seconds
        self._freezer.tick(timedelta(seconds=seconds))


@pytest.fixture(autouse=True)
def _fails_at_once(fails_at_once: None) -> None:
    """Fail at once in each test here, before the account is set up."""


@pytest.fixture
def wall(freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(freezer)
    monkeypatch.setattr(clock, "monotonic", made.monotonic)
    monkeypatch.setattr(clock, "boot_id", lambda: made.boot)
    return made


async def notice(hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory) -> None:
    """Let the check of the clock run.

    The clock of the event loop goes back with the frozen clock, unlike a real one, so that its timer would not fire.
    """
    await later(hass, freezer, seconds=31)
    entry.runtime_data.deferred._clock.check()


@pytest.mark.parametrize("seconds", [HOUR, 2 * 86_400.0, DAYS, -HOUR, -DAYS])
async def test_message_is_tried_for_its_time_after_the_clock_was_set(
    hass: HomeAssistant,
    wall: Clock,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    *,
    freezer: FrozenDateTimeFactory,
    outcomes: list[Event],
    seconds: float,
) -> None:
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, keep_trying=KEEP_TRYING)
    wall.set(seconds)
    await notice(hass, entry, freezer)
    assert outcomes == []
    await use_gateway(hass, entry, sandbox.url)
    await later(hass, freezer, minutes=5)
    assert sent(sandbox) == [(ALICE, "门开了")]
    assert ends(outcomes) == [("accepted", None)]


@pytest.mark.parametrize("seconds", [2 * 86_400.0, -DAYS])
async def test_message_ends_after_its_time_on_the_other_clock(
    hass: HomeAssistant,
    wall: Clock,
    entry: MockConfigEntry,
    *,
    freezer: FrozenDateTimeFactory,
    outcomes: list[Event],
    seconds: float,
) -> None:
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, keep_trying=KEEP_TRYING)
    wall.set(seconds)
    await notice(hass, entry, freezer)
    for _ in range(5):
        await later(hass, freezer, minutes=5)
    assert outcomes == []
    await later(hass, freezer, minutes=6)
    await later(hass, freezer, minutes=1)
    assert [outcome for outcome, _ in ends(outcomes)] == ["not_sent"]


@pytest.mark.parametrize("seconds", [DAYS, -DAYS])
async def test_message_survives_a_restart_with_another_clock(
    hass: HomeAssistant,
    wall: Clock,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    *,
    freezer: FrozenDateTimeFactory,
    outcomes: list[Event],
    seconds: float,
) -> None:
    """It was queued while the clock was never set, or while it was fast."""
    if seconds > 0:
        freezer.move_to("1970-01-02 00:00:00+00:00")
        seconds = 56 * 365 * 86_400.0 + 14 * 86_400.0 + 86_400.0 * 200
        wall.set_by += freezer().timestamp() - dt_util.utcnow().timestamp()
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, keep_trying=KEEP_TRYING)
    assert await hass.config_entries.async_unload(entry.entry_id)
    wall.set(seconds)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    await use_gateway(hass, entry, sandbox.url)
    await later(hass, freezer, minutes=6)
    assert sent(sandbox) == [(ALICE, "门开了")]
    assert ends(outcomes) == [("accepted", None)]


async def test_old_message_is_still_too_late_with_a_right_clock(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory, outcomes: list[Event]
) -> None:
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, keep_trying=KEEP_TRYING)
    assert await hass.config_entries.async_unload(entry.entry_id)
    freezer.tick(timedelta(days=2))
    assert await hass.config_entries.async_setup(entry.entry_id)
    await use_gateway(hass, entry, sandbox.url)
    async_fire_time_changed(hass, dt_util.utcnow())
    await hass.async_block_till_done(wait_background_tasks=True)
    assert ends(outcomes) == [("not_sent", "too_late")]
    assert sent(sandbox) == []


async def test_quiet_hours_follow_the_clock(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    wall: Clock,
    sandbox: Sandbox,
    *,
    freezer: FrozenDateTimeFactory,
) -> None:
    """The clock was fast, and is set back to another evening: the message waits for the next morning, not for 2027."""
    freezer.move_to(EVENING)
    entry = make_entry(recipients=[recipient("Alice", ALICE, **QUIET)])
    await set_up(entry)
    await send_to_alice(hass)
    wall.set(-DAYS)
    await notice(hass, entry, freezer)
    await later(hass, freezer, seconds=1)
    assert sent(sandbox) == []
    [(row, going)] = in_store(hass)
    assert (row > 0, going) == (True, 0)
    await later(hass, freezer, hours=8)
    assert sent(sandbox) == [(ALICE, "门开了")]


async def test_chosen_time_follows_the_clock(
    hass: HomeAssistant, wall: Clock, entry: MockConfigEntry, freezer: FrozenDateTimeFactory
) -> None:
    at = dt_util.utcnow() + timedelta(hours=3)
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, at=at.isoformat(), keep_trying=KEEP_TRYING)
    wall.set(HOUR)
    await notice(hass, entry, freezer)
    [(message,)] = in_store(hass, "SELECT json_extract(message, '$.at') FROM later")
    assert message == pytest.approx(at.timestamp(), abs=1)


def test_daylight_saving_time_and_small_corrections_are_no_jump(wall: Clock, freezer: FrozenDateTimeFactory) -> None:
    """UTC does not change with daylight saving time."""
    freezer.move_to("2026-03-29 00:30:00+00:00")
    noticed: list[float] = []
    watch = ClockWatch((), lambda: noticed.append(watch.total))
    for seconds in (20.0, 20.0, -30.0):
        wall.set(seconds)
        freezer.tick(timedelta(hours=1))
        watch.check()
    assert noticed == []
    wall.set(HOUR)
    watch.check()
    watch.check()
    assert noticed == pytest.approx([HOUR + 10.0])


async def restart(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, off: Callable[[], None]
) -> None:
    """Unload the account, let something happen, and load it again. What is due runs."""
    assert await hass.config_entries.async_unload(entry.entry_id)
    off()
    assert await hass.config_entries.async_setup(entry.entry_id)
    await later(hass, freezer, seconds=2)


@pytest.mark.parametrize("seconds", [2 * 86_400.0, DAYS, -HOUR, -DAYS])
@pytest.mark.parametrize("away", [20.0, 40.0], ids=["in time", "too late"])
async def test_time_that_passed_counts_until_the_machine_starts_again(
    hass: HomeAssistant,
    wall: Clock,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    *,
    freezer: FrozenDateTimeFactory,
    outcomes: list[Event],
    seconds: float,
    away: float,
) -> None:
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, keep_trying=KEEP_TRYING)

    def off() -> None:
        freezer.tick(timedelta(minutes=away))
        wall.set(seconds)

    await restart(hass, entry, freezer, off)
    await use_gateway(hass, entry, sandbox.url)
    await later(hass, freezer, minutes=5)
    in_time = away < KEEP_TRYING["minutes"]
    assert sent(sandbox) == ([(ALICE, "门开了")] if in_time else [])
    assert ends(outcomes) == [("accepted", None) if in_time else ("not_sent", "too_late")]
    assert [event.data["late"] for event in outcomes] == [False]


@pytest.mark.parametrize(
    ("minutes", "uptime", "late"),
    [
        pytest.param(-90.0, 20.0, True, id="queued in the future"),
        pytest.param(40.0, HOUR, True, id="queued too recently for another start"),
        pytest.param(10.0, 20.0, False, id="possible"),
    ],
)
async def test_impossible_time_of_an_earlier_start_is_decided_for_sending(
    hass: HomeAssistant,
    wall: Clock,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    *,
    freezer: FrozenDateTimeFactory,
    outcomes: list[Event],
    minutes: float,
    uptime: float,
    late: bool,
) -> None:
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, keep_trying=KEEP_TRYING)

    def off() -> None:
        freezer.tick(timedelta(minutes=minutes))
        wall.start_machine(uptime=uptime)

    await restart(hass, entry, freezer, off)
    await use_gateway(hass, entry, sandbox.url)
    await later(hass, freezer, minutes=5)
    assert ends(outcomes) == [("accepted", None)]
    assert [event.data["late"] for event in outcomes] == [late]
    [(_, text)] = sent(sandbox)
    assert text.startswith("门开了")
    assert ("(from " in text) == (minutes == 40.0)  # its time is only named where it is possible


async def test_alarm_after_a_power_cut_names_its_time(
    hass: HomeAssistant,
    wall: Clock,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    *,
    freezer: FrozenDateTimeFactory,
    outcomes: list[Event],
) -> None:
    """The machine starts with the time of its end, and is set right with the network, two days later."""
    await hass.config.async_set_time_zone("Asia/Shanghai")
    freezer.move_to("2026-11-27 14:41:00+00:00")
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, keep_trying=KEEP_TRYING)
    await restart(hass, entry, freezer, wall.start_machine)
    assert outcomes == []
    wall.set(2 * 86_400.0)
    await notice(hass, entry, freezer)
    await restart(hass, entry, freezer, lambda: None)  # which the store survives
    await use_gateway(hass, entry, sandbox.url)
    await later(hass, freezer, minutes=5)
    assert sent(sandbox) == [(ALICE, "门开了 (from 11-27 22:41)")]
    assert ends(outcomes) == [("accepted", None)]
    assert [(event.data["late"], event.data["since"][:16]) for event in outcomes] == [(True, "2026-11-27T14:41")]


@pytest.mark.parametrize("boot", ["second start", None])
async def test_old_message_of_an_earlier_start_is_too_late_with_a_right_clock(
    hass: HomeAssistant,
    wall: Clock,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    *,
    freezer: FrozenDateTimeFactory,
    outcomes: list[Event],
    boot: str | None,
) -> None:
    wall.boot = "first start" if boot else None
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, keep_trying=KEEP_TRYING)

    def off() -> None:
        freezer.tick(timedelta(days=2))
        wall.start_machine(boot)

    await restart(hass, entry, freezer, off)
    await use_gateway(hass, entry, sandbox.url)
    await later(hass, freezer, minutes=1)
    assert ends(outcomes) == [("not_sent", "too_late")]
    assert [event.data["late"] for event in outcomes] == [False]
    assert sent(sandbox) == []


@pytest.mark.parametrize("day", ["2026-03-29 00:50:00+00:00", "2026-10-25 00:50:00+00:00"])
async def test_restart_at_the_change_of_daylight_saving_time_moves_nothing(
    hass: HomeAssistant,
    wall: Clock,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    *,
    freezer: FrozenDateTimeFactory,
    outcomes: list[Event],
    day: str,
) -> None:
    await hass.config.async_set_time_zone("Europe/Berlin")
    freezer.move_to(day)
    await use_gateway(hass, entry, UNREACHABLE)
    await send_to_alice(hass, keep_trying=KEEP_TRYING)

    def off() -> None:
        freezer.tick(timedelta(minutes=20))
        wall.start_machine()

    await restart(hass, entry, freezer, off)
    await use_gateway(hass, entry, sandbox.url)
    await later(hass, freezer, minutes=5)
    assert sent(sandbox) == [(ALICE, "门开了")]
    assert [event.data["late"] for event in outcomes] == [False]


def test_start_of_the_machine_has_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clock, "_BOOT_ID", tmp_path / "boot_id")
    assert clock.boot_id.__wrapped__() is None
    (tmp_path / "boot_id").write_text("a name\n")
    assert clock.boot_id.__wrapped__() == "a name"
