"""The words of delivery reports: those of the platform (docs/protocol.md, section 7) and of the carriers.

A carrier's word is one of CMPP's states, or a family and a code, such as `MK:0001` (docs/cmpp.md, section 2, Stat). The
carriers publish no list. The codes here are those on which public lists agree; other codes get the family's sentence.
"""

import re
from enum import Enum, StrEnum

from .outcomes import Repeat


class ReportState(StrEnum):
    """The meaning of a delivery report. Only `pending` is not final."""

    DELIVERED = "delivered"
    FAILED = "failed"
    PENDING = "pending"


class Cause(Enum):
    """Why a message was not delivered: whether it may be sent again, and the sentences. `{}`: the word as it came."""

    NO_NUMBER = (
        Repeat.NO,
        "The number does not exist ({}). Check it.",
        "该号码是空号（{}），请核对。",
    )
    OUT_OF_SERVICE = (
        Repeat.BY_A_PERSON,
        "The number is out of service, for example because of unpaid bills ({}).",
        "该号码已停机，例如因欠费（{}）。",
    )
    SWITCHED_OFF = (
        Repeat.YES,
        "The phone was switched off or had no signal until the carrier gave up ({}).",
        "手机关机或不在服务区，运营商已停止尝试（{}）。",
    )
    PHONE = (
        Repeat.YES,
        "The phone could not receive the message, for example because its memory is full ({}).",
        "手机无法接收该短信，例如存储空间已满（{}）。",
    )
    BLOCKED_NUMBER = (
        Repeat.BY_A_PERSON,
        "The number is on a blocklist of the carrier ({}). Ask the platform to remove it.",
        "该号码在运营商的黑名单中（{}），请联系平台移除。",
    )
    BLOCKED_TEXT = (
        Repeat.OTHER_TEXT,
        "The carrier blocked the text ({}). Send a different text.",
        "运营商拦截了短信内容（{}），请更换内容后再发。",
    )
    TOO_MANY = (
        Repeat.YES,
        "The carrier's limit of messages was reached ({}). Send the message later.",
        "已达到运营商的短信数量上限（{}），请稍后再发。",
    )
    BUSY = (
        Repeat.YES,
        "The carrier's network was overloaded ({}). Send the message again.",
        "运营商网络繁忙（{}），可以重发。",
    )
    SERVICE = (
        Repeat.BY_A_PERSON,
        "The carrier does not allow this service for the number or the account ({}). Ask the platform.",
        "运营商未对该号码或账户开通此业务（{}），请联系平台。",
    )
    # The words of CMPP, and the families.
    EXPIRED = (
        Repeat.YES,
        "The carrier could not deliver the message in time ({}). The phone was probably switched off or had no signal.",
        "运营商未能在有效期内送达（{}），手机可能关机或不在服务区。",
    )
    DELETED = (
        Repeat.BY_A_PERSON,
        "The carrier deleted the message before it was delivered ({}). Ask the platform.",
        "短信在送达前已被运营商删除（{}），请咨询平台。",
    )
    UNDELIVERABLE = (
        Repeat.YES,
        "The carrier could not deliver the message ({}). The phone or the number may be out of service.",
        "运营商无法送达该短信（{}），手机或号码可能无法使用。",
    )
    REJECTED = (
        Repeat.BY_A_PERSON,
        "The carrier rejected the message ({}). Ask the platform for the reason.",
        "运营商拒绝了该短信（{}），请向平台询问原因。",
    )
    UNCERTAIN = (
        Repeat.NEVER_BY_ITSELF,
        "The carrier does not know whether the message was delivered ({}).",
        "运营商不清楚该短信是否已送达（{}）。",
    )
    NO_RESPONSE = (
        Repeat.NEVER_BY_ITSELF,
        "A part of the carrier's network did not respond ({}). The message may have been delivered.",
        "运营商网络中的设备没有应答（{}），短信可能已送达。",
    )
    NETWORK_ERROR = (
        Repeat.YES,
        "A part of the carrier's network reported an error ({}). Send the message again.",
        "运营商网络中的设备报告了错误（{}），可以重发。",
    )
    NOT_AUTHORIZED = (
        Repeat.BY_A_PERSON,
        "The carrier's billing or service platform refused the message ({}). Ask the platform.",
        "运营商的计费或业务平台拒绝了该短信（{}），请联系平台。",
    )
    GATEWAY_CHECK = (
        Repeat.BY_A_PERSON,
        "The carrier's gateway refused the message ({}). Ask the platform.",
        "运营商网关拒绝了该短信（{}），请联系平台。",
    )


Meaning = tuple[ReportState, Repeat, str, str]

