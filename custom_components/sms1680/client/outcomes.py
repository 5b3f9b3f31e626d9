"""What became of each number of a message, and why: outcomes, named reasons, receipts.

One set of reasons for every way to the platform (protocol.md section 6: HTTP's two tables and CMPP's results).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from .masking import mask_number

Language = Literal["en", "zh"]


class Outcome(StrEnum):
    """What became of one number."""

    ACCEPTED = "accepted"
    HELD = "held"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"

    @property
    def is_success(self) -> bool:
        """Whether the platform has the message: accepted, or held for a person there."""
        return self in _SUCCESSES

    @property
    def is_failure(self) -> bool:
        """Whether the message certainly neither arrives nor costs anything: refused, or not sent."""
        return self in _FAILURES

    @property
    def may_arrive(self) -> bool:
        """Whether the message may reach the phone: accepted, held or unknown."""
        return self not in _FAILURES


_SUCCESSES = frozenset({Outcome.ACCEPTED, Outcome.HELD})
_FAILURES = frozenset({Outcome.REFUSED, Outcome.NOT_SENT})


class Repeat(StrEnum):
    """Whether the same message may be sent to the same number again."""

    NO = "no"
    YES = "yes"
    BY_A_PERSON = "by_a_person"
    AFTER_CORRECTION = "after_correction"
    AFTER_TOPPING_UP = "after_topping_up"
    OTHER_TEXT = "other_text"
    NEVER_BY_ITSELF = "never_by_itself"


class Reason(StrEnum):
    """Why a number was not simply accepted."""

    REVIEW = "review"
    MANUAL = "manual"
    FAILED = "failed"
    MALFORMED = "malformed"
    AUTHENTICATION = "authentication"
    BALANCE = "balance"
    VARIABLE = "variable"
    TOO_FAST = "too_fast"
    NUMBER = "number"
    EMPTY = "empty"
    FORBIDDEN_WORDS = "forbidden_words"
    PERMISSION = "permission"
    TOO_MANY = "too_many"
    PRODUCT = "product"
    USER = "user"
    PARAMETER = "parameter"
    IP = "ip"
    SIGNATURE = "signature"
    SUSPENDED = "suspended"
    VERSION = "version"
    LOGIN = "login"
    LONG_NUMBER = "long_number"
    NOT_UNDERSTOOD = "not_understood"
    LOST = "lost"
    PARTLY = "partly"
    WRONG_ADDRESS = "wrong_address"
    NO_CONNECTION = "no_connection"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    HOURLY_LIMIT = "hourly_limit"
    DAILY_LIMIT = "daily_limit"
    NUMBER_LIMIT = "number_limit"
    AUTOMATIC_LIMIT = "automatic_limit"

    @property
    def en(self) -> str:
        """The sentence in English: what happened, and what to do."""
        return _REASONS[self][1]

    @property
    def zh(self) -> str:
        """The sentence in Chinese."""
        return _REASONS[self][2]

    @property
    def repeat(self) -> Repeat:
        """Whether the message may be sent again."""
        return _REASONS[self][0]

    def sentence(self, language: Language = "en") -> str:
        """Return the sentence in one of the two languages."""
        return self.zh if language == "zh" else self.en


_REASONS: dict[Reason, tuple[Repeat, str, str]] = {
    Reason.REVIEW: (
        Repeat.NO,
        "The platform holds the message until a person has reviewed its words.",
        "短信含有需审核的词语，正在平台等待人工审核。",
    ),
    Reason.MANUAL: (
        Repeat.NO,
        "The platform met an exception; a person there deals with the message.",
        "平台出现异常，正由人工处理。",
    ),
    Reason.FAILED: (
        Repeat.BY_A_PERSON,
        "The platform says that it failed, without a reason. Ask the platform before sending it again.",
        "平台返回失败，未说明原因。重发前请先咨询平台。",
    ),
    Reason.MALFORMED: (
        Repeat.BY_A_PERSON,
        "The platform found the message malformed. Please report this.",
        "平台认为消息格式有误，请反馈此问题。",
    ),
    Reason.AUTHENTICATION: (
        Repeat.AFTER_CORRECTION,
        "The user name or the password is wrong. Correct it; over CMPP check SP id, password and the clock here.",
        "登陆名称或密码不正确，请更正。使用 CMPP 时请检查企业代码、密码和本机时钟。",
    ),
    Reason.BALANCE: (
        Repeat.AFTER_TOPPING_UP,
        "The balance is too low. Top up the product.",
        "余额不足，请充值。",
    ),
    Reason.VARIABLE: (
        Repeat.AFTER_CORRECTION,
        "A variable of the template was refused. Correct its value.",
        "模板变量异常，请更正变量内容。",
    ),
    Reason.TOO_FAST: (
        Repeat.YES,
        "The account sent too fast, and still did when the patience ended. Send it later, or set the account's rate.",
        "提交频率太快，重试后仍未通过。请稍后再发，或设置帐号的流量。",
    ),
    Reason.NUMBER: (
        Repeat.NO,
        "The platform does not take this number. Check it.",
        "平台不接受该号码，请核对。",
    ),
    Reason.EMPTY: (
        Repeat.NO,
        "The platform found the text empty.",
        "平台认为短信内容为空。",
    ),
    Reason.FORBIDDEN_WORDS: (
        Repeat.OTHER_TEXT,
        "The text has words that the platform forbids. Send another text.",
        "短信含有禁用词语，请更换内容后再发。",
    ),
    Reason.PERMISSION: (
        Repeat.AFTER_CORRECTION,
        "The account may not use this interface. Ask the platform to allow it, or use CMPP.",
        "帐号没有 URL 提交权限，请联系平台开通，或改用 CMPP。",
    ),
    Reason.TOO_MANY: (
        Repeat.AFTER_CORRECTION,
        "The platform says that these are too many numbers, even for a single one. Ask the platform.",
        "平台称号码过多（单个号码也如此），请联系平台。",
    ),
    Reason.PRODUCT: (
        Repeat.AFTER_CORRECTION,
        "The product id is not this account's, or is out of order. Check it with the platform.",
        "产品 ID 异常，请与平台核对。",
    ),
    Reason.USER: (
        Repeat.AFTER_CORRECTION,
        "The platform finds the account's data out of order. Ask the platform.",
        "用户信息异常，请联系平台。",
    ),
    Reason.PARAMETER: (
        Repeat.AFTER_CORRECTION,
        "A parameter was refused. Check product, extension and time.",
        "参数异常，请检查产品、扩展号和定时时间。",
    ),
    Reason.IP: (
        Repeat.AFTER_CORRECTION,
        "This network's public address is not authorised. Ask the platform to add it.",
        "本网络的公网 IP 未被授权，请联系平台添加。",
    ),
    Reason.SIGNATURE: (
        Repeat.AFTER_CORRECTION,
        "The text has no signature 【…】. Set the registered signature.",
        "短信缺少签名【…】，请设置已报备的签名。",
    ),
    Reason.SUSPENDED: (
        Repeat.YES,
        "The account is suspended or has too many connections at the moment.",
        "帐号已暂停，或连接数过多。",
    ),
    Reason.VERSION: (
        Repeat.AFTER_CORRECTION,
        "The platform does not take CMPP 2.0 at this address; nothing left. Ask it for an account for version 2.0.",
        "平台在该地址不接受 CMPP 2.0，短信没有发出。请向平台申请 2.0 版本的帐号。",
    ),
    Reason.LOGIN: (
        Repeat.YES,
        "The platform refused the login over CMPP without a reason that helps; nothing left. Ask it if that stays.",
        "平台拒绝了 CMPP 登录，未说明有用的原因，短信没有发出。若一直如此，请联系平台。",
    ),
    Reason.LONG_NUMBER: (
        Repeat.AFTER_CORRECTION,
        "The source number with its extension was refused. Use a shorter extension.",
        "长号码（接入号加扩展号）错误，请缩短扩展号。",
    ),
    Reason.NOT_UNDERSTOOD: (
        Repeat.NEVER_BY_ITSELF,
        "The answer was not understood. The message may have been sent; it is not repeated by itself.",
        "无法识别平台的应答。短信结果不明，可能已发出，不会自动重发。",
    ),
    Reason.LOST: (
        Repeat.NEVER_BY_ITSELF,
        "The answer never came. The message may have been sent; it is not repeated by itself.",
        "未收到平台的应答。短信结果不明，可能已发出，不会自动重发。",
    ),
    Reason.PARTLY: (
        Repeat.NEVER_BY_ITSELF,
        "Only some segments of the message were accepted. The phone may show them; it is not repeated by itself.",
        "平台只接收了长短信的部分分段，手机可能会显示这些分段，不会自动重发。",
    ),
    Reason.WRONG_ADDRESS: (
        Repeat.AFTER_CORRECTION,
        "There is no 1680 platform at this address. Check the gateway's address.",
        "该地址不是 1680 平台，请检查平台地址。",
    ),
    Reason.NO_CONNECTION: (
        Repeat.YES,
        "No connection to the platform came about; nothing left. Check the network and the gateway's address.",
        "无法连接平台，短信没有发出。请检查网络和平台地址。",
    ),
    Reason.DEADLINE: (
        Repeat.YES,
        "The account's pace left no time before the deadline; nothing left.",
        "受帐号流量限制，在截止时间前未能发出。",
    ),
    Reason.CANCELLED: (
        Repeat.YES,
        "The call was cancelled before this number's turn; nothing left.",
        "发送被取消，该号码的短信没有发出。",
    ),
    Reason.HOURLY_LIMIT: (
        Repeat.YES,
        "Our own guard held it back: the parts allowed within an hour are used up. Send it later, or raise the limit.",
        "被本机的消费保护拦下：一小时内的计费条数已用完。请稍后再发，或调高限额。",
    ),
    Reason.DAILY_LIMIT: (
        Repeat.YES,
        "Our own guard held it back: the parts allowed within a day are used up. Send it later, or raise the limit.",
        "被本机的消费保护拦下：一天内的计费条数已用完。请稍后再发，或调高限额。",
    ),
    Reason.NUMBER_LIMIT: (
        Repeat.YES,
        "Our own guard held it back: too many messages to this number within ten minutes. Send it later.",
        "被本机的消费保护拦下：十分钟内发往该号码的短信过多。请稍后再发。",
    ),
    Reason.AUTOMATIC_LIMIT: (
        Repeat.YES,
        "Our own guard held it back: too many automatic messages within an hour. Check for automations that loop.",
        "被本机的消费保护拦下：一小时内自动发送的短信过多。请检查是否有自动化循环触发。",
    ),
}

_OUTCOMES: dict[Outcome, tuple[str, str]] = {
    Outcome.ACCEPTED: ("accepted by the platform", "平台已接收"),
    Outcome.HELD: ("held: waiting for a person at the platform", "待人工审核"),
    Outcome.REFUSED: ("refused by the platform", "被平台拒绝"),
    Outcome.NOT_SENT: ("not sent: safe to send again", "未发出，可以重发"),
    Outcome.UNKNOWN: (
        "unknown: may have been sent, not repeated by itself",
        "结果不明，可能已发出，不会自动重发",
    ),
}


# It is no refusal of the platform's that our own guard (`guard.py`) holds a message back.
_HELD_BACK = ("refused", "被拒绝")
OWN_LIMITS = (Reason.HOURLY_LIMIT, Reason.DAILY_LIMIT, Reason.NUMBER_LIMIT, Reason.AUTOMATIC_LIMIT)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one number of one message.

    number: eleven digits. message_id: the platform's id, None where the answer had none (template and batch sends).
    reason: None when accepted. parts: what it is billed in, for this number. detail: what the platform said besides
    (forbidden words, an answer that was not understood), masked, at most 200 characters; of a message in several
    segments of which some were accepted, how many, and why the others were not.
    message_ids: all ids of a message that went out in several segments (CMPP), else the one of `message_id`.
    segments: how many pieces it was handed over in, each of which is reported by itself; over HTTP always one.
    context: the `context` option of the call. index: the position of this item among the distinct items of the call,
    in order of first appearance. An item is a number (`send`), a number with its values (`send_template`) or a number
    with its text (`send_batch`). Neither is printed or compared.
    """

    number: str
    outcome: Outcome
    message_id: str | None = None
    reason: Reason | None = None
    parts: int = 1
    detail: str | None = None
    message_ids: tuple[str, ...] = ()
    segments: int = 1
    context: object = field(default=None, repr=False, compare=False)
    index: int = field(default=0, repr=False, compare=False)

    @property
    def repeat(self) -> Repeat:
        """Whether this message may be sent to this number again.

        A number whose packet never left may be sent again once the reason is gone, an accepted one must not.
        """
        return self.reason.repeat if self.reason is not None else Repeat.NO

    def sentence(self, language: Language = "en") -> str:
        """Return what happened to this number, masked, in one of the two languages."""
        words = _HELD_BACK if self.reason in OWN_LIMITS else _OUTCOMES[self.outcome]
        what = words[1 if language == "zh" else 0]
        why = f" {self.reason.sentence(language)}" if self.reason else ""
        if language == "zh":
            return f"{mask_number(self.number)}：{what}。{why.strip()}"
        return f"{mask_number(self.number)}: {what}.{why}"

    def __repr__(self) -> str:
        """Show the number masked, and no answer of the platform's."""
        reason = f", reason={self.reason.value}" if self.reason else ""
        shown = f"{mask_number(self.number)}, {self.outcome.value}{reason}"
        return f"Receipt({shown}, message_id={self.message_id}, parts={self.parts})"

    __str__ = __repr__
