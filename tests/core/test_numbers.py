"""Mainland mobile numbers, in whatever way people write them; and how they are shown."""

import pytest
from hypothesis import given, strategies as st

from sms1680 import InvalidMessageError, mask_number, normalise_number
from sms1680.numbers import normalise_numbers

DIGITS = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
FULL_WIDTH = str.maketrans("0123456789+-() ", "０１２３４５６７８９＋－（）　")


@pytest.mark.parametrize(
    "written",
    [
        "13800000000",
        13800000000,
        8613800000000,
        "+8613800000000",
        "8613800000000",
        "008613800000000",
        "138-0000-0000",
        "138 0000 0000",
        "(+86)13800000000",
        "（+86）138 0000 0000",
        "+86 138 0000 0000",
        "１３８００００００００",
        " 13800000000\n",
        "\u202a13800000000\u202c",
    ],
)
def test_common_spellings_of_a_number_are_accepted(written: str | int) -> None:
    assert normalise_number(written) == "13800000000"


@pytest.mark.parametrize(
    "written",
    [
        "",
        "10086",
        "12800000000",
        "1380000000",
        "138000000000",
        "+85291234567",
        "13800000000,13900000000",
        "abc",
        0,
        -13800000000,
        True,
        None,
        1.38e10,
        b"13800000000",
        "9" * 100_000,
    ],
)
def test_invalid_number_is_refused_and_not_shown(written: object) -> None:
    with pytest.raises(InvalidMessageError) as raised:
        normalise_number(written, "number 7")  # type: ignore[arg-type]
    assert "number 7" in str(raised.value)
    assert str(written) not in str(raised.value) or str(written) in ("", "0", "True")


@given(
    DIGITS,
    st.sampled_from(["", "+86", "86", "0086", "+86 ", "(+86)"]),
    st.lists(st.sampled_from(" -()"), max_size=4),
    st.booleans(),
)
def test_decoration_never_changes_the_number(number: str, prefix: str, marks: list[str], wide: bool) -> None:
    written = prefix + number
    for place, mark in enumerate(marks):
        written = written[: len(prefix) + 2 * place] + mark + written[len(prefix) + 2 * place :]
    assert normalise_number(written.translate(FULL_WIDTH) if wide else written) == number


@given(st.text(max_size=60) | st.integers())
def test_random_input_raises_only_core_errors(value: str | int) -> None:
    try:
        number = normalise_number(value)
    except InvalidMessageError:
        return
    assert len(number) == 11
    assert number.isascii()
    assert number.isdigit()


def test_str_is_one_number_and_errors_name_the_place() -> None:
    assert normalise_numbers("13800000000") == ["13800000000"]
    assert normalise_numbers([13800000000, "13900000000", "13800000000"]) == [
        "13800000000",
        "13900000000",
        "13800000000",
    ]
    with pytest.raises(InvalidMessageError, match="number 2"):
        normalise_numbers(["13800000000", "555"])
    with pytest.raises(InvalidMessageError, match="no number"):
        normalise_numbers([])


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("13800000000", "138****0000"),
        ("8613800000000", "86138****0000"),
        ("10690001", "10****"),
        ("1069000168", "10****68"),
        ("1008", "****"),
        ("", "****"),
    ],
)
def test_a_number_is_shown_masked(number: str, shown: str) -> None:
    assert mask_number(number) == shown
