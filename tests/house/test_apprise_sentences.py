"""Every sentence of the Apprise plugin is whole in the language of the environment, and says a thing once."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from support.sentences import CHINESE, foreign_words

from sms1680 import Outcome, Reason, Receipt, SpendingLimits
from sms1680.apprise import NotifySMS1680
from sms1680.apprise.arguments import parse_batch, parse_number
from sms1680.apprise.credentials import make_account
from sms1680.apprise.log_messages import (
    NO_TIME,
    OTHER_SENDER,
    REPEATED,
    failure_message,
    invalid_message,
    invalid_targets,
    success_message,
    text_was_cut,
    unexpected_error,
    with_notes,
)
from sms1680.errors import InvalidMessageError, InvalidSettingError
from sms1680.outcomes import OWN_LIMITS, Language

A, B = "13800000000", "13800000001"
GATEWAY = "http://api.1680.me"
BOTH = pytest.mark.parametrize("language", ["en", "zh"])
# Names that the log lines and the addresses have in both languages.
SAME = {"sms1680"}


def account(**given: Any) -> object:
    return make_account(**{"user": "u", "password": "p", "product_id": "1", "gateway": GATEWAY, **given})


INVALID: dict[str, Callable[[], object]] = {
    "number": lambda: parse_number("rate", "x"),
    "number with a limit": lambda: parse_number("dedupe", "x", 9),
    "batch": lambda: parse_batch("1001"),
    "user": lambda: account(user=None, md5=False, form="md5"),
    "product": lambda: account(product_id=None, md5=False, form="md5"),
    "port": lambda: account(product_id="1:80", md5=False, form="md5"),
    "password": lambda: account(password=None, md5=False, form="md5"),
    "password that is an MD5": lambda: account(password="0" * 32, md5=False, form="md5"),
    "MD5 that is none": lambda: account(password="x", md5=True, form="md5"),
    "form": lambda: account(md5=False, form="no"),
}


@pytest.fixture(autouse=True)
def _spoken(language: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8" if language == "zh" else "C.UTF-8")
    for name in ("SMS1680_PASSWORD", "SMS1680_PASSWORD_MD5"):
        monkeypatch.delenv(name, raising=False)


def check(said: str, language: Language) -> None:
    assert said
    assert not set(foreign_words(said, language)) - SAME, said
    assert (CHINESE.search(said) is not None) is (language == "zh"), said
    assert not re.search(r"[.。] ?[.。]|：:|。 |\(\)|（）", said), said
    for phrase in ("may have been sent", "was not sent", "nothing was sent", "held back", "可能已发出", "没有发送"):
        assert said.lower().count(phrase) <= 1 or phrase == "held back", said


@BOTH
@pytest.mark.parametrize("name", INVALID)
def test_invalid_setting_is_explained(language: Language, name: str) -> None:
    with pytest.raises(InvalidMessageError) as raised:
        INVALID[name]()
    check(raised.value.sentence(language), language)


@BOTH
def test_password_of_the_environment_is_explained(language: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS1680_PASSWORD", "p")
    with pytest.raises(InvalidSettingError) as raised:
        account(password=None, gateway="http://other.example", md5=False, form="md5")
    check(raised.value.sentence(language), language)


@BOTH
def test_log_lines_are_whole(language: Language) -> None:
    limits = SpendingLimits()
    many = [Receipt(f"138{place:08d}", Outcome.NOT_SENT, reason=Reason.NO_CONNECTION) for place in range(21)]
    for reason in Reason:
        for outcome in (Outcome.REFUSED, Outcome.NOT_SENT, Outcome.UNKNOWN):
            for detail in (None, NO_TIME, OTHER_SENDER, "HTTP 404"):
                receipt = Receipt(A, outcome, reason=reason, detail=detail)
                if reason is not Reason.AUTOMATIC_LIMIT:
                    check(failure_message([receipt], limits), language)
                check(failure_message([receipt, Receipt(B, outcome, reason=reason)]), language)
    check(failure_message([Receipt(A, Outcome.NOT_SENT)]), language)
    check(failure_message(many), language)
    check(failure_message([Receipt(A, Outcome.REFUSED, reason=OWN_LIMITS[0])], limits, sums_up=False), language)
    for outcome in (Outcome.ACCEPTED, Outcome.HELD):
        for message_id in (None, "1679"):
            for detail in (None, REPEATED):
                receipts = [Receipt(A, outcome, message_id, detail=detail), Receipt(B, outcome)]
                check(success_message(receipts, {A}) + text_was_cut(500), language)
    check(with_notes("", late=48, targets=1, invalid=2), language)
    check(with_notes("", late=None, targets=0, invalid=1), language)
    assert not with_notes("", late=None, targets=1, invalid=0)
    check(invalid_targets(3), language)
    check(unexpected_error("ValueError"), language)
    check(invalid_message(InvalidMessageError("the text is empty", "内容为空")), language)


@BOTH
def test_error_of_the_url_is_logged_in_the_language(language: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(NotifySMS1680.logger, "error", lambda line, *given: lines.append(line % given))
    with pytest.raises(Exception, match="repeat") as raised:
        NotifySMS1680(user="u", password="p", product_id="1", targets=[A, "x"], repeat="often")
    check(str(raised.value), language)
    assert lines == [f"sms1680: {raised.value}"]
