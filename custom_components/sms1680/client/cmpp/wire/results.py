"""The meanings of Status and Result: the platform's tables (docs/protocol.md, section 3) and the standard's.

A Result depends on the gateway: 3 is "account suspended" at the platform and "sequence id repeated" in the standard.
A setting selects the table. The reasons are the same as over HTTP (docs/protocol.md, section 6).
"""

from typing import Final, Literal

from ...outcomes import Reason

ResultTable = Literal["1680", "standard"]

CONNECT: Final[dict[int, Reason]] = {
    1: Reason.MALFORMED,
    2: Reason.IP,
    3: Reason.AUTHENTICATION,
    4: Reason.VERSION,
    5: Reason.SUSPENDED,
}
"""The reasons for a refused login by Status (docs/protocol.md, section 3); any other Status is `Reason.LOGIN`."""

_COMMON: Final = {
    1: Reason.MALFORMED,
    2: Reason.MALFORMED,
    4: Reason.MALFORMED,
    5: Reason.TARIFF,
    6: Reason.TOO_LONG,
    7: Reason.SERVICE_CODE,
    8: Reason.TOO_FAST,
}

SUBMIT: Final[dict[ResultTable, dict[int, Reason]]] = {
    "1680": {
        **_COMMON,
        3: Reason.SUSPENDED,
        9: Reason.USER,
        10: Reason.PRODUCT,
        11: Reason.NUMBER,
        12: Reason.FORBIDDEN_WORDS,
        13: Reason.BALANCE,
        14: Reason.LONG_NUMBER,
    },
    "standard": {
        **_COMMON,
        3: Reason.MALFORMED,
        9: Reason.NUMBER,
        10: Reason.LONG_NUMBER,
        11: Reason.USER,
        12: Reason.PARAMETER,
        13: Reason.NUMBER,
    },
}
"""The reasons for a refused SUBMIT by Result (docs/protocol.md, section 3). 0 is accepted; other values are unknown."""

SUBMIT_TEXTS: Final = (
    "正确",
    "消息结构错",
    "命令字错",
    "账号暂停",
    "消息长度错",
    "资费代码错",
    "超过最大信息长",
    "业务代码错",
    "流量控制错",
    "Submit 中 SPID 和登陆用户 ID 不匹配",
    "用户所用产品未分配",
    "接收短信的 MSISDN 号错",
    "提交内容含有一级黑词，拒绝发送",
    "余额不足拒绝发送",
    "长号码错误",
)
"""The wording of the platform's document, by Result."""
