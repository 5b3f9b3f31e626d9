"""The outcome of a message for each number, and the named reasons for it.

HTTP and CMPP share one set of reasons (docs/protocol.md, section 6).
"""

from enum import StrEnum
from typing import Literal

Language = Literal["en", "zh"]


class Outcome(StrEnum):
    """The outcome for one number."""

    ACCEPTED = "accepted"
    HELD = "held"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"

    @property
    def is_success(self) -> bool:
        """Whether the platform has the message: accepted, or held by its staff."""
        return self in (Outcome.ACCEPTED, Outcome.HELD)

    @property
    def is_failure(self) -> bool:
        """Whether the message certainly neither arrives nor costs anything: refused, or not sent."""
        return self in (Outcome.REFUSED, Outcome.NOT_SENT)

    @property
    def may_arrive(self) -> bool:
        """Whether the phone can still receive the message: accepted, held or unknown."""
        return not self.is_failure

    @property
    def zh(self) -> str:
        """The Chinese name. It leaves open whether the platform or our own guard refused."""
        return _OUTCOMES[self][1].partition("，")[0].replace("平台", "")

    def sentence(self, language: Language = "en") -> str:
        """Return a short phrase for the outcome in the given language."""
        return _OUTCOMES[self][1 if language == "zh" else 0]


_OUTCOMES: dict[Outcome, tuple[str, str]] = {
    Outcome.ACCEPTED: ("accepted by the platform", "平台已接收"),
    Outcome.HELD: ("held: waiting for the platform's staff", "待人工审核"),
    Outcome.REFUSED: ("refused by the platform", "被平台拒绝"),
    Outcome.NOT_SENT: ("not sent: safe to send again", "未发出，可以重发"),
    Outcome.UNKNOWN: (
        "unknown: may have been sent, not repeated automatically",
        "结果不明，可能已发出，不会自动重发",
    ),
}


class Repeat(StrEnum):
    """Whether the same message can be sent to the same number again."""

    NO = "no"
    YES = "yes"
    BY_A_PERSON = "by_a_person"
    AFTER_CORRECTION = "after_correction"
    AFTER_TOPPING_UP = "after_topping_up"
    OTHER_TEXT = "other_text"
    NEVER_BY_ITSELF = "never_by_itself"


class Reason(StrEnum):
    """Why an outcome is anything but accepted."""

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
    TARIFF = "tariff"
    TOO_LONG = "too_long"
    SERVICE_CODE = "service_code"
    NOT_UNDERSTOOD = "not_understood"
    LOST = "lost"
    PARTLY = "partly"
    WRONG_ADDRESS = "wrong_address"
    NO_CONNECTION = "no_connection"
    CORRUPT = "corrupt"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    HOURLY_LIMIT = "hourly_limit"
    DAILY_LIMIT = "daily_limit"
    NUMBER_LIMIT = "number_limit"
    AUTOMATIC_LIMIT = "automatic_limit"

    @property
    def en(self) -> str:
        """The English sentence: the problem and the remedy."""
        return _REASONS[self][1]

    @property
    def zh(self) -> str:
        """The Chinese sentence."""
        return _REASONS[self][2]

    @property
    def repeat(self) -> Repeat:
        """Whether the message can be sent again."""
        return _REASONS[self][0]

    def sentence(self, language: Language = "en") -> str:
        """Return the sentence in the given language."""
        return self.zh if language == "zh" else self.en


