"""Plans and HTTP requests: checks before sending, and the fields of the form."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, strategies as st

from sms1680 import Account, InvalidMessageError
from sms1680.account import gateway_url
from sms1680.characters import clean
from sms1680.http.requests import build_balance, build_send, check_separators
from sms1680.plan import check_extension, check_time, plan_batch, plan_send, plan_template
from sms1680.text import Signature

ACCOUNT = Account("user", "123456", product_id="61341")
NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
VALUE = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=",;{}"), min_size=1, max_size=20)
VALUE = VALUE.map(clean).filter(bool)


def form(plan: object, start: int = 0, end: int | None = None) -> dict[str, str]:
    end = len(plan.numbers) if end is None else end  # type: ignore[attr-defined]
    body = build_send("http://h", ACCOUNT, plan, start, end).body  # type: ignore[arg-type]
    return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True))  # type: ignore[union-attr]


def test_send_form_matches_the_document() -> None:
    at = NOW + timedelta(hours=1)
    plan = plan_send(["13911000000", "+8613688888888"], "后门 & 窗", at=at, extension="0123")
    request = build_send("http://h/p", ACCOUNT, plan, 0, 2)
    assert (request.method, request.url, request.secret_url) == ("POST", "http://h/p/sendXSms.do", False)
    assert form(plan) == {
        "username": "user",
        "password": "e10adc3949ba59abbe56e057f20f883e",
        "productid": "61341",
        "mobile": "13911000000,13688888888",
        "content": "后门 & 窗",
        "dstime": "2026-11-22 13:00:00",
        "xh": "0123",
    }


def test_balance_request_is_a_get_with_a_secret_url() -> None:
    request = build_balance("http://h", ACCOUNT)
    assert (request.method, request.body, request.secret_url) == ("GET", None, True)
    assert request.url == "http://h/balance.do?username=user&password=e10adc3949ba59abbe56e057f20f883e&productid=61341"
    assert "e10adc" not in repr(request)


def test_duplicates_are_sent_once_and_keep_their_places() -> None:
    plan = plan_send(["13900000001", "13900000002", "+8613900000001"], "x")
    assert plan.numbers == ["13900000001", "13900000002"]
    assert list(plan.places) == [0, 1, 0]
    batch = plan_batch([("13900000001", "a"), ("13900000001", "b"), ("13900000001", "a")])
    assert batch.numbers == ["13900000001", "13900000001"]
    assert list(batch.places) == [0, 1, 0]


def test_a_template_is_filled_with_numbers_first() -> None:
    plan = plan_template("{A}，你好，{PHONE} {B}", [("13800210000", "李先生", 5), (13500210000, "王", "x")])
    assert form(plan)["params"] == "13800210000,李先生,5;13500210000,王,x"
    assert form(plan)["content"] == "{A}，你好，{PHONE} {B}"


@given(st.lists(VALUE.filter(str.strip), min_size=1, max_size=5))
def test_template_row_survives_the_form(values: list[str]) -> None:
    template = "".join(f"{{{letter}}}" for letter in "ABCDE"[: len(values)])
    group = form(plan_template(template, [("13800210000", *values)]))["params"]
    assert group.split(";") == [group]
    assert group.split(",") == ["13800210000", *values]


@pytest.mark.parametrize(
    ("template", "row", "says"),
    [
        ("{A}{B}", ("a",), "row 2 has no value for {B}"),
        ("{B}", ("a", "b"), "row 2 has a value for {A}"),
        ("{A}", ("a", "b"), "row 2 has a value for {B}"),
        ("你好", ("a",), "row 2 has a value for {A}"),
        ("{A}", ("a,b",), "row 2 has , or ;"),
        ("{A}", ("a;b",), "row 2 has , or ;"),
        ("{A}", (" ",), "row 2 has an empty value"),
        ("{A}{B}{C}{D}{E}", tuple("abcdef"), "more than five"),
        ("{A}", ("{B}",), "placeholder in the value"),
        ("{A}", ("\x00",), "row 2"),
        ("{A}", ("x" * 500,), "row 2 has 504"),
    ],
)
def test_rows_that_the_platform_would_silently_drop_are_refused(template: str, row: tuple[str, ...], says: str) -> None:
    fine = ("13800210001", *("v" for letter in "ABCDE" if f"{{{letter}}}" in template))
    rows = [("13800210000", *row)]
    if template not in ("{B}", "你好") and "more than" not in says:
        rows.insert(0, fine)
    else:
        says = says.replace("row 2", "row 1")
    with pytest.raises(InvalidMessageError) as raised:
        check_separators(plan_template(template, rows, signature=Signature("某某")))
    assert says in str(raised.value)
    assert raised.value.sentence("zh") != str(raised.value)


@pytest.mark.parametrize("template", ["{F}", "{NAME}", "{a}"])
def test_unknown_placeholder_is_refused(template: str) -> None:
    with pytest.raises(InvalidMessageError, match="placeholder"):
        plan_template(template, [("13800210000",)])


@pytest.mark.parametrize("row", ["13800210000", 13800210000, (), ("555", "x")])
def test_malformed_row_is_refused(row: object) -> None:
    with pytest.raises(InvalidMessageError, match="row 1"):
        plan_template("{A}", [row])  # type: ignore[list-item]


def test_a_batch_pairs_numbers_and_texts_with_their_signatures() -> None:
    plan = plan_batch([("13011001111", "一"), ("13011001112", "二")], signature=Signature("某某"))
    assert form(plan)["content"] == "13011001111|【某某】一$13011001112|【某某】二"


@pytest.mark.parametrize("text", ["a|b", "5$", "", "x" * 501])
def test_invalid_batch_text_is_refused_with_its_row(text: str) -> None:
    with pytest.raises(InvalidMessageError, match="row 2"):
        check_separators(plan_batch([("13011001111", "ok"), ("13011001112", text)]))


def test_separators_are_refused_over_http_only() -> None:
    plan = plan_template("{A}{B}", [("13011001111", "a,b", "c;d"), ("13011001111", "a", "b,c;d")])
    assert plan.values == [("a,b", "c;d"), ("a", "b,c;d")]
    assert plan.only([1]).values == [("a", "b,c;d")]
    assert plan_batch([("13011001111", "1|2 = $5")]).texts == ["1|2 = $5"]


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(InvalidMessageError):
        plan_batch([])
    with pytest.raises(InvalidMessageError):
        plan_template("x", [])


@pytest.mark.parametrize("at", [datetime(2027, 1, 1), NOW, NOW - timedelta(seconds=1), "2027-01-01"])  # noqa: DTZ001
def test_a_time_without_zone_or_in_the_past_is_refused(at: object) -> None:
    with pytest.raises(InvalidMessageError):
        check_time(at, NOW)  # type: ignore[arg-type]


@given(st.datetimes(datetime(2027, 1, 1), datetime(2030, 1, 1)), st.integers(-14 * 4, 14 * 4))  # noqa: DTZ001
def test_a_time_is_sent_as_china_standard_time(naive: datetime, quarters: int) -> None:
    at = naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=15 * quarters)))
    check_time(at, NOW)
    value = form(plan_send("13911000000", "x", at=at))["dstime"]
    assert datetime.strptime(value + "+0800", "%Y-%m-%d %H:%M:%S%z") == at


@pytest.mark.parametrize("extension", [12, "1a", "1" * 21, "１", " 1", "-1"])
def test_invalid_extension_is_refused(extension: object) -> None:
    with pytest.raises(InvalidMessageError):
        check_extension(extension)  # type: ignore[arg-type]


def test_an_extension_keeps_its_leading_zero() -> None:
    assert form(plan_send("13911000000", "x", extension=check_extension("012")))["xh"] == "012"
    for none in ("", None):
        check_time(None, NOW)
        sent = form(plan_send("13911000000", "x", extension=check_extension(none)))
        assert sent.keys().isdisjoint({"xh", "dstime"})


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("http://api.1680.me", "http://api.1680.me"),
        ("http://112.5.196.74:8081/", "http://112.5.196.74:8081"),
        (" https://www.example.com/ztsms/ ", "https://www.example.com/ztsms"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("HTTP://API.1680.Me.:80/", "http://api.1680.me"),
        ("https://api.1680.me:443/Ztsms", "https://api.1680.me/Ztsms"),
        ("http://api.1680.me:443", "http://api.1680.me:443"),
    ],
)
def test_gateway_address_can_have_port_and_prefix(address: str, base: str) -> None:
    assert gateway_url(address) == base


@pytest.mark.parametrize(
    "address",
    [
        "",
        "api.1680.me",
        "ftp://a",
        "http://",
        "http://.",
        "http://a b",
        "http://u:p@h",
        "http://h/?x=1",
        "http://h/#x",
        "http://h:99999",
        "http://h:0",
        "http://[::1",
        "http://h\n/x",
        None,
    ],
)
def test_invalid_gateway_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidMessageError):
        gateway_url(address)
