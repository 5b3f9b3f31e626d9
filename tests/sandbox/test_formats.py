"""The formats of the HTTP calls, beginning with the examples of the platform's document."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from sms1680.sandbox.formats import (
    TemplateError,
    fill_template,
    parse_pairs,
    parse_time,
    split_groups,
    split_numbers,
    split_pairs,
)

VALUES = st.text(alphabet=st.characters(exclude_characters=",;|$", exclude_categories=["Cs"]), min_size=1)
NUMBERS = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)


def test_template_example_of_the_document() -> None:
    params = (
        "13800210000,李先生,100110198809030019,北京市,100010,2013-01-01; "
        "13500210000,王先生,100110199809030019,北京市,100010,2013-01-15"
    )
    template = "{A}，您的身份证号是{B}，位于{C}，邮编{D}请你于{E}日参加活动,手机号是{PHONE}。"
    first, second = fill_template(template, split_groups(params))
    assert first[0] == "13800210000"
    assert first[1] == (
        "李先生，您的身份证号是100110198809030019，位于北京市，邮编100010请你于2013-01-01日参加活动,手机号是13800210000。"
    )
    assert second == (
        "13500210000",
        first[1]
        .replace("李", "王")
        .replace("8809", "9809")
        .replace("01-01", "01-15")
        .replace("13800210000", "13500210000"),
    )


@pytest.mark.parametrize(
    "group", ["1380021000,甲", "甲", "13800210000,1,2,3,4,5,6", "13800210000", "+8613800210000,甲"]
)
def test_invalid_groups_are_dropped(group: str) -> None:
    assert fill_template("{A}，你好", split_groups(f"{group};13500210000,王")) == [("13500210000", "王，你好")]


def test_placeholder_in_a_value_is_not_replaced() -> None:
    assert fill_template("{A}{B}", ["13800210000,{B},{A}"]) == [("13800210000", "{B}{A}")]


def test_missing_values_are_distinguished_from_missing_numbers() -> None:
    with pytest.raises(TemplateError):
        fill_template("{A}{B}", ["13800210000,1"])
    assert fill_template("{A}{B}", ["1,1,1"]) == []


@given(st.lists(st.tuples(NUMBERS, VALUES)))
def test_pairs_make_the_round_trip(pairs: list[tuple[str, str]]) -> None:
    content = "$".join(f"{number}|{text}" for number, text in pairs)
    assert parse_pairs(split_pairs(content)) == pairs


def test_invalid_pairs_are_dropped_and_later_bars_belong_to_the_text() -> None:
    assert parse_pairs(split_pairs("13011001111|a|b$13011001112$1|c$$")) == [("13011001111", "a|b")]


def test_numbers_are_split_at_half_width_commas_only() -> None:
    assert split_numbers("13899999999, 13688888888,") == ["13899999999", "13688888888"]
    assert split_numbers("13899999999，13688888888") == ["13899999999，13688888888"]


def test_times_are_china_standard_time() -> None:
    assert parse_time("2010-12-30 17:48:21") == datetime(2010, 12, 30, 9, 48, 21, tzinfo=UTC)
    assert parse_time(" ") is None


@pytest.mark.parametrize("text", ["2010-12-30T17:48:21", "20101230174821", "2010-02-30 00:00:00", "tomorrow"])
def test_other_time_formats_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"time data|day"):
        parse_time(text)


@given(st.text(), st.text())
def test_only_documented_errors_are_raised(template: str, params: str) -> None:
    try:
        pairs = fill_template(template, split_groups(params))
    except TemplateError:
        return
    assert len(pairs) <= params.count(";") + 1
    assert all(number in params for number, _ in parse_pairs(split_pairs(params)))
