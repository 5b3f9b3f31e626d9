"""Every sentence that a person can meet is whole in its language, and says a thing once."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import ROOT
from support.sentences import CHINESE, foreign_words

import sms1680
from sms1680 import Concern, InvalidMessageError, InvalidPushError, Outcome, Reason, Receipt, SMS1680Error, parse_push
from sms1680.account import Account, gateway_url
from sms1680.checks import amount, positive, seconds, whole
from sms1680.cmpp.client_settings import CMPPSettings
from sms1680.cmpp.compose import SubmitSettings, full_number
from sms1680.cmpp.proxy import ConnectRequest, ProxyAddress, ProxyProblem, read_proxy
from sms1680.cmpp.status import Status
from sms1680.errors import NoAnswerError, SendError, error_of, refused_query
from sms1680.http.requests import check_separators
from sms1680.http.responses import BALANCE
from sms1680.numbers import normalise_numbers
from sms1680.outcomes import Language
from sms1680.plan import check_extension, check_time, plan_batch, plan_send, plan_template
from sms1680.push import DeliveryReport
from sms1680.report_words import CODES, FAMILIES, STATUSES, WORDS
from sms1680.text import Signature, TextWarning, estimate

INTEGRATION = ROOT / "custom_components" / "sms1680"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
A = "13800000000"


INVALID: dict[str, Callable[[], object]] = {
    "number": lambda: normalise_numbers("x"),
    "numbers": lambda: normalise_numbers([A, "x"]),
    "no number": lambda: normalise_numbers([]),
    "empty text": lambda: plan_send([A], " "),
    "long text": lambda: plan_send([A], "x" * 600),
    "no rows": lambda: plan_batch([]),
    "row": lambda: plan_batch([(A,)]),
    "number of a row": lambda: plan_batch([("x", "x")]),
    "text of a row": lambda: plan_batch([(A, "")]),
    "separator in a row": lambda: check_separators(plan_batch([(A, "a|b")])),
    "row of a template": lambda: plan_template("{A}", [()]),
    "number of a row of a template": lambda: plan_template("{A}", [("x", "x")]),
    "text of a template": lambda: plan_template("{A}", [(A, "x" * 600)]),
    "six values": lambda: plan_template("{A}", [(A, *"123456")]),
    "no value": lambda: plan_template("{A}{B}", [(A, "1")]),
    "value too many": lambda: plan_template("{A}", [(A, "1", "2")]),
    "empty value": lambda: plan_template("{A}", [(A, " ")]),
    "placeholder in a value": lambda: plan_template("{A}", [(A, "{B}")]),
    "separator in a value": lambda: check_separators(plan_template("{A}", [(A, "a,b")])),
    "placeholder": lambda: plan_template("{F}", [(A,)]),
    "time without zone": lambda: check_time(NOW.replace(tzinfo=None), NOW),
    "past time": lambda: check_time(NOW - timedelta(1), NOW),
    "number as extension": lambda: check_extension(12),  # type: ignore[arg-type]
    "extension": lambda: check_extension("x"),
    "estimate": lambda: estimate(""),
    "whole": lambda: whole("window", 0, 9),
    "amount": lambda: amount("hour", -1),
    "seconds": lambda: seconds("patience", -1),
    "positive": lambda: positive("rate", 0),
    "user name": lambda: Account("", "x", product_id="1"),
    "product": lambda: Account("x", "x", product_id=1),  # type: ignore[arg-type]
    "empty product": lambda: Account("x", "x", product_id=""),
    "form": lambda: Account("x", "x", product_id="1", form="x"),  # type: ignore[arg-type]
    "plain form": lambda: Account("x", password_md5="0" * 32, product_id="1", form="plain"),
    "two passwords": lambda: Account("x", "x", password_md5="0" * 32, product_id="1"),
    "digest": lambda: Account("x", password_md5="x", product_id="1"),
    "empty password": lambda: Account("x", "", product_id="1"),
    "digest as password": lambda: Account("x", "0" * 32, product_id="1"),
    "gateway": lambda: gateway_url("x"),
    "signature": lambda: Signature("【】"),
    "place of the signature": lambda: Signature("x", "x"),  # type: ignore[arg-type]
    "priority": lambda: sms1680.Client(Account("x", "x", product_id="1")).send(A, "x", priority="x"),  # type: ignore[arg-type]
    "dialect": lambda: CMPPSettings(dialect="x"),  # type: ignore[arg-type]
    "proxy": lambda: read_proxy("x"),
    "SOCKS for CMPP": lambda: read_proxy("socks5://h:1"),
    "host behind a proxy": lambda: ConnectRequest(ProxyAddress("h", 1), "a b", 1),
    "SP ID": lambda: SubmitSettings("x", "1", "", "auto"),
    "source number": lambda: SubmitSettings("1", "x", "", "auto"),
    "service ID": lambda: SubmitSettings("1", "1", "x" * 11, "auto"),
    "encoding": lambda: SubmitSettings("1", "1", "", "x"),  # type: ignore[arg-type]
    "long number": lambda: full_number("1" * 20, "12"),
    "push": lambda: parse_push("mobile=1"),
    "push without number": lambda: parse_push("content=x"),
    "field of a push": lambda: parse_push(f"mobile={'1' * 99}&content=x"),
    "large push": lambda: parse_push("x" * 99999),
    "push of numbers": lambda: parse_push({"mobile": 1}),  # type: ignore[dict-item]
    "no push": lambda: parse_push(1),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_argument_is_explained_in_both_languages(name: str) -> None:
    with pytest.raises((InvalidMessageError, InvalidPushError)) as raised:
        INVALID[name]()
    check(raised.value.sentence)


def check(sentence: Callable[[Language], str]) -> None:
    languages: tuple[Language, ...] = ("en", "zh")
    for language in languages:
        said = sentence(language)
        assert not foreign_words(said, language), said
    assert CHINESE.search(sentence("zh"))
    assert not re.search(r"[.。] ?[.。]|：:|。 ", sentence("zh"))


@pytest.mark.parametrize("reason", Reason)
def test_reason_is_whole_in_both_languages(reason: Reason) -> None:
    check(reason.sentence)
    for outcome in Outcome:
        check(Receipt(A, outcome, reason=reason).sentence)
        for receipts in ([Receipt(A, outcome, reason=reason)], [Receipt(A, outcome, reason=reason)] * 2):
            if (error := error_of([*receipts, Receipt(A, Outcome.ACCEPTED)])) is not None:
                check(error.sentence)
    check(Status(connected=False, reason=reason).sentence)


def test_other_sentences_are_whole_in_both_languages() -> None:
    for outcome in Outcome:
        check(outcome.sentence)
    for concern in Concern:
        check(TextWarning(concern).sentence)
    for reason in filter(None, BALANCE.values()):
        check(refused_query(reason).sentence)
    for reason in (Reason.NO_CONNECTION, Reason.LOST, Reason.NOT_UNDERSTOOD):
        check(NoAnswerError(reason).sentence)
    for problem in ProxyProblem:
        check(problem.sentence)
    check(Status(connected=True).sentence)
    check(Status(connected=False).sentence)
    codes = [f"{family}:{code:04}" for family, causes in CODES.items() for some in causes.values() for code in some]
    for word in (*STATUSES, *WORDS, *(f"{family}:7777" for family in FAMILIES), *codes, "XX:1"):
        check(DeliveryReport("1", A, word).sentence)


def test_a_thing_is_said_once() -> None:
    """An unknown outcome used to be said three times in one error."""
    for reason in Reason:
        for outcome in Outcome:
            receipt = Receipt(A, outcome, reason=reason)
            error = error_of([receipt])
            for said in [receipt.sentence(), *([error.sentence()] if isinstance(error, SendError) else [])]:
                for phrase in ("may have been sent", "not repeated", "was not sent", "nothing was sent", "not sent"):
                    assert said.lower().count(phrase) <= 1, said


# Fields and variables that dialogs and descriptions of actions name.
FIELDS = {
    "message",
    "recipients",
    "numbers",
    "outcomes",
    "reasons",
    "number",
    "entity_id",
    "values",
    "name",
    "message_id",
}


def leaves(value: Any) -> Iterator[str]:
    """Yield all texts of a part of the translations."""
    if isinstance(value, str):
        yield value
    else:
        for item in value.values():
            yield from leaves(item)


@pytest.mark.parametrize(("name", "language"), [("en", "en"), ("zh-Hans", "zh")])
def test_translation_is_whole_in_its_language(name: str, language: Language) -> None:
    said = json.loads((INTEGRATION / "translations" / f"{name}.json").read_text("utf-8"))
    assert said.keys() >= {"exceptions", "issues"}
    mixed = {text: set(foreign_words(text, language)) for text in leaves(said)}
    assert not {text: words for text, words in mixed.items() if words - FIELDS}


@pytest.mark.parametrize(
    ("sentence", "language", "found"),
    [
        ("number 1: 不是手机号码", "zh", ["number"]),
        ("请设置 `rate`，或使用 CMPP（UNDELIV）。", "zh", []),
        ("The signature 【某某】 is missing.", "en", []),
        ("Nothing was sent: 内容为空", "en", ["内", "容", "为", "空"]),
    ],
)
def test_foreign_words_are_found(sentence: str, language: Language, found: list[str]) -> None:
    assert foreign_words(sentence, language) == found


def test_every_kind_of_invalid_argument_is_generated() -> None:
    """Count the places that raise these errors, so that a new one is not forgotten above.

    test_cli_sentences.py has those of the command line.
    """
    places = 0
    core = INTEGRATION / "client"
    for path in {*core.rglob("*.py")} - {*(core / "cli").iterdir()}:
        text = path.read_text("utf-8")
        places += len(re.findall(r"(?:raise|return) Invalid(?:Message|Setting|Push)Error\(", text))
    assert places <= len(INVALID)
    assert issubclass(InvalidMessageError, SMS1680Error)