_DELIVERED: Meaning = (ReportState.DELIVERED, Repeat.NO, "Delivered to the phone.", "已送达手机。")
STATUSES: dict[str, Meaning] = {
    "0": _DELIVERED,
    "DELIVRD": _DELIVERED,
    "ACCEPTD": (ReportState.PENDING, Repeat.NO, "In transit; not final.", "传送中，尚未最终确认。"),
    "KX:1000": (
        ReportState.FAILED,
        Repeat.YES,
        "The platform could not submit the message. Send it again, preferably over another channel.",
        "平台下行提交失败，可以重发，最好改用其他途径。",
    ),
    "KX:2000": (
        ReportState.FAILED,
        Repeat.YES,
        "The gateway of the channel does not exist. Send it again, preferably over another channel.",
        "通道网关不存在，可以重发，最好改用其他途径。",
    ),
    "KX:3000": (
        ReportState.FAILED,
        Repeat.NEVER_BY_ITSELF,
        "Deducted report: delivery is uncertain. Ask the platform.",
        "扣量状态报告：是否送达不明，请咨询平台。",
    ),
    "KX:4000": (
        ReportState.FAILED,
        Repeat.OTHER_TEXT,
        "The same text was sent to this number too often. Change the text and send it again.",
        "同样内容在一定时间内下发次数过多，请更改内容后再发。",
    ),
}
"""The platform's words, and those that are no failure."""

WORDS = {
    "EXPIRED": Cause.EXPIRED,
    "DELETED": Cause.DELETED,
    "UNDELIV": Cause.UNDELIVERABLE,
    "REJECTD": Cause.REJECTED,
    "UNKNOWN": Cause.UNCERTAIN,
}
"""CMPP's words of failure."""

FAMILIES = {
    "MI": Cause.EXPIRED,
    "MJ": Cause.DELETED,
    "MK": Cause.UNDELIVERABLE,
    "ML": Cause.UNCERTAIN,
    "MM": Cause.UNCERTAIN,
    "MN": Cause.REJECTED,
    "MH": Cause.UNDELIVERABLE,
    "MA": Cause.NO_RESPONSE,
    "MB": Cause.NETWORK_ERROR,
    "MC": Cause.NO_RESPONSE,
    "CA": Cause.NETWORK_ERROR,
    "CB": Cause.NOT_AUTHORIZED,
    "DA": Cause.NETWORK_ERROR,
    "DB": Cause.NOT_AUTHORIZED,
    "IA": Cause.NO_RESPONSE,
    "IB": Cause.NETWORK_ERROR,
    "IC": Cause.NO_RESPONSE,
    "ID": Cause.GATEWAY_CHECK,
    "SA": Cause.NO_RESPONSE,
    "SB": Cause.NETWORK_ERROR,
}
"""What the letters before the colon say."""

# The message center's causes, after the letters MH to MN alike.
_CENTER = {
    Cause.NO_NUMBER: (1, 73),
    Cause.OUT_OF_SERVICE: (5, 13, 19, 51),
    Cause.SWITCHED_OFF: (10, 24, 42, 72, 76, 82),
    Cause.PHONE: (17, 20, 22, 29, 55, 99, 208, 209),
    Cause.BLOCKED_TEXT: (14, 115),
    Cause.TOO_MANY: (79, 1041),
    Cause.BUSY: (18, 61, 62, 192),
}
CODES: dict[str, dict[Cause, tuple[int, ...]]] = {
    **dict.fromkeys(("MH", "MI", "MK", "MN"), _CENTER),
    "MB": {Cause.TOO_MANY: (1041,), Cause.BUSY: (192,)},
    "CB": {Cause.NO_NUMBER: (1, 53), Cause.OUT_OF_SERVICE: (5, 7), Cause.NETWORK_ERROR: (16, 18, 22)},
    "DB": {
        Cause.NO_NUMBER: (100, 101),
        Cause.OUT_OF_SERVICE: (102, 103, 127),
        Cause.BLOCKED_NUMBER: (139, 144),
        Cause.TOO_MANY: (142,),
        Cause.BUSY: (9007,),
        Cause.NETWORK_ERROR: (122, 9001),
        Cause.SERVICE: (*range(104, 120), 121),
    },
    "IB": {Cause.BUSY: (8, 70)},
}
"""The codes after the colon that say more than their family."""

_FAMILY_AND_CODE = re.compile(r"([A-Z]{2}):?(\d{1,6})")


def meaning_of(status: str) -> Meaning:
    """Return the state, whether the message may be sent again, and the English and Chinese sentence of a word."""
    known = STATUSES.get(status)
    if known is not None:
        return known
    cause = WORDS.get(status)
    if cause is None and (found := _FAMILY_AND_CODE.fullmatch(status)):
        family, code = found[1], int(found[2])
        cause = next((cause for cause, codes in CODES.get(family, {}).items() if code in codes), FAMILIES.get(family))
    if cause is None:
        return (
            ReportState.FAILED,
            Repeat.NEVER_BY_ITSELF,
            f"Not delivered; the platform reported {status}.",
            f"未送达，平台状态为 {status}。",
        )
    repeat, en, zh = cause.value
    return ReportState.FAILED, repeat, en.format(status), zh.format(status)
