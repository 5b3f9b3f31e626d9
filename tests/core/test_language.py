"""Every sentence that a person can meet is whole in its language."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from sms1680 import Account, Concern, InvalidMessageError, NoAnswerError, Outcome, Reason, Receipt, SMS1680Error
from sms1680.checks import amount, positive, seconds, whole
from sms1680.cli import main
from sms1680.errors import error_of
from sms1680.limits.settings import SpendingLimits
from sms1680.numbers import normalise_numbers
from sms1680.plan import check_extension, check_time, plan_batch, plan_send, plan_template
from sms1680.push import parse_push
from sms1680.text import Signature, TextWarning

A, B = "13911000000", "13688888888"
LONG = "水" * 501
# Names that are the same in both languages: protocols, settings and placeholders.
NAMES = {
    "App",
    "CMPP",
    "HTTP",
    "ID",
    "IP",
    "MD5",
    "SP",
    "URL",
    "PHONE",
    "http",
    "https",
    "md5",
    "plain",
    "normal",
    "critical",
    "front",
    "behind",
    "platform",
}
NAMES |= {"max_length", "patience", "NAME", "mobile", "rate", "reserve", "hour", "password", "password_md5"}
CHINESE = re.compile(r"[\u3400-\u9fff\uff08-\uff1b]")


def is_whole(sentence: str, language: str) -> bool:
    if language == "zh":
        return CHINESE.search(sentence) is not None and set(re.findall(r"(?a:[A-Za-z_]\w+)", sentence)) <= NAMES
    return CHINESE.search(sentence) is None


def raised(call: Callable[[], object]) -> SMS1680Error:
    with pytest.raises(SMS1680Error) as caught:
        call()
    return caught.value


CALLS: dict[str, Callable[[], Any]] = {
    "no numbers": lambda: normalise_numbers([]),
    "one number": lambda: normalise_numbers("10086"),
    "second number": lambda: normalise_numbers([A, "10086"]),
    "no text": lambda: plan_send(A, " "),
    "long text": lambda: plan_send(A, LONG),
    "long template": lambda: plan_template(LONG, [(A,)]),
    "unknown placeholder": lambda: plan_template("{NAME}", [(A,)]),
    "no rows": lambda: plan_template("{A}", []),
    "bad row": lambda: plan_template("{A}", [A]),
    "bad number in a row": lambda: plan_template("{A}", [("1", "x")]),
    "missing value": lambda: plan_template("{A}", [(A,)]),
    "needless value": lambda: plan_template("x", [(A, "x")]),
    "empty value": lambda: plan_template("{A}", [(A, " ")]),
    "placeholder in a value": lambda: plan_template("{A}", [(A, "{B}")]),
    "six values": lambda: plan_template("{A}", [(A, *"123456")]),
    "long row": lambda: plan_template("{A}", [(A, LONG)]),
    "bad pair": lambda: plan_batch([A]),  # type: ignore[list-item]
    "bad number in a pair": lambda: plan_batch([("1", "x")]),
    "long text in a pair": lambda: plan_batch([(A, LONG)]),
    "empty text in a pair": lambda: plan_batch([(A, "")]),
    "naive time": lambda: check_time("x", None),  # type: ignore[arg-type]
    "extension": lambda: check_extension("x"),
    "extension that is a number": lambda: check_extension(12),  # type: ignore[arg-type]
    "signature": lambda: Signature("【】"),
    "signature place": lambda: Signature("x", "above"),  # type: ignore[arg-type]
    "account": lambda: Account("", "x", product_id="1"),
    "password": lambda: Account("x", "", product_id="1"),
    "no password": lambda: Account("x", product_id="1"),
    "digest as password": lambda: Account("x", "0" * 32, product_id="1"),
    "bad digest": lambda: Account("x", password_md5="x", product_id="1"),
    "product": lambda: Account("x", "x", product_id=""),
    "whole": lambda: whole("max_length", 0, 5),
    "amount": lambda: amount("reserve", -1),
    "seconds": lambda: seconds("patience", -1),
    "positive": lambda: positive("rate", 0),
    "limits": lambda: SpendingLimits(hour=-1),
    "push": lambda: parse_push("x=y"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_errors_are_whole_in_both_languages(call: Callable[[], Any]) -> None:
    error = raised(call)
    assert is_whole(error.sentence("zh"), "zh"), error.sentence("zh")
    assert is_whole(error.sentence("en").replace("【…】", ""), "en"), error.sentence("en")


def test_position_of_a_bad_number_is_named_in_both_languages() -> None:
    error = raised(lambda: normalise_numbers([A, "10086"]))
    assert error.sentence("en").startswith("number 2 is not")
    assert error.sentence("zh").startswith("第 2 个号码不是中国大陆手机号码")


@pytest.mark.parametrize("reason", Reason)
def test_reasons_are_whole_in_both_languages(reason: Reason) -> None:
    assert is_whole(reason.zh, "zh"), reason.zh
    assert is_whole(reason.en.replace("【…】", ""), "en"), reason.en


@pytest.mark.parametrize("outcome", Outcome)
def test_summary_of_several_numbers_is_whole_in_both_languages(outcome: Outcome) -> None:
    receipts = [Receipt(A, outcome, reason=Reason.LOST), Receipt(B, Outcome.UNKNOWN, reason=Reason.LOST)]
    error = error_of(receipts)
    assert error is not None
    for sentence in (error.sentence("zh"), *(receipt.sentence("zh") for receipt in receipts)):
        assert is_whole(sentence.replace("139****0000", ""), "zh"), sentence


@pytest.mark.parametrize("reason", [Reason.NO_CONNECTION, Reason.LOST, Reason.NOT_UNDERSTOOD])
def test_failed_queries_are_whole_in_both_languages(reason: Reason) -> None:
    assert is_whole(NoAnswerError(reason).sentence("zh"), "zh")
    assert is_whole(NoAnswerError(reason).sentence("en"), "en")


@pytest.mark.parametrize("concern", Concern)
def test_warnings_are_whole_in_both_languages(concern: Concern) -> None:
    assert is_whole(TextWarning(concern).sentence("zh"), "zh")
    assert is_whole(TextWarning(concern).sentence("en").replace("【…】", ""), "en")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_command_line_prints_an_estimate_in_one_language(
    language: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", {"zh": "zh_CN.UTF-8", "en": "C.UTF-8"}[language])
    assert main(["estimate", "see 1.2.3.4"]) == 0
    for line in capsys.readouterr().out.splitlines():
        assert is_whole(line.replace("1.2.3.4", "").replace("【…】", "").replace("“”", ""), language), line


def test_missing_password_file_is_reported_in_chinese(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["balance", "--username", "x", "--product", "1", "--password-file", "/proc/none"]) == 2
    assert is_whole(capsys.readouterr().err.replace("sms1680:", ""), "zh")
    assert issubclass(InvalidMessageError, SMS1680Error)
