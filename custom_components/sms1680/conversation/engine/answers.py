"""Match a reply to the answers of a question: `id` and `sentences`, as in `assist_satellite.ask_question`."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from .texts import is_opt_out, plain

# fmt: off
YES: Final = [
    "1", "y", "yes", "yep", "yeah", "ok", "okay", "okey", "k", "sure", "是", "是的", "是啊", "对", "对的", "好",
    "好的", "好吧", "好啊", "好呀", "好哒", "好滴", "好嘞", "行", "行的", "行吧", "可以", "可以的", "可", "同意",
    "确认", "确定", "要", "要的", "需要", "嗯", "嗯嗯", "嗯好", "恩", "没问题", "没错", "当然", "👍", "👌",
]
NO: Final = [
    "0", "2", "no", "nope", "nah", "否", "不", "不是", "不是的", "不对", "不要", "不用", "不用了", "不行", "不可以",
    "不同意", "不需要", "不必", "不了", "别", "没有", "没", "取消", "算了", "👎",
]
ACKNOWLEDGED: Final = [
    "1", "y", "yes", "ok", "okay", "okey", "k", "ack", "roger", "gotit", "收到", "收到了", "已收到", "好", "好的",
    "好吧", "好啊", "好呀", "好哒", "好滴", "好嘞", "知道", "知道了", "已知", "已阅", "明白", "明白了", "了解",
    "了解了", "看到了", "已看到", "嗯", "嗯嗯", "嗯好", "恩", "是", "是的", "行", "行的", "可以", "没问题", "来了",
    "马上来", "在处理", "正在处理", "我来处理", "已处理", "已经处理", "处理了", "处理好了", "已处理好", "已解决",
    "解决了", "搞定", "搞定了", "👍", "👌",
]
# fmt: on
BUILT_IN: Final = {"yes": YES, "no": NO, "acknowledged": ACKNOWLEDGED}

# Words after an answer, and words before one that cannot reverse its meaning.
_COURTESY: Final = r"(?:(?:谢谢|多谢|感谢)[你您了啊啦]?|谢了|谢啦|辛苦了?|thanks|thankyou|thx|[👍👌🙏😊🌹])*"
_PARTICLE: Final = "[啦哈哦噢呀啊哒呢]?"
_BEFORE: Final = "[嗯恩好哦]?"

_SIGNS: Final = re.compile(r"([\[\]()|])")
_UNSUPPORTED: Final = frozenset("{}<>")


class InvalidAnswerError(ValueError):
    """The answers to a question are not valid."""


class Answers:
    """The answers to one question.

    given: pairs of an id and its sentences. Without sentences, the id is one of `BUILT_IN`. In a sentence, `[this]` is
    optional, and `(this|that)` is an alternative. Without any pair, each reply is an answer without an id.

    Raises InvalidAnswerError.
    """

    def __init__(self, given: Iterable[tuple[str, Sequence[str]]] = ()) -> None:
        custom: list[tuple[str, re.Pattern[str]]] = []
        built_in: list[tuple[str, re.Pattern[str]]] = []
        self.given = [(answer_id, list(sentences)) for answer_id, sentences in given]
        for answer_id, sentences in self.given:
            if sentences:
                custom += [(answer_id, _pattern(sentence)) for sentence in sentences]
            elif answer_id in BUILT_IN:
                built_in += [(answer_id, pattern) for pattern in _built_in(answer_id)]
            else:
                raise InvalidAnswerError(answer_id)
        self._patterns = custom + built_in

    def match(self, text: str) -> tuple[bool, str | None]:
        """Return whether a reply is an answer, and the answer's id. The question's own sentences precede built-in ones.

        A word for opting out is never an answer.
        """
        reply = plain(text)
        if not reply or is_opt_out(text):
            return False, None
        if not self._patterns:
            return True, None
        for answer_id, pattern in self._patterns:
            if pattern.fullmatch(reply):
                return True, answer_id
        return False, None


def _built_in(answer_id: str) -> list[re.Pattern[str]]:
    """Return the patterns of a built-in set: one sentence, one repeated, or several, followed by thanks.

    Digits are not repeated, because 11 is not 1. Negative sentences are not combined, because 不是没有 means yes.
    """
    sentences = [plain(sentence) for sentence in BUILT_IN[answer_id]]
    digits = _either(sentence for sentence in sentences if sentence.isdecimal())
    words = _either(sentence for sentence in sentences if not sentence.isdecimal())
    long_words = _either(sentence for sentence in sentences if len(sentence) > 1)
    forms = [f"{digits}[吧的]?{_COURTESY}", f"({words})\\1{{0,3}}{_COURTESY}"]
    if answer_id == "no":
        forms.append(f"{long_words}{_PARTICLE}{_COURTESY}")
    else:
        forms.append(f"{_BEFORE}(?:{long_words}{_PARTICLE}){{1,3}}{_COURTESY}")
    return [re.compile(form) for form in forms]


def _either(sentences: Iterable[str]) -> str:
    return f"(?:{'|'.join(re.escape(sentence) for sentence in sentences)})"


def _pattern(sentence: str) -> re.Pattern[str]:
    """Return the pattern of a sentence for replies in the form of `plain`. Raises InvalidAnswerError."""
    if not _UNSUPPORTED.isdisjoint(sentence):
        raise InvalidAnswerError(sentence)
    parts: list[str] = []
    open_groups: list[tuple[str, str]] = []
    for piece in _SIGNS.split(sentence):
        match piece:
            case "[" | "(":
                parts.append("(?:")
                open_groups.append(("]", ")?") if piece == "[" else (")", ")"))
            case "]" | ")":
                if not open_groups or open_groups[-1][0] != piece:
                    raise InvalidAnswerError(sentence)
                parts.append(open_groups.pop()[1])
            case "|":
                parts.append(piece)
            case _:
                parts.append(re.escape(plain(piece)))
    if open_groups:
        raise InvalidAnswerError(sentence)
    pattern = re.compile("".join(parts))
    if pattern.fullmatch(""):
        raise InvalidAnswerError(sentence)
    return pattern
