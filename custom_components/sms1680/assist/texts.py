"""The sentences of Assist by SMS, in the language of the person."""

import re
from enum import Enum
from typing import Final

from homeassistant.core import HomeAssistant

from ..client.outcomes import Language
from ..errors import language

_CHINESE: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_LETTER: Final = re.compile("[A-Za-z]")


class Phrase(Enum):
    """A sentence in English and Chinese."""

    # To a recipient who texted Assist
    NO_CODE = (
        "To talk to Home Assistant by SMS, end your text with your code.",
        "要通过短信与 Home Assistant 对话，请在短信末尾写上您的验证码。",
    )
    WRONG_CODE = (
        "The code is wrong, or it was used before. Nothing was done.",
        "验证码不正确或已经用过，没有执行任何操作。",
    )
    LOCKED_OUT = (
        "There were too many wrong codes. Your codes are not accepted for some time.",
        "错误的验证码过多，暂时不接受您的验证码。",
    )
    LIMIT = (
        "The limit of answers for one hour is reached. Your texts are answered again from {time}.",
        "本小时的答复次数已用完，{time}起恢复答复。",
    )
    TOO_SLOW = (
        "Assist did not answer in time. Please check whether it did what you asked for.",
        "Assist 没有及时答复，请检查您要求的操作是否已执行。",
    )
    FAILED = (
        "Assist could not answer. Please check whether it did what you asked for.",
        "Assist 无法答复，请检查您要求的操作是否已执行。",
    )
    INTERRUPTED = (
        "Your text of {time} was not answered, because Home Assistant stopped. Please check what it did.",
        "您 {time} 的短信没有得到答复，因为 Home Assistant 中断了，请检查您要求的操作是否已执行。",
    )
    DONE = ("Done.", "好的，已完成。")
    # To somebody who asked an agent to send a message
    SENT = ("Sent to {name}.", "已发送给{name}。")
    HELD = (
        "The message to {name} waits for a person at the platform.",
        "发给{name}的短信正等待平台人工审核。",
    )
    UNKNOWN = (
        "The message to {name} may have been sent. It is not sent again automatically.",
        "发给{name}的短信结果不明，可能已发出，不会自动重发。",
    )
    NOT_SENT = ("The message to {name} was not sent. {reason}", "发给{name}的短信没有发出。{reason}")
    NOT_VALID = ("The message to {name} was not sent, because it is not valid.", "发给{name}的短信无效，没有发出。")
    QUIET = (
        "{name} has quiet hours. The message will be sent at {time}.",
        "{name}处于免打扰时段，短信将在{time}发送。",
    )
    HELD_BACK = (
        "A limit holds the message to {name} back. It will be sent at {time} or later.",
        "发给{name}的短信因达到限额而推迟，将在{time}或之后发送。",
    )
    TRYING = (
        "The message to {name} could not be sent yet. Further attempts follow until {time}.",
        "发给{name}的短信暂未发出，在{time}之前会继续尝试。",
    )
    FALLBACK = (
        "The message to {name} could not be sent by SMS. The fallback passed it on.",
        "发给{name}的短信未能以短信发出，已改用其他方式通知。",
    )
    NO_NUMBERS = (
        "I send text messages only to recipients by their names, not to numbers.",
        "我只能按名称给接收人发短信，不能发给号码。",
    )
    NOBODY = ("There is no recipient called {name}.", "没有名为{name}的接收人。")
    KNOWN = ("The recipients are: {names}.", "现有接收人：{names}。")
    AMBIGUOUS = (
        "Several recipients are called {name}: {names}. Nothing was sent. Which one do you mean?",
        "有多个接收人叫{name}：{names}。没有发送，请说明是哪一位。",
    )
    NOT_ALLOWED = ("You may not send messages to {name}.", "您无权给{name}发短信。")
    EMPTY = ("The message is empty. Nothing was sent.", "短信内容为空，没有发送。")

    def in_language(self, lang: Language, **placeholders: str) -> str:
        """Return the sentence."""
        words: tuple[str, str] = self.value
        return words[lang == "zh"].format(**placeholders)


def is_chinese(text: str) -> bool:
    """Return whether a text has Chinese characters."""
    return _CHINESE.search(text) is not None


def language_of(hass: HomeAssistant, text: str) -> Language:
    """Return the language of a text, Home Assistant's if the text has no letters."""
    if is_chinese(text):
        return "zh"
    return "en" if _LETTER.search(text) else language(hass)
