"""Pushes of the platform in all documented and observed variants."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st

from sms1680 import DeliveryReport, InvalidPushError, Repeat, Reply, ReportState, parse_push
from sms1680.decoding import without_invisible
from sms1680.outcomes import Language
from sms1680.report_words import FAMILIES, WORDS


def test_documented_patterns_are_parsed() -> None:
    assert parse_push("mobile=13911000000&content=%E5%A5%BD%E7%9A%84&xh=12345;") == Reply(
        "13911000000", "好的", "12345"
    )
    assert parse_push("msgid=26112216&mobile=13911000000&status=0") == DeliveryReport("26112216", "13911000000", "0")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?mobile=13911000000&content=1&xh=", Reply("13911000000", "1")),
        ("mobile=13911000000&content=1", Reply("13911000000", "1")),
        ("mobile=13911000000&xh=12&content=1;", Reply("13911000000", "1", "12")),
        ("mobile=13911000000&xh=12&content=1%3B", Reply("13911000000", "1;", "12")),
        ("mobile=13911000000&content=a;b&xh=12;", Reply("13911000000", "a;b", "12")),
        ("content=1&xh=106900001680012&mobile=8613911000000;", Reply("8613911000000", "1", "106900001680012")),
        ("mobile=13911000000&content=1&msgid=77&xh=;", Reply("13911000000", "1", "", "77")),
        ("mobile=10086&content=%E4%BD%99%E9%A2%9D", Reply("10086", "余额")),
        ("mobile=%2B85291234567&content=hi", Reply("+85291234567", "hi")),
        ("mobile=13911000000&content=a+b%2Bc", Reply("13911000000", "a b+c")),
        ("mobile=13911000000&content=1%0A%E8%B0%A2%E8%B0%A2", Reply("13911000000", "1\n谢谢")),
        ("mobile=13911000000&content=", Reply("13911000000", "")),
        ("mobile=13911000000&content=1&content=2", Reply("13911000000", "1")),
        ("mobile=13911000000&content=1&foo=bar&spid=9", Reply("13911000000", "1")),
        ("mobile=13911000000&content=%25E5%25A5%25BD", Reply("13911000000", "好")),
        ("mobile=13911000000&content=100%25", Reply("13911000000", "100%")),
        ("mobile=13911000000&content=%25E5%25A5", Reply("13911000000", "%E5%A5")),
        ("mobile=13911000000&content=%BA%C3", Reply("13911000000", "好")),
        ("mobile=13911000000&content=好", Reply("13911000000", "好")),
        ("msgid=0026&mobile=13911000000&status=KX%3A1000;", DeliveryReport("0026", "13911000000", "KX:1000")),
    ],
)
def test_observed_variants_are_parsed(query: str, expected: Reply | DeliveryReport) -> None:
    assert parse_push(query) == expected
    assert parse_push(query.encode()) == expected


def test_undecodable_octets_are_escaped() -> None:
    reply = parse_push("mobile=13911000000&content=1%FF2")
    assert isinstance(reply, Reply)
    assert reply.content == "1\\xff2"


def test_decoded_fields_are_accepted() -> None:
    expected = Reply("13911000000", "好的", "12")
    assert parse_push({"mobile": "13911000000", "content": "好的", "xh": "12;"}) == expected
    assert parse_push([("mobile", "13911000000"), ("content", "好的"), ("xh", "12;")]) == expected


@pytest.mark.parametrize(
    "push",
    [
        "",
        "content=1",
        "mobile=&content=1",
        "mobile=13911000000",
        "mobile=13911000000&status=0",
        "msgid=1&mobile=13911000000&status=",
        "msgid=1&status=0",
        "Mobile=13911000000&Content=1",
        f"mobile={'1' * 33}&content=1",
        f"mobile=1&status=0&msgid={'1' * 65}",
        "mobile=1%0A2&content=1",
        "mobile=13911000000&content=1&xh=1%002",
        "mobile=1&content=" + "x" * 17_000,
        "&".join(f"a{i}=1" for i in range(51)) + "&mobile=1&content=1",
        {"mobile": "1", "content": 1},
        {"mobile": "1", "content": "x" * 17_000},
        [("mobile", "1", "2")],
        None,
        5,
        [1, 2],
    ],
)
def test_invalid_push_is_refused(push: object) -> None:
    with pytest.raises(InvalidPushError):
        parse_push(push)  # type: ignore[arg-type]


@given(st.binary(max_size=300) | st.text(max_size=300) | st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20))))
def test_random_input_is_never_fatal(push: bytes | str | list[tuple[str, str]]) -> None:
    try:
        parse_push(push)
    except InvalidPushError:
        return


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)


@given(TEXTS, st.sampled_from([quote, quote_plus]), st.sampled_from(["utf-8", "gb18030"]))
def test_any_text_encoded_once_arrives_without_invisible_characters(text: str, encode: object, charset: str) -> None:
    octets = text.encode(charset)
    if charset == "gb18030":
        try:
            octets.decode()
        except UnicodeDecodeError:
            pass
        else:
            return  # these octets are a valid UTF-8 text as well, and are read as that
    reply = parse_push(f"mobile=13911000000&content={encode(octets)}&xh=1;")  # type: ignore[operator]
    assert isinstance(reply, Reply)
    if text.startswith("%"):
        return  # looks like a second encoding
    assert reply.content == without_invisible(text)


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=50))
def test_any_chinese_text_encoded_twice_is_decoded_twice(text: str) -> None:
    reply = parse_push(f"mobile=13911000000&content={quote(quote(text))}")
    assert isinstance(reply, Reply)
    assert reply.content == text


@pytest.mark.parametrize(
    ("status", "state", "repeat"),
    [
        ("0", ReportState.DELIVERED, Repeat.NO),
        ("DELIVRD", ReportState.DELIVERED, Repeat.NO),
        ("ACCEPTD", ReportState.PENDING, Repeat.NO),
        ("KX:1000", ReportState.FAILED, Repeat.YES),
        ("KX:2000", ReportState.FAILED, Repeat.YES),
        ("KX:3000", ReportState.FAILED, Repeat.NEVER_BY_ITSELF),
        ("KX:4000", ReportState.FAILED, Repeat.OTHER_TEXT),
        ("UNDELIV", ReportState.FAILED, Repeat.YES),
        ("EXPIRED", ReportState.FAILED, Repeat.YES),
        ("DELETED", ReportState.FAILED, Repeat.BY_A_PERSON),
        ("REJECTD", ReportState.FAILED, Repeat.BY_A_PERSON),
        ("UNKNOWN", ReportState.FAILED, Repeat.NEVER_BY_ITSELF),
        ("00", ReportState.FAILED, Repeat.NEVER_BY_ITSELF),
        ("XY:0001", ReportState.FAILED, Repeat.NEVER_BY_ITSELF),
        ("MK:0011", ReportState.FAILED, Repeat.YES),
        ("MK:0001", ReportState.FAILED, Repeat.NO),
        ("MK0001", ReportState.FAILED, Repeat.NO),
        ("MI:0024", ReportState.FAILED, Repeat.YES),
        ("MN:0115", ReportState.FAILED, Repeat.OTHER_TEXT),
        ("MN:9999", ReportState.FAILED, Repeat.BY_A_PERSON),
        ("MC:0055", ReportState.FAILED, Repeat.NEVER_BY_ITSELF),
        ("IA:0054", ReportState.FAILED, Repeat.NEVER_BY_ITSELF),
        ("IB:0008", ReportState.FAILED, Repeat.YES),
        ("DB:0102", ReportState.FAILED, Repeat.BY_A_PERSON),
        ("CB:0007", ReportState.FAILED, Repeat.BY_A_PERSON),
    ],
)
def test_meaning_of_each_status(status: str, state: ReportState, repeat: Repeat) -> None:
    report = DeliveryReport("1", "13911000000", status)
    assert (report.status, report.state, report.repeat) == (status, state, repeat)
    assert report.sentence("en") != report.sentence("zh")


@pytest.mark.parametrize("status", [*WORDS, *(f"{family}:0007" for family in FAMILIES)])
def test_words_of_the_carriers_are_explained_and_quoted(status: str) -> None:
    report = DeliveryReport("1", "13911000000", status)
    assert report.state is ReportState.FAILED
    languages: tuple[Language, ...] = ("en", "zh")
    for language in languages:
        sentence = report.sentence(language)
        assert status in sentence
        assert sentence != DeliveryReport("1", "13911000000", "XY:1").sentence(language).replace("XY:1", status)


def test_repr_shows_no_number_or_text() -> None:
    reply = Reply("13911000000", "密码是1234", "12")
    report = DeliveryReport("77", "13911000000", "0")
    for shown in (repr(reply), str(reply), repr(report), str(report)):
        assert "13911000000" not in shown
        assert "139****0000" in shown
        assert "1234" not in shown