_REASONS: dict[Reason, tuple[Repeat, str, str]] = {
    Reason.REVIEW: (
        Repeat.NO,
        "The text contains words that need a review.",
        "短信含有需审核的词语。",
    ),
    Reason.MANUAL: (
        Repeat.NO,
        "The platform had an internal error.",
        "平台出现异常。",
    ),
    Reason.FAILED: (
        Repeat.BY_A_PERSON,
        "The platform reported a failure without a reason. Ask the platform before you send it again.",
        "平台返回失败，未说明原因。重发前请先咨询平台。",
    ),
    Reason.MALFORMED: (
        Repeat.BY_A_PERSON,
        "The platform found the message malformed. Please report this.",
        "平台认为消息格式有误，请反馈此问题。",
    ),
    Reason.AUTHENTICATION: (
        Repeat.AFTER_CORRECTION,
        "The user name or the password is wrong. For CMPP, check the SP ID, the password and this machine's clock.",
        "登录名称（平台文档写作“登陆名称”）或密码不正确，请更正。使用 CMPP 时请检查企业代码、密码和本机时钟。",
    ),
    Reason.BALANCE: (
        Repeat.AFTER_TOPPING_UP,
        "The balance is too low. Top up the product.",
        "剩余条数不足，请充值。",
    ),
    Reason.VARIABLE: (
        Repeat.AFTER_CORRECTION,
        "The platform refused a variable of the template. Correct its value.",
        "模板变量异常，请更正变量内容。",
    ),
    Reason.TOO_FAST: (
        Repeat.YES,
        "The account sent too fast, and all retries failed. Send the message later, or set the account's rate.",
        "提交频率太快，重试后仍未通过。请稍后再发，或设置账户的流量。",
    ),
    Reason.NUMBER: (
        Repeat.NO,
        "The platform does not accept this number. Check it.",
        "平台不接受该号码，请核对。",
    ),
    Reason.EMPTY: (
        Repeat.NO,
        "The platform found the text empty.",
        "平台认为短信内容为空。",
    ),
    Reason.FORBIDDEN_WORDS: (
        Repeat.OTHER_TEXT,
        "The text contains words that the platform forbids. Send a different text.",
        "短信含有禁用词语，请更换内容后再发。",
    ),
    Reason.PERMISSION: (
        Repeat.AFTER_CORRECTION,
        "The account has no permission to use this interface. Ask the platform for it, or use CMPP.",
        "账户没有 URL 提交权限，请联系平台开通，或改用 CMPP。",
    ),
    Reason.TOO_MANY: (
        Repeat.AFTER_CORRECTION,
        "The platform reports too many numbers, even for a single one. Ask the platform.",
        "平台称号码过多（单个号码也如此），请联系平台。",
    ),
    Reason.PRODUCT: (
        Repeat.AFTER_CORRECTION,
        "The product ID is not valid for this account. Check it with the platform.",
        "产品 ID 异常，请与平台核对。",
    ),
    Reason.USER: (
        Repeat.AFTER_CORRECTION,
        "The platform reports invalid account data. Ask the platform.",
        "用户信息异常，请联系平台。",
    ),
    Reason.PARAMETER: (
        Repeat.AFTER_CORRECTION,
        "The platform refused a parameter. Check the product, the extension and the time.",
        "参数异常，请检查产品、扩展号和定时时间。",
    ),
    Reason.IP: (
        Repeat.AFTER_CORRECTION,
        "This network's public IP address is not authorized. Ask the platform to add it.",
        "本网络的公网 IP 未被授权，请联系平台添加。",
    ),
    Reason.SIGNATURE: (
        Repeat.AFTER_CORRECTION,
        "The text has no signature 【…】. Set the registered signature.",
        "短信缺少签名【…】，请设置已报备的签名。",
    ),
    Reason.SUSPENDED: (
        Repeat.YES,
        "The account is suspended or has too many connections.",
        "账户已暂停，或连接数过多。",
    ),
    Reason.VERSION: (
        Repeat.AFTER_CORRECTION,
        "The platform does not accept CMPP 2.0 at this address. Ask it for a CMPP 2.0 account.",
        "平台在该地址不接受 CMPP 2.0，请向平台申请 2.0 版本的账户。",
    ),
    Reason.LOGIN: (
        Repeat.YES,
        "The platform refused the CMPP login without a useful reason. Ask it if this persists.",
        "平台拒绝了 CMPP 登录，未说明有用的原因。若一直如此，请联系平台。",
    ),
    Reason.LONG_NUMBER: (
        Repeat.AFTER_CORRECTION,
        "The platform refused the source number with its extension. Use a shorter extension.",
        "长号码（接入号加扩展号）错误，请缩短扩展号。",
    ),
    Reason.TARIFF: (
        Repeat.AFTER_CORRECTION,
        "The platform refused the tariff code of the CMPP account. Ask the platform which fee type it expects.",
        "平台认为 CMPP 账户的资费代码错误，请向平台询问应使用的资费类别。",
    ),
    Reason.TOO_LONG: (
        Repeat.OTHER_TEXT,
        "The platform finds the text too long. Send a shorter text.",
        "平台认为短信超过最大长度，请缩短内容后再发。",
    ),
    Reason.SERVICE_CODE: (
        Repeat.AFTER_CORRECTION,
        "The platform refused the service code of the CMPP account. Set the service code from the platform.",
        "平台认为 CMPP 账户的业务代码错误，请填写平台提供的业务代码。",
    ),
    Reason.NOT_UNDERSTOOD: (
        Repeat.NEVER_BY_ITSELF,
        "The platform's response was not understood.",
        "无法识别平台的应答。",
    ),
    Reason.LOST: (
        Repeat.NEVER_BY_ITSELF,
        "The platform did not respond.",
        "未收到平台的应答。",
    ),
    Reason.PARTLY: (
        Repeat.NEVER_BY_ITSELF,
        "Only some segments of the message were accepted, and the phone may show them.",
        "平台只接收了长短信的部分分段，手机可能会显示这些分段。",
    ),
    Reason.WRONG_ADDRESS: (
        Repeat.AFTER_CORRECTION,
        "There is no 1680 platform at this address. Check the gateway's address.",
        "该地址不是 1680 平台，请检查平台地址。",
    ),
    Reason.NO_CONNECTION: (
        Repeat.YES,
        "Could not connect to the platform. Check the network and the gateway's address.",
        "无法连接平台，请检查网络和平台地址。",
    ),
    Reason.CORRUPT: (
        Repeat.YES,
        "The platform sent invalid CMPP data, so the connection was closed. It is opened again automatically.",
        "平台发来的数据不是有效的 CMPP，已断开连接，会自动重新连接。",
    ),
    Reason.DEADLINE: (
        Repeat.YES,
        "The account's rate left no time before the deadline.",
        "受账户流量限制，截止时间前没有轮到该短信。",
    ),
    Reason.CANCELLED: (
        Repeat.YES,
        "The call was cancelled before this number's turn.",
        "调用在轮到该号码之前被取消。",
    ),
    Reason.HOURLY_LIMIT: (
        Repeat.YES,
        "Your own hourly spending limit is used up. Send the message later, or raise the limit.",
        "被本机的消费保护拦下：一小时内的计费条数已用完。请稍后再发，或调高限额。",
    ),
    Reason.DAILY_LIMIT: (
        Repeat.YES,
        "Your own daily spending limit is used up. Send the message later, or raise the limit.",
        "被本机的消费保护拦下：一天内的计费条数已用完。请稍后再发，或调高限额。",
    ),
    Reason.NUMBER_LIMIT: (
        Repeat.YES,
        "Your own limit for one number is reached: too many messages within ten minutes. Send the message later.",
        "被本机的消费保护拦下：十分钟内发往该号码的短信过多。请稍后再发。",
    ),
    Reason.AUTOMATIC_LIMIT: (
        Repeat.YES,
        "Your own limit for automatic messages within an hour is reached. Check for automations that loop.",
        "被本机的消费保护拦下：一小时内自动发送的短信过多。请检查是否有自动化循环触发。",
    ),
}

OWN_LIMITS = (Reason.HOURLY_LIMIT, Reason.DAILY_LIMIT, Reason.NUMBER_LIMIT, Reason.AUTOMATIC_LIMIT)
"""The reasons of our own spending guard."""
