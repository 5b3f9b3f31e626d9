"""Numbers from URLs, YAML and programs: none is lost, in whatever way they are written and separated."""

import pytest
from hypothesis import given, strategies as st

from sms1680.apprise.targets import split_targets

A, B = "13800000000", "13900000001"


@pytest.mark.parametrize(
    "separator", [",", ";", "/", "|", "\n", "\r\n", "\t", "，", "；", "、", " ", ", ", " ; ", "//"]
)
def test_no_number_is_lost_at_any_separator(separator: str) -> None:
    assert split_targets(f"{A}{separator}{B}") == ([A, B], [])


@pytest.mark.parametrize(
    "written",
    [
        "+86 138 0000 0000",
        "0086 138 0000 0000",
        "(+86)13800000000",
        "（+86）138-0000-0000",
        "86-138-0000-0000",
        "１３８００００００００",
        13800000000,
        [[13800000000]],
        ("138 0000 0000", ["+8613800000000", {"13800000000"}]),
    ],
)
def test_one_number_however_it_is_written(written: object) -> None:
    assert split_targets(written) == ([A], [])


def test_blanks_inside_numbers_and_between_them() -> None:
    assert split_targets("+86 138 0000 0000 139 0000 0001 10086 13700000000") == ([A, B, "13700000000"], ["10086"])


@pytest.mark.parametrize("nothing", [None, "", " ,;/ ", [], [None, ""]])
def test_nothing_is_nothing(nothing: object) -> None:
    assert split_targets(nothing) == ([], [])


def test_what_is_no_mobile_number_is_kept_as_it_came() -> None:
    assert split_targets([f"10086,{A}", "12345678901", True, f"{A}0"]) == (
        [A],
        ["10086", "12345678901", "True", f"{A}0"],
    )


numbers = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)


@given(st.lists(numbers), st.sampled_from([",", "；", " ", "/", "、", "\n"]))
def test_every_number_comes_out_once_and_in_order(given_numbers: list[str], separator: str) -> None:
    assert split_targets(separator.join(given_numbers)) == (list(dict.fromkeys(given_numbers)), [])


@given(st.text())
def test_whatever_is_written_splits_and_splits_the_same_again(text: str) -> None:
    found, rejects = split_targets(text)
    assert split_targets([*found, *rejects]) == (found, rejects)
