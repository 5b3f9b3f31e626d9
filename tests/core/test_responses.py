"""The meaning of each response: docs/protocol.md, section 6, line by line."""

import base64
import contextlib
import html
import json
import pickle
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st

from sms1680 import AuthenticationError, NoAnswerError, Outcome, Reason, RefusedError, Repeat, SMS1680Error
from sms1680.http.responses import TABLES, read_balance, read_response
from sms1680.http.transport import Response, TransportError
from sms1680.verdict import RetryMode

SEND, TEMPLATE, BATCH = TABLES


def answer(body: str | bytes, status: int = 200, charset: str | None = None, *, complete: bool = True) -> Response:
    return Response(status, body.encode() if isinstance(body, str) else body, charset, complete)


# (code of send, code of template and batch, reason, outcome, repeat, whether the other packets are sent)
LAW = [
    ("1,26112216", "1", None, "accepted", Repeat.NO, True),
    ("3", "-3", Reason.REVIEW, "held", Repeat.NO, True),
    ("4", None, Reason.MANUAL, "held", Repeat.NO, True),
    ("0", "0", Reason.FAILED, "refused", Repeat.BY_A_PERSON, True),
    ("-1", "-1", Reason.AUTHENTICATION, "refused", Repeat.AFTER_CORRECTION, False),
    ("2", "-2", Reason.BALANCE, "refused", Repeat.AFTER_TOPPING_UP, False),
    ("13", None, Reason.BALANCE, "refused", Repeat.AFTER_TOPPING_UP, False),
    (None, "-4", Reason.VARIABLE, "refused", Repeat.AFTER_CORRECTION, True),
    ("5", "-5", Reason.TOO_FAST, "refused", Repeat.YES, True),
    ("6", "-6", Reason.NUMBER, "refused", Repeat.NO, True),
    ("7", "-7", Reason.EMPTY, "refused", Repeat.NO, False),
    ("8,发票", "-8", Reason.FORBIDDEN_WORDS, "refused", Repeat.OTHER_TEXT, False),
    ("9", "-9", Reason.PERMISSION, "refused", Repeat.AFTER_CORRECTION, False),
    ("10", "-10", Reason.TOO_MANY, "refused", Repeat.AFTER_CORRECTION, True),
    ("11", "-11", Reason.PRODUCT, "refused", Repeat.AFTER_CORRECTION, False),
    ("-11", None, Reason.USER, "refused", Repeat.AFTER_CORRECTION, False),
    ("12", "-12", Reason.PARAMETER, "refused", Repeat.AFTER_CORRECTION, False),
    ("-14", "-14", Reason.IP, "refused", Repeat.AFTER_CORRECTION, False),
    ("-15", "-15", Reason.SIGNATURE, "refused", Repeat.AFTER_CORRECTION, False),
]
CASES = [
    (path, body, *rest)
    for send, dynamic, *rest in LAW
    for path, body in ((SEND, send), (TEMPLATE, dynamic), (BATCH, dynamic))
    if body is not None
]


@pytest.mark.parametrize(("path", "body", "reason", "outcome", "repeat", "goes_on"), CASES)
def test_each_code_of_the_tables_has_its_verdict(
    path: str,
    body: str,
    reason: Reason | None,
    outcome: str,
    repeat: Repeat,
    goes_on: bool,
) -> None:
    verdict = read_response(path, answer(body))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert verdict.goes_on == (goes_on or (path == BATCH and reason is Reason.FORBIDDEN_WORDS))
    assert reason is None or reason.repeat is repeat
    again = {Reason.TOO_FAST: RetryMode.SLOWER, Reason.TOO_MANY: RetryMode.SMALLER}
    assert verdict.retry is again.get(reason, RetryMode.NO)  # type: ignore[arg-type]


def test_every_code_of_the_tables_is_tested() -> None:
    tested = {(path, body.partition(",")[0]) for path, body, *_ in CASES}
    assert tested == {(path, code) for path, table in TABLES.items() for code in table}


@pytest.mark.parametrize(
    "padded",
    ["{}", " {} ", "\r\n{}\r\n", "\ufeff{}", "{}\x00\x00\x00", "\ufeff \r\n\x00 {} \x00\r\n", "\u200b{}\u200b"],
)
@pytest.mark.parametrize(("body", "outcome"), [("1,261122", "accepted"), ("-14", "refused"), ("3", "held")])
def test_padding_around_the_code_is_ignored(padded: str, body: str, outcome: str) -> None:
    verdict = read_response(SEND, answer(padded.format(body)))
    assert (verdict.outcome, verdict.message_id) == (outcome, "261122" if outcome == "accepted" else None)


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        ("1, 26112216", "26112216"),
        ("1，26112216", "26112216"),
        ("1,A-b_9", "A-b_9"),
        ("1,", None),
        ("1", None),
        ("1,a b", None),
    ],
)
def test_the_id_is_opaque_text(body: str, message_id: str | None) -> None:
    verdict = read_response(SEND, answer(body))
    assert (verdict.outcome, verdict.message_id) == (Outcome.ACCEPTED, message_id)


