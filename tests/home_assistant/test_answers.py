"""Match replies to answers, and recognize opt-out words."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from custom_components.sms1680.conversation.engine import Answers, InvalidAnswerError, is_opt_out, plain
from custom_components.sms1680.conversation.engine.answers import BUILT_IN
from custom_components.sms1680.conversation.engine.texts import OPT_OUT

CLOSE = Answers([("close", ["关", "关门"]), ("leave", ["2"]), ("yes", []), ("no", [])])


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("关", "close"),
        (" 关 门。 ", "close"),
        ("【某某科技】关门", "close"),
        ("关门！【某某科技】", "close"),
        ("２", "leave"),
        ("2️⃣", "leave"),
        ("②", "leave"),
        ("１", "yes"),
        ("OK", "yes"),
        ("ｏｋ.", "yes"),
        ("好的~", "yes"),
        ("好 的", "yes"),
        ("嗯……", "yes"),
        ("👍🏻", "yes"),
        ("不用了", "no"),
        ("No!", "no"),
        ("0", "no"),
    ],
)
def test_width_case_spaces_punctuation_and_signatures_are_ignored(reply: str, answer: str) -> None:
    assert CLOSE.match(reply) == (True, answer)


@pytest.mark.parametrize(
    "reply", ["", "  ", "。", "关窗", "好的，但是等一下", "12", "1 2", "1.0", "现在几点", "【某某科技】"]
)
def test_other_reply_is_no_answer(reply: str) -> None:
    assert CLOSE.match(reply) == (False, None)


@pytest.mark.parametrize("reply", ["好的", "收到", "知道了", "嗯", "是", "１", "ok", "y", "Y", "Got it!", "已收到"])
def test_built_in_acknowledgements(reply: str) -> None:
    assert Answers([("acknowledged", [])]).match(reply) == (True, "acknowledged")


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("收到谢谢", "acknowledged"),
        ("好的，谢谢你", "acknowledged"),
        ("收到，好的", "acknowledged"),
        ("嗯，知道啦", "acknowledged"),
        ("OK 👍", "acknowledged"),
        ("好的好的", "acknowledged"),
        ("嗯嗯嗯", "acknowledged"),
        ("1吧", "acknowledged"),
        ("1，谢了", "acknowledged"),
        ("已处理", "acknowledged"),
        ("处理好了，辛苦", "acknowledged"),
        ("是的是的", "yes"),
        ("没问题，可以的", "yes"),
        ("2吧", "no"),
        ("不用了，谢谢", "no"),
        ("不不", "no"),
    ],
)
def test_built_in_sets_allow_thanks_and_repetition(reply: str, answer: str) -> None:
    answers = Answers([("acknowledged", [])] if answer == "acknowledged" else [("yes", []), ("no", [])])
    assert answers.match(reply) == (True, answer)


@pytest.mark.parametrize(
    "reply",
    [
        "11",
        "1 1",
        "1 2",
        "10",
        "22",
        "收到了吗",
        "可是",
        "要是",
        "不是没有",
        "好的，但是",
        "可以不用",
        "谢谢",
        "吧",
    ],
)
def test_built_in_sets_reject_ambiguous_replies(reply: str) -> None:
    for answers in ([("acknowledged", [])], [("yes", []), ("no", [])]):
        assert Answers(answers).match(reply) == (False, None)


@given(st.sampled_from(sorted(BUILT_IN)), st.data())
def test_every_built_in_sentence_is_an_answer(answer_id: str, data: st.DataObject) -> None:
    sentence = data.draw(st.sampled_from(BUILT_IN[answer_id]))
    assert Answers([(answer_id, [])]).match(sentence) == (True, answer_id)


def test_custom_sentences_precede_built_in_ones() -> None:
    answers = Answers([("acknowledged", []), ("police", ["1"])])
    assert answers.match("1") == (True, "police")
    assert answers.match("收到") == (True, "acknowledged")


def test_custom_sentences_replace_the_built_in_set() -> None:
    assert Answers([("yes", ["关"])]).match("好的") == (False, None)


@pytest.mark.parametrize(
    ("sentence", "replies", "others"),
    [
        ("[please] close [the] garage", ["close garage", "Please close the garage."], ["close", "please garage"]),
        ("(关|关上)[车库]门", ["关门", "关上车库门"], ["关车库", "车库门"]),
        ("(ok|好)[ (now|马上)]", ["OK", "好 马上", "ok now"], ["马上"]),
    ],
)
def test_sentences_support_optional_parts_and_alternatives(
    sentence: str, replies: list[str], others: list[str]
) -> None:
    answers = Answers([("do", [sentence])])
    assert [answers.match(reply) for reply in replies] == [(True, "do")] * len(replies)
    assert [answers.match(reply) for reply in others] == [(False, None)] * len(others)


@pytest.mark.parametrize("sentence", ["[ok", "ok]", "(ok]", "{name}", "<rule>", "[ok]", "。", "ok|", ""])
def test_invalid_sentence_is_rejected(sentence: str) -> None:
    with pytest.raises(InvalidAnswerError):
        Answers([("x", [sentence])])


def test_answer_without_sentences_must_be_built_in() -> None:
    with pytest.raises(InvalidAnswerError):
        Answers([("close", [])])


def test_any_reply_matches_without_answers() -> None:
    assert Answers().match("明天下午三点") == (True, None)
    assert Answers().match("…") == (False, None)


@pytest.mark.parametrize(
    "reply", ["T", "td", "ＴＤ", "N", "n.", "R", " 退订 ", "TD退订", "退订回T", "回复TD退订", "【某某】退订", "退订！"]
)
def test_opt_out_words_are_never_an_answer(reply: str) -> None:
    assert is_opt_out(reply)
    assert Answers([("no", ["n", "t", "r", "td", "退订", "TD退订"])]).match(reply) == (False, None)
    assert Answers().match(reply) == (False, None)


@pytest.mark.parametrize("reply", ["不", "no", "tv", "not", "订阅", "关", "1", "stop", ""])
def test_other_words_do_not_opt_out(reply: str) -> None:
    assert not is_opt_out(reply)


def test_no_built_in_sentence_opts_out() -> None:
    words = {plain(word) for words in BUILT_IN.values() for word in words}
    assert not words & OPT_OUT
    assert all(words)


@given(st.text(max_size=50))
def test_plain_is_idempotent(text: str) -> None:
    once = plain(text)
    assert plain(once) == once


@given(st.from_regex(r"[0-9]{1,6}", fullmatch=True), st.sampled_from([".", " ", "-", ",", "，", "\n"]))
def test_separated_digits_are_not_joined(digits: str, between: str) -> None:
    whole, halves = Answers([("n", [digits + "0"])]), between.join((digits, "0"))
    assert whole.match(halves) == (False, None)
