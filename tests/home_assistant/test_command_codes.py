"""Parse commands, remove their codes, and authenticate them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyotp
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from custom_components.sms1680.conversation.engine.commands import (
    FORGIVEN,
    LOCK_OUTS,
    MAX_WRONG,
    WINDOW,
    AuthResult,
    AuthState,
    CommandAttempt,
    CommandAuthenticator,
    Secret,
    is_pin,
    is_weak_pin,
    mask_codes,
    read_command,
    step_of,
    without_code,
)

PIN = Secret("pin", "4711")
TOTP = Secret("totp", "JBSWY3DPEHPK3PXP")
WORDS = ["撤防", "开门", "Arm", "开"]
NOW = 1_790_000_000.0


def code(now: float, steps: int = 0) -> str:
    return pyotp.TOTP(TOTP.value).at(int(now) + 30 * steps)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ("撤防 4711", ("撤防", "", "4711")),
        ("撤防4711", ("撤防", "", "4711")),
        (" 撤防，４７１１。", ("撤防", "", "4711")),
        ("【某某】撤防 4711", ("撤防", "", "4711")),
        ("ARM away 4711", ("Arm", "away", "4711")),
        ("开门 车库 2 4711", ("开门", "车库 2", "4711")),
        ("开 灯 123456789012", ("开", "灯", "123456789012")),
    ],
)
def test_command_has_word_text_and_code(content: str, read: tuple[str, str, str]) -> None:
    attempt = read_command(content, WORDS, PIN)
    assert attempt == CommandAttempt(*read)


@pytest.mark.parametrize(
    "content", ["撤防", "撤防 471", "请撤防 4711", "4711 撤防", "撤防 4711 谢谢", "", "撤防 1234567890123"]
)
def test_other_texts_are_no_commands(content: str) -> None:
    assert read_command(content, WORDS, PIN) is None


def test_time_based_code_can_have_two_halves() -> None:
    assert read_command("撤防 123 456", WORDS, TOTP) == CommandAttempt("撤防", "", "123456")
    assert read_command("撤防 123 456", WORDS, PIN) is None


def test_code_is_in_no_text_and_no_repr() -> None:
    attempt = read_command("开门 车库 4711", WORDS, PIN)
    assert attempt is not None
    assert without_code(attempt) == "开门 车库"
    assert "4711" not in f"{attempt} {PIN}"


@pytest.mark.parametrize(
    ("content", "masked"),
    [
        ("撤访 4711", "撤访 ****"),
        ("撤防 ４７１１ 谢谢", "撤防 **** 谢谢"),
        ("我在 47120 号，471", "我在 47120 号，471"),
        ("我在 47110 号，4712", "我在 ****0 号，****"),
    ],
)
def test_valid_code_in_other_text_is_masked(content: str, masked: str) -> None:
    assert mask_codes(content, PIN, NOW) == masked


def test_time_based_code_is_masked_whether_it_is_valid_or_not() -> None:
    assert mask_codes(f"撤访 {code(NOW)}", TOTP, NOW) == "撤访 ****"
    assert mask_codes(f"撤访 {code(NOW)}", TOTP, NOW + 3600) == "撤访 ****"
    assert mask_codes(f"撤访 1{code(NOW)}", TOTP, NOW + 3600) == f"撤访 1{code(NOW)}"


@pytest.mark.parametrize(
    "notation", ["撤访 {} {}", "撤防 {} {} 谢谢", "撤访{}-{}", "撤访{}　{}", "1{}{}", "{}{}{}{}", "{}{}9"]
)
def test_code_is_masked_in_halves_and_among_digits(notation: str) -> None:
    halves = code(NOW)[:3], code(NOW)[3:]
    masked = mask_codes(notation.format(*halves, *halves), TOTP, NOW)
    assert "****" in masked
    assert masked.replace("****", "").strip("撤访防谢 19") == ""
    assert mask_codes(f"撤访 {halves[0]} 和 {halves[1]}", TOTP, NOW) == f"撤访 {halves[0]} 和 {halves[1]}"


@pytest.mark.parametrize(("steps", "valid"), [(-4, False), (-3, True), (0, True), (1, True), (2, False)])
def test_time_based_code_is_valid_for_two_minutes(steps: int, *, valid: bool) -> None:
    assert (step_of(code(NOW, steps), TOTP.valid_codes(NOW)) is not None) is valid


def test_codes_match_rfc_6238() -> None:
    """Use the SHA-1 vectors of appendix B at 59 and 1111111109 seconds, without their first two digits."""
    secret = Secret("totp", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    assert step_of("287082", secret.valid_codes(59)) == 1
    assert step_of("081804", secret.valid_codes(1111111109)) == 37037036


def test_time_based_code_works_once_and_invalidates_earlier_ones() -> None:
    clock = Clock()
    authenticator = CommandAuthenticator(clock)
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", code(NOW))) is AuthResult.ACCEPTED
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", code(NOW))) is AuthResult.REFUSED
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", code(NOW, -1))) is AuthResult.REFUSED
    assert (
        CommandAuthenticator(clock, authenticator.states).authenticate("a", TOTP, CommandAttempt("开", "", code(NOW)))
        is AuthResult.REFUSED
    )
    clock.now += 30
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", code(clock.now))) is AuthResult.ACCEPTED


def test_consecutive_wrong_codes_lock_out_longer_each_time() -> None:
    clock = Clock()
    authenticator = CommandAuthenticator(clock)
    wrong, valid = CommandAttempt("开", "", "0000"), CommandAttempt("开", "", "4711")
    for duration in (*LOCK_OUTS, LOCK_OUTS[-1]):
        assert [authenticator.authenticate("a", PIN, wrong) for _ in range(MAX_WRONG)] == [
            *[AuthResult.REFUSED] * (MAX_WRONG - 1),
            AuthResult.LOCKED_OUT,
        ]
        assert authenticator.locked_until("a") == clock.now + duration
        clock.now += duration - 1
        assert authenticator.authenticate("a", PIN, valid) is AuthResult.LOCKED_OUT
        clock.now += 1
        assert authenticator.locked_until("a") is None
    assert authenticator.authenticate("a", PIN, valid) is AuthResult.ACCEPTED
    assert authenticator.authenticate("b", PIN, wrong) is AuthResult.REFUSED


def test_lock_out_survives_a_restart_and_can_be_ended() -> None:
    clock = Clock()
    authenticator = CommandAuthenticator(clock)
    for _ in range(MAX_WRONG):
        authenticator.authenticate("a", PIN, CommandAttempt("开", "", "0000"))
    later = CommandAuthenticator(clock, authenticator.states)
    assert later.authenticate("a", PIN, CommandAttempt("开", "", "4711")) is AuthResult.LOCKED_OUT
    later.unlock("a")
    assert later.authenticate("a", PIN, CommandAttempt("开", "", "4711")) is AuthResult.ACCEPTED


@pytest.mark.parametrize(
    ("pin", "possible", "weak"),
    [
        ("471135", True, False),
        ("000000", True, True),
        ("123456", True, True),
        ("987654", True, True),
        ("567890", True, True),
        ("000001", True, True),
        ("47113", False, False),
        ("4711", False, False),
        ("123", False, False),
        ("47a135", False, False),
        ("４７１１３５", False, False),
        ("4" * 13, False, True),
    ],
)
def test_valid_and_weak_pins(pin: str, *, possible: bool, weak: bool) -> None:
    assert is_pin(pin) is possible
    if possible:
        assert is_weak_pin(pin, "13800000001") is weak


class Guessing(RuleBasedStateMachine):
    """In any sequence, no more wrong codes are checked than the lock-outs allow, whatever the owner sends."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.authenticator = CommandAuthenticator(self.clock)
        self.failures: list[float] = []
        self.checked: list[float] = []
        self.locked = 0.0

    @rule(times=st.integers(1, 8))
    def guess(self, times: int) -> None:
        for _ in range(times):
            result = self.authenticator.authenticate("a", PIN, CommandAttempt("开", "", "0000"))
            assert result is not AuthResult.ACCEPTED
            if self.clock.now < self.locked:
                assert result is AuthResult.LOCKED_OUT
                continue
            self.checked.append(self.clock.now)
            self.failures = [at for at in self.failures if self.clock.now - at < WINDOW] + [self.clock.now]
            assert (result is AuthResult.LOCKED_OUT) == (len(self.failures) == MAX_WRONG)
            if result is AuthResult.LOCKED_OUT:
                self.failures = []
                self.locked = self.authenticator.locked_until("a") or 0.0
                assert self.locked >= self.clock.now + LOCK_OUTS[0]

    @rule(seconds=st.sampled_from([1.0, 900.0, 3600.0, 4 * 3600.0, 16 * 3600.0, 86_400.0, 10 * 86_400.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def succeed(self) -> None:
        result = self.authenticator.authenticate("a", PIN, CommandAttempt("开", "", "4711"))
        assert (result is AuthResult.ACCEPTED) == (self.clock.now >= self.locked)

    @invariant()
    def locked_until_matches_the_lock_out(self) -> None:
        assert (self.authenticator.locked_until("a") is not None) == (self.clock.now < self.locked)

    @invariant()
    def no_month_has_more_guesses_than_the_page_says(self) -> None:
        assert sum(self.clock.now - at < MONTH for at in self.checked) <= guesses(MONTH)


TestGuessing = Guessing.TestCase
TestGuessing.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


MONTH = 30 * 86_400.0


def guesses(seconds: float) -> int:
    """Return how many wrong codes are checked if somebody guesses whenever possible."""
    clock, count, end = Clock(), 0, NOW + seconds
    authenticator = CommandAuthenticator(clock)
    while clock.now < end:
        result = authenticator.authenticate("a", PIN, CommandAttempt("开", "", "0000"))
        count += 1
        if result is AuthResult.LOCKED_OUT:
            clock.now = authenticator.locked_until("a") or end
    return count


def test_pages_quote_the_odds() -> None:
    """A PIN is one code of 10 ** digits; of a time-based code, five are valid at a time."""
    month, year = guesses(MONTH), guesses(365 * 86_400.0)
    times = len(TOTP.valid_codes(NOW))
    odds = {digits: round(10**digits / month) for digits in (4, 6, 8)}
    quoted = [str(month), f"{year:,}", *(f"{odd:,}" for odd in odds.values())]
    quoted += [f"{round(10**6 / year):,}", f"{round(10**6 / month / times):,}", f"{round(10**6 / year / times):,}"]
    for page in ("conversations.md", "conversations.zh-Hans.md"):
        text = (Path(__file__).parents[2] / "docs" / "home-assistant" / page).read_text("utf-8")
        assert not [figure for figure in quoted if not re.search(rf"(?<![\d,]){figure}(?![\d,])", text)], quoted


def test_accepted_codes_do_not_reset_the_count() -> None:
    clock = Clock()
    authenticator = CommandAuthenticator(clock)
    results = []
    for _ in range(MAX_WRONG):
        results.append(authenticator.authenticate("a", PIN, CommandAttempt("开", "", "0000")))
        clock.now += 3600
        authenticator.authenticate("a", PIN, CommandAttempt("开", "", "4711"))
    assert results[-1] is AuthResult.LOCKED_OUT


def test_lock_outs_are_short_again_after_a_month() -> None:
    clock = Clock()
    authenticator = CommandAuthenticator(clock)
    for wait, duration in ((FORGIVEN - 1, LOCK_OUTS[0]), (FORGIVEN, LOCK_OUTS[1]), (0.0, LOCK_OUTS[0])):
        for _ in range(MAX_WRONG):
            authenticator.authenticate("a", PIN, CommandAttempt("开", "", "0000"))
        assert authenticator.locked_until("a") == clock.now + duration
        clock.now += wait


def test_state_of_an_earlier_version_counts() -> None:
    clock = Clock()
    stored = {"a": AuthState(wrong=4, lock_outs=2, locked_until=0.0, used=0)}
    authenticator = CommandAuthenticator(clock, stored)
    assert authenticator.authenticate("a", PIN, CommandAttempt("开", "", "0000")) is AuthResult.LOCKED_OUT
    assert authenticator.locked_until("a") == clock.now + LOCK_OUTS[2]


def test_fast_clock_does_not_shut_the_owner_out() -> None:
    """Its code is accepted at a time that is a year ahead; then the clock is set right."""
    clock, year = Clock(), 365 * 86_400
    authenticator = CommandAuthenticator(clock)
    before, ahead = code(NOW), code(NOW + year)
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", before)) is AuthResult.ACCEPTED
    clock.now += year
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", ahead)) is AuthResult.ACCEPTED
    for _ in range(MAX_WRONG):
        authenticator.authenticate("b", TOTP, CommandAttempt("开", "", "0"))
    authenticator = CommandAuthenticator(clock, json.loads(json.dumps(authenticator.states)))
    clock.now = NOW + 30
    assert authenticator.locked_until("b") == clock.now + LOCK_OUTS[0]
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", before)) is AuthResult.REFUSED
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", code(clock.now))) is AuthResult.ACCEPTED
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", code(clock.now))) is AuthResult.REFUSED
    clock.now = NOW + year  # the code that was accepted too early is still used
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", ahead)) is AuthResult.REFUSED
    clock.now += 60
    assert authenticator.authenticate("a", TOTP, CommandAttempt("开", "", code(clock.now))) is AuthResult.ACCEPTED
