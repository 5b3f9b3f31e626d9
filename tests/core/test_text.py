"""The cost of a text, its signature, and blocked content."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from sms1680 import Concern, InvalidMessageError, estimate
from sms1680.characters import clean, repair
from sms1680.text import (
    PART_UNITS,
    Signature,
    add_words,
    count_parts,
    mark_repeat,
    prepare,
    split_units,
    units,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x", 1),
        ("水" * 70, 1),
        ("水" * 71, 2),
        ("水" * 134, 2),
        ("水" * 135, 3),
        ("x" * 70, 1),
        ("x" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),  # 132 units, 33 pairs a part: the 67th unit would cut a pair
        ("😀" * 67, 3),
    ],
)
def test_billing_counts_70_units_then_67_per_part(text: str, parts: int) -> None:
    assert count_parts(text) == parts


@given(TEXT, st.integers(2, 80))
def test_splitting_loses_nothing_and_cuts_no_character(text: str, room: int) -> None:
    pieces = list(split_units(text, room))
    assert "".join(pieces) == text
    assert all(0 < units(piece) <= room for piece in pieces)
    # Greedy: no piece could have taken the next one's first character as well.
    assert all(units(a + b[0]) > room for a, b in pairwise(pieces))


@given(TEXT)
def test_parts_are_the_pieces_of_the_split(text: str) -> None:
    expected = 1 if units(text) <= 70 else len(list(split_units(text, PART_UNITS)))
    assert count_parts(text) == expected


def test_signature_is_written_in_its_place() -> None:
    assert Signature("某某科技").write("门开了") == "【某某科技】门开了"
    assert Signature("【某某科技】", "behind").write("门开了") == "门开了【某某科技】"
    assert Signature("某某科技", "platform").write("门开了") == "门开了"
    assert Signature("某某科技", "platform").added_units("门开了") == 6


@pytest.mark.parametrize("text", ["【别的】门开了", "门开了【别的】", " 【别的】门开了", "门开了【别的】 "])
def test_signed_text_gets_no_second_signature(text: str) -> None:
    for place in ("front", "behind", "platform"):
        signature = Signature("某某，别的", place)  # type: ignore[arg-type]
        assert signature.write(text) == text
        assert signature.added_units(text) == 0


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("某某科技,某某， 别的,", ("某某科技", "某某", "别的")),
        ("【某某科技】,【某某】", ("某某科技", "某某")),
        ("【某某科技】 【某某】", ("某某科技", "某某")),
        ("Foo, Inc.", ("Foo, Inc.",)),
        ("某某,Foo Co., Ltd,别的", ("某某", "Foo Co., Ltd", "别的")),
        ("某某, Incubator", ("某某", "Incubator")),
        ("【Tom, Dick】,某某", ("Tom, Dick", "某某")),
        (["Tom, Dick", "【某某，别的】", "某某"], ("Tom, Dick", "某某，别的", "某某")),
    ],
)
def test_comma_of_a_name_does_not_separate_names(setting: str | list[str], names: tuple[str, ...]) -> None:
    signature = Signature.read(setting)
    assert signature is not None
    assert signature.names == names
    assert signature.write(f"门开了【{names[-1]}】") == f"门开了【{names[-1]}】"
    assert Signature(signature.setting) == signature


@pytest.mark.parametrize("name", ["", "  ", "x" * 31, "a】b", "【】", "a\nb"])
def test_invalid_signature_is_refused(name: str) -> None:
    with pytest.raises(InvalidMessageError):
        Signature(name)


@pytest.mark.parametrize("place", ["front", "behind", "platform"])
def test_signature_is_counted_in_every_place(place: str) -> None:
    told = estimate("水" * 66, signature="某某", signature_place=place)  # type: ignore[arg-type]
    assert (told.characters, told.parts, told.flow) == (70, 1, 1)
    told = estimate("水" * 67, signature="某某", signature_place=place)  # type: ignore[arg-type]
    assert (told.characters, told.parts, told.flow) == (71, 2, 2)


def test_flow_always_divides_by_70() -> None:
    told = estimate("水" * 140)
    assert (told.parts, told.flow) == (3, 2)


@pytest.mark.parametrize(
    ("text", "concern", "found"),
    [
        ("见 https://a.example/x?y=1。", Concern.LINK, "https://a.example/x?y=1"),
        ("见www.example.com，谢谢", Concern.LINK, "www.example.com"),
        ("主机 nas.example.com 离线", Concern.DOMAIN, "nas.example.com"),
        ("主机 192.168.1.2 离线", Concern.IP_ADDRESS, "192.168.1.2"),
        ("请联系 a.b@example.com", Concern.EMAIL, "a.b@example.com"),
        ("请拨 13800000000", Concern.PHONE_NUMBER, "13800000000"),
        ("请拨 400-123-4567", Concern.PHONE_NUMBER, "400-123-4567"),
    ],
)
def test_blocked_content_is_reported(text: str, concern: Concern, found: str) -> None:
    warnings = estimate("【某某】" + text).warnings
    assert [(warning.concern, warning.found) for warning in warnings] == [(concern, found)]
    assert found in warnings[0].sentence("en")
    assert found in warnings[0].sentence("zh")
    assert found not in repr(warnings)


def test_harmless_text_has_no_warnings() -> None:
    assert estimate("【某某】后门 22:41 打开，温度 21.5 度，已持续 3.5 小时").warnings == ()


def test_missing_signature_and_refused_words_are_reported() -> None:
    told = estimate("开Invoice了", refused_words=["invoice", "赌博", ""])
    assert [warning.concern for warning in told.warnings] == [Concern.NO_SIGNATURE, Concern.REFUSED_WORD]
    assert estimate("x", signature="某某").warnings == ()


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "x" * 501, None, 5])
def test_invalid_text_is_refused(text: object) -> None:
    with pytest.raises(InvalidMessageError):
        estimate(text)  # type: ignore[arg-type]


def test_maximum_length_includes_the_signature() -> None:
    assert estimate("x" * 496, signature="某某").characters == 500
    with pytest.raises(InvalidMessageError, match=r"501.*500"):
        estimate("x" * 497, signature="某某")
    with pytest.raises(InvalidMessageError, match=r"501.*500"):
        estimate("x" * 497, signature="某某", signature_place="platform")
    assert prepare("x" * 600, None, 600) == "x" * 600


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("后门打开", "（重发）后门打开"),
        ("【某某】后门打开", "【某某】（重发）后门打开"),
        ("后门打开 【某某】", "（重发）后门打开【某某】"),
        ("【某某】", "【某某】（重发）"),
        ("水" * 30, "（重发）" + "水" * 15 + "…"),
        ("【某某】" + "😀" * 10, "【某某】（重发）" + "😀" * 5 + "…"),
        ("水" * 30 + "【某某】", "（重发）" + "水" * 11 + "…【某某】"),
    ],
)
def test_a_repeated_text_is_marked_and_stays_within_the_room(text: str, marked: str) -> None:
    assert mark_repeat(text, 20) == marked


@given(TEXT, st.integers(60, 120))
def test_a_marked_text_differs_and_fits(text: str, room: int) -> None:
    marked = mark_repeat(text, room)
    assert marked != text
    assert units(marked) <= room


def test_words_go_around_a_text_inside_its_signatures() -> None:
    assert add_words("【甲】门开【乙】", before="此前", after="其后") == "【甲】此前门开其后【乙】"
    assert add_words("门开", before="此前" * 9, after="其后", room=10) == "此前" * 9 + "其后"


@pytest.mark.parametrize(
    ("broken", "repaired"),
    [
        (b"\xe5\x90\x8e\xe9\x97".decode("utf-8", "surrogateescape"), "后�"),
        ("后门打开".encode().decode("ascii", "surrogateescape"), "后门打开"),
        ("门\ud83d\ude00", "门😀"),
        ("\ud83d\udc80", "💀"),
        ("门\ud83d", "门�"),
        ("\ude00门", "�门"),
        ("a\x00b", "a\x00b"),
    ],
)
def test_incomplete_characters_are_replaced(broken: str, repaired: str) -> None:
    assert repair(broken) == repaired


@given(st.text())
def test_a_repaired_text_can_be_sent(text: str) -> None:
    assert repair(text).encode().decode() == repair(text)


def test_printable_character_is_never_removed() -> None:
    """`clean` returns a printable text unchanged, without its patterns. The line breaks force it to use them here."""
    printable = [chr(code) for code in range(0x110000) if chr(code).isprintable()]
    printable.remove("\u034f")  # the exception that `clean` knows
    text = "\n".join(printable)
    assert clean(text) == text
    assert clean("a\u034fb") == "ab"
