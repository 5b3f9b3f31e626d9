"""Numbers from URLs, YAML and programs, in every notation and with every separator."""

import pytest
from hypothesis import given, strategies as st

from sms1680.apprise.targets import split_targets

A, B = "13800000000", "13900000001"


@pytest.mark.parametrize(
    "separator", [",", ";", "/", "|", "\n", "\r\n", "\t", "，", "；", "、", " ", ", ", " ; ", "//"]
)
def test_every_separator_splits_numbers(separator: str) -> None:
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
def test_every_notation_gives_the_same_number(written: object) -> None:
    assert split_targets(written) == ([A], [])


def test_blanks_inside_and_between_numbers() -> None:
    assert split_targets("+86 138 0000 0000 139 0000 0001 10086 13700000000") == ([A, B, "13700000000"], ["10086"])


@pytest.mark.parametrize("nothing", [None, "", " ,;/ ", [], [None, ""]])
def test_empty_targets(nothing: object) -> None:
    assert split_targets(nothing) == ([], [])


def test_invalid_targets_are_unchanged() -> None:
    assert split_targets([f"10086,{A}", "12345678901", True, f"{A}0"]) == (
        [A],
        ["10086", "12345678901", "True", f"{A}0"],
    )


numbers = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)


@given(st.lists(numbers), st.sampled_from([",", "；", " ", "/", "、", "\n"]))
def test_numbers_are_unique_and_in_order(given_numbers: list[str], separator: str) -> None:
    assert split_targets(separator.join(given_numbers)) == (list(dict.fromkeys(given_numbers)), [])


@given(st.text())
def test_splitting_is_idempotent(text: str) -> None:
    found, rejects = split_targets(text)
    assert split_targets([*found, *rejects]) == (found, rejects)
