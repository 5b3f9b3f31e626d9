"""What Status and Result mean: the platform's own tables (document, 3.2 and 3.3) beside the standard's.

The text of a Result depends on who answers: 3 is "account suspended" at the platform and "sequence repeated" in the
standard. Which table holds is a setting; the named reasons are the same as over HTTP (protocol.md, section 6).
"""

from __future__ import annotations

from typing import Final, Literal

from ...outcomes import Reason

__all__ = ["CONNECT", "SUBMIT", "SUBMIT_TEXTS", "ResultTable", "submit_text"]

ResultTable = Literal["1680", "standard"]

CONNECT: Final[dict[int, Reason]] = {
    1: Reason.MALFORMED,
    2: Reason.IP,
    3: Reason.AUTHENTICATION,
    4: Reason.VERSION,
    5: Reason.SUSPENDED,
}
"""Table 3.2: why a login was refused; what is not in it has no reason but that (`Reason.LOGIN`)."""

_COMMON: Final = {
    1: Reason.MALFORMED,
    2: Reason.MALFORMED,
    4: Reason.MALFORMED,
    5: Reason.PARAMETER,
    6: Reason.PARAMETER,
    7: Reason.PARAMETER,
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
"""Table 3.3: why a SUBMIT was refused; 0 is accepted, and what stands in neither table is not understood."""

SUBMIT_TEXTS: Final[dict[ResultTable, tuple[str, ...]]] = {
    "1680": (
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
    ),
    "standard": (
        "ok",
        "structure error",
        "command error",
        "sequence id repeated",
        "length error",
        "fee code error",
        "message too long",
        "service code error",
        "flow control",
        "the gateway does not serve this payer",
        "Src_Id error",
        "Msg_src error",
        "Fee_terminal_Id error",
        "Dest_terminal_Id error",
    ),
}
"""The two tables' own words, by Result."""


def submit_text(result: int, table: ResultTable = "1680") -> str:
    """Return a table's own words for a Result, empty where it has none."""
    texts = SUBMIT_TEXTS[table]
    return texts[result] if result < len(texts) else ""