def test_template_response_can_contain_an_id() -> None:
    assert read_response(TEMPLATE, answer("1,77")).message_id == "77"


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "<html><body>1,5</body></html>",
        "01",
        "+1",
        "1.0",
        "１",
        "99",
        "-99",
        "OK",
        "Success",
        "5,26112216",
        "１,5",
        "1;5",
        "--1",
        "13x",
        "1 1",
    ],
)
def test_unlisted_code_is_unknown(body: str) -> None:
    verdict = read_response(SEND, answer(body))
    assert (verdict.outcome, verdict.reason, verdict.goes_on) == (Outcome.UNKNOWN, Reason.NOT_UNDERSTOOD, True)
    assert verdict.reason.repeat is Repeat.NEVER_BY_ITSELF
    assert verdict.retry is RetryMode.NO


@pytest.mark.parametrize("path", [TEMPLATE, BATCH])
@pytest.mark.parametrize("body", ["2", "3", "13", "-13", "8"])
def test_each_call_keeps_its_own_table(path: str, body: str) -> None:
    assert read_response(path, answer(body)).outcome is Outcome.UNKNOWN


def test_bare_1_without_a_length_is_unknown() -> None:
    assert read_response(SEND, answer("1", complete=False)).outcome is Outcome.UNKNOWN
    assert read_response(SEND, answer("1,2", complete=False)).outcome is Outcome.ACCEPTED
    assert read_response(TEMPLATE, answer("1", complete=False)).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("status", "outcome", "reason", "goes_on"),
    [
        (301, "refused", Reason.WRONG_ADDRESS, False),
        (404, "refused", Reason.WRONG_ADDRESS, False),
        (429, "refused", Reason.TOO_FAST, True),
        (500, "unknown", Reason.NOT_UNDERSTOOD, True),
        (502, "unknown", Reason.NOT_UNDERSTOOD, True),
        (204, "unknown", Reason.NOT_UNDERSTOOD, True),
    ],
)
def test_http_status_decides_before_the_body(status: int, outcome: str, reason: Reason, goes_on: bool) -> None:
    verdict = read_response(SEND, answer("1,2", status))
    assert (verdict.outcome, verdict.reason, verdict.goes_on) == (outcome, reason, goes_on)


def test_missing_response_is_unknown_unless_the_request_never_began() -> None:
    lost = read_response(SEND, TransportError(begun=True, detail="ReadTimeout"))
    assert (lost.outcome, lost.reason, lost.goes_on, lost.retry) == (Outcome.UNKNOWN, Reason.LOST, True, RetryMode.NO)
    never = read_response(SEND, TransportError(begun=False, detail="ConnectError"))
    assert (never.outcome, never.reason, never.goes_on) == (Outcome.NOT_SENT, Reason.NO_CONNECTION, False)
    assert never.retry is RetryMode.RECONNECT


BILL = ["代开发票"]


def test_forbidden_words_are_decoded_in_their_charset() -> None:
    assert read_response(SEND, answer("8,发票".encode("gb18030")), texts=BILL).detail == "发票"
    assert read_response(SEND, answer("8,发票".encode("gbk"), charset="GBK"), texts=BILL).detail == "发票"
    assert read_response(SEND, answer("8,发票".encode(), charset="no-such-charset"), texts=BILL).detail == "发票"
    assert read_response(SEND, answer("8,发票".encode(), charset="ascii"), texts=BILL).detail == "发票"


ECHOED = ["s3cret&<+码", "e10adc3949ba59abbe56e057f20f883e", "13812345678", "后门 748291 打开"]


def echoes(secret: str) -> list[str]:
    """Return the forms in which a gateway can echo a part of the request."""
    octets = secret.encode()
    return [
        secret,
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        quote_plus(secret),
        html.escape(secret),
        json.dumps(secret),
        base64.b64encode(octets).decode(),
        base64.urlsafe_b64encode(octets).decode(),
        octets.hex(),
    ]


