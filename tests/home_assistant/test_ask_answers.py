"""Which answer a reply is, however it was typed; and the words that are never one."""

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
def test_width_case_blanks_punctuation_and_signatures_are_forgiven(reply: str, answer: str) -> None:
    assert CLOSE.match(reply) == (True, answer)


@pytest.mark.parametrize(
    "reply", ["", "  ", "。", "关窗", "好的，但是等一下", "12", "1 2", "1.0", "现在几点", "【某某科技】"]
)
def test_another_reply_is_no_answer(reply: str) -> None:
    assert CLOSE.match(reply) == (False, None)


@pytest.mark.parametrize("reply", ["好的", "收到", "知道了", "嗯", "是", "１", "ok", "y", "Y", "Got it!", "已收到"])
def test_the_built_in_set_of_what_acknowledges(reply: str) -> None:
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
def test_built_in_sets_know_thanks_and_what_is_said_twice(reply: str, answer: str) -> None:
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
def test_built_in_sets_know_no_more_than_that(reply: str) -> None:
    for answers in ([("acknowledged", [])], [("yes", []), ("no", [])]):
        assert Answers(answers).match(reply) == (False, None)


@given(st.sampled_from(sorted(BUILT_IN)), st.data())
def test_each_sentence_of_a_built_in_set_is_an_answer(answer_id: str, data: st.DataObject) -> None:
    sentence = data.draw(st.sampled_from(BUILT_IN[answer_id]))
    assert Answers([(answer_id, [])]).match(sentence) == (True, answer_id)


def test_what_was_written_for_the_question_comes_before_what_is_built_in() -> None:
    answers = Answers([("acknowledged", []), ("police", ["1"])])
    assert answers.match("1") == (True, "police")
    assert answers.match("收到") == (True, "acknowledged")


def test_sentences_of_its_own_stand_for_the_built_in_ones() -> None:
    assert Answers([("yes", ["关"])]).match("好的") == (False, None)


@pytest.mark.parametrize(
    ("sentence", "replies", "others"),
    [
        ("[please] close [the] garage", ["close garage", "Please close the garage."], ["close", "please garage"]),
        ("(关|关上)[车库]门", ["关门", "关上车库门"], ["关车库", "车库门"]),
        ("(ok|好)[ (now|马上)]", ["OK", "好 马上", "ok now"], ["马上"]),
    ],
)
def test_a_sentence_may_leave_things_out_and_offer_others(sentence: str, replies: list[str], others: list[str]) -> None:
    answers = Answers([("do", [sentence])])
    assert [answers.match(reply) for reply in replies] == [(True, "do")] * len(replies)
    assert [answers.match(reply) for reply in others] == [(False, None)] * len(others)


@pytest.mark.parametrize("sentence", ["[ok", "ok]", "(ok]", "{name}", "<rule>", "[ok]", "。", "ok|", ""])
def test_a_sentence_that_cant_be_meant_is_refused(sentence: str) -> None:
    with pytest.raises(InvalidAnswerError):
        Answers([("x", [sentence])])


def test_an_answer_without_sentences_is_one_of_the_built_in() -> None:
    with pytest.raises(InvalidAnswerError):
        Answers([("close", [])])


def test_without_answers_any_reply_is_one() -> None:
    assert Answers().match("明天下午三点") == (True, None)
    assert Answers().match("…") == (False, None)


@pytest.mark.parametrize(
    "reply", ["T", "td", "ＴＤ", "N", "n.", "R", " 退订 ", "TD退订", "退订回T", "回复TD退订", "【某某】退订", "退订！"]
)
def test_opt_out_words_are_known_and_never_an_answer(reply: str) -> None:
    assert is_opt_out(reply)
    assert Answers([("no", ["n", "t", "r", "td", "退订", "TD退订"])]).match(reply) == (False, None)
    assert Answers().match(reply) == (False, None)


@pytest.mark.parametrize("reply", ["不", "no", "tv", "not", "订阅", "关", "1", "stop", ""])
def test_other_words_are_no_opting_out(reply: str) -> None:
    assert not is_opt_out(reply)


def test_nothing_built_in_is_a_word_for_opting_out() -> None:
    words = {plain(word) for words in BUILT_IN.values() for word in words}
    assert not words & OPT_OUT
    assert all(words)


@given(st.text(max_size=50))
def test_a_plain_text_stays_as_it_is(text: str) -> None:
    once = plain(text)
    assert plain(once) == once


@given(st.from_regex(r"[0-9]{1,6}", fullmatch=True), st.sampled_from([".", " ", "-", ",", "，", "\n"]))
def test_digits_that_are_apart_are_never_read_as_one_number(digits: str, between: str) -> None:
    whole, halves = Answers([("n", [digits + "0"])]), between.join((digits, "0"))
    assert whole.match(halves) == (False, None)
