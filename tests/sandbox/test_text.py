"""Parts and flow items of texts, compared with simple calculations."""

import pytest
from hypothesis import given, strategies as st

from sms1680.sandbox.text import find_words, flow_items, parts, signature, units


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 1), ("字" * 70, 1), ("字" * 71, 2), ("字" * 134, 2), ("字" * 135, 3), ("😀" * 35, 1), ("😀" * 36, 2)],
)
def test_parts_hold_70_units_alone_and_67_once_split(text: str, expected: int) -> None:
    assert parts(text) == expected


def test_parts_do_not_split_surrogate_pairs() -> None:
    # 67 units have room for 33 pairs, so 67 pairs take three parts
    assert parts("😀" * 67) == 3
    assert units("😀" * 67) == 134


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=500))
def test_number_of_parts_is_minimal(text: str) -> None:
    count = parts(text)
    length = len(text.encode("utf-16-le")) // 2
    assert units(text) == length
    if count == 1:
        assert length <= 70
    else:
        assert length > 70
        assert -(-length // 67) <= count <= -(-length // 66)


@pytest.mark.parametrize(("length", "expected"), [(0, 1), (1, 1), (70, 1), (71, 2), (140, 2), (141, 3)])
def test_flow_items_count_70_units(length: int, expected: int) -> None:
    assert flow_items("字" * length) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("【某某】你好", "某某"), ("你好【某某】", "某某"), ("你【某某】好", None), ("【】你好", None), ("你好", None)],
)
def test_signature_is_at_either_end(text: str, expected: str | None) -> None:
    assert signature(text) == expected


def test_words_are_found_in_list_order() -> None:
    assert find_words("博彩和发票", ["发票", "贷款", "博彩"]) == ("发票", "博彩")