@pytest.mark.parametrize("before", ["", "1,", "0,", "2,", "5,", "8,", "8,打开,", "99,", "-99 ", "<p>", "HTTP "])
@pytest.mark.parametrize("status", [200, 204, 500])
@pytest.mark.parametrize("path", [SEND, TEMPLATE, BATCH])
def test_echo_of_the_request_is_quoted_in_no_form(before: str, status: int, path: str) -> None:
    for secret in ECHOED:
        for echo in echoes(secret):
            for body in (f"{before}{echo}", f"{before}{echo}</p>{'x' * 500}"):
                verdict = read_response(path, answer(body, status), ECHOED[:3], ECHOED[3:])
                shown = f"{verdict.detail} {verdict.message_id}"
                assert echo not in shown
                assert secret not in shown
                with contextlib.suppress(SMS1680Error):
                    read_balance(answer(body, status))


def test_response_that_was_not_understood_shows_its_code_or_its_length() -> None:
    assert read_response(SEND, answer("-99,后门打开")).detail == "HTTP 200: -99"
    assert read_response(SEND, answer("748291")).detail == "HTTP 200: 6 B"
    assert read_response(SEND, answer("<html>", 502)).detail == "HTTP 502: 6 B"


def test_only_refused_words_of_the_message_are_named() -> None:
    tail = "8,发票，别的、748291;13812345678|Lottery,后门打开着吗请马上回家看一下"
    texts = ["代开发票 748291 13812345678 LOTTERY 后门打开着吗请马上回家看一下"]
    assert read_response(SEND, answer(tail), texts=texts).detail == "发票,Lottery"
    assert read_response(SEND, answer("2,发票"), texts=texts).detail is None


@given(
    st.binary(max_size=200),
    st.sampled_from([SEND, TEMPLATE, BATCH]),
    st.integers(100, 599),
    st.sampled_from([None, "utf-8", "gbk", "idna", "utf-7", "rot13", "hex"]),
    st.booleans(),
)
def test_random_octets_are_neither_fatal_nor_accepted(
    body: bytes,
    path: str,
    status: int,
    charset: str | None,
    complete: bool,
) -> None:
    verdict = read_response(path, Response(status, body, charset, complete))
    if verdict.outcome is Outcome.ACCEPTED:
        assert status == 200
        assert b"1" in body


@pytest.mark.parametrize(("body", "balance"), [("995", 995), (" 0\r\n", 0), ("12\x00\x00", 12), ("1", 1)])
def test_a_balance_is_a_whole_number(body: str, balance: int) -> None:
    assert read_balance(answer(body)) == balance


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("-1", Reason.AUTHENTICATION),
        ("-2   \x00\x00", Reason.FAILED),
        ("-5", Reason.TOO_FAST),
        ("-9", Reason.PERMISSION),
        ("-14", Reason.IP),
    ],
)
def test_refused_balance_names_its_reason(body: str, reason: Reason) -> None:
    with pytest.raises(RefusedError) as raised:
        read_balance(answer(body))
    assert raised.value.reason is reason
    assert raised.value.receipts == ()
    assert isinstance(raised.value, AuthenticationError) == (reason is Reason.AUTHENTICATION)
    own = "balance" in raised.value.sentence("en") and "剩余条数" in raised.value.sentence("zh")
    assert own == (reason in (Reason.FAILED, Reason.TOO_FAST, Reason.PERMISSION))
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (copy.sentence("en"), copy.sentence("zh")) == (raised.value.sentence("en"), raised.value.sentence("zh"))


@pytest.mark.parametrize("body", ["", "-3", "-11", "1.5", "<html>", "1e3", "٣", "12,13", "9" * 30, "-0"])
def test_invalid_balance_is_not_understood(body: str) -> None:
    with pytest.raises(NoAnswerError) as raised:
        read_balance(answer(body))
    assert raised.value.reason is Reason.NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("came", "reason"),
    [
        (TransportError(begun=True, detail="ReadTimeout"), Reason.LOST),
        (TransportError(begun=False, detail="ConnectError"), Reason.NO_CONNECTION),
        (answer("x", 500), Reason.NOT_UNDERSTOOD),
    ],
)
def test_missing_balance_response_is_reported(came: Response | TransportError, reason: Reason) -> None:
    with pytest.raises(NoAnswerError) as raised:
        read_balance(came)
    assert raised.value.reason is reason


def test_a_balance_at_a_wrong_address_is_a_refusal() -> None:
    with pytest.raises(RefusedError) as raised:
        read_balance(answer("", 404))
    assert raised.value.reason is Reason.WRONG_ADDRESS


@given(st.binary(max_size=60))
def test_random_balance_octets_raise_only_core_errors(body: bytes) -> None:
    try:
        assert read_balance(Response(200, body)) >= 0
    except SMS1680Error:
        return
