"""The codes that the four HTTP calls answer with (docs/protocol.md, section 1)."""

from __future__ import annotations

from types import MappingProxyType

from .faults import Call
from .verdicts import Result, Verdict

_SEND = MappingProxyType(
    {
        Verdict.AUTHENTICATION: "-1",
        Verdict.FAILED: "0",
        Verdict.BALANCE: "2",
        Verdict.REVIEW: "3",
        Verdict.MANUAL: "4",
        Verdict.TOO_FAST: "5",
        Verdict.NUMBER: "6",
        Verdict.EMPTY: "7",
        Verdict.FORBIDDEN_WORDS: "8",
        Verdict.PERMISSION: "9",
        Verdict.TOO_MANY: "10",
        Verdict.PRODUCT: "11",
        Verdict.USER: "-11",
        Verdict.PARAMETER: "12",
        Verdict.LONG_NUMBER: "12",
        Verdict.IP: "-14",
        Verdict.SIGNATURE: "-15",
    }
)
_PERSONALISED = MappingProxyType(
    {
        Verdict.ACCEPTED: "1",
        Verdict.FAILED: "0",
        Verdict.AUTHENTICATION: "-1",
        Verdict.BALANCE: "-2",
        Verdict.REVIEW: "-3",
        Verdict.VARIABLE: "-4",
        Verdict.TOO_FAST: "-5",
        Verdict.NUMBER: "-6",
        Verdict.EMPTY: "-7",
        Verdict.FORBIDDEN_WORDS: "-8",
        Verdict.PERMISSION: "-9",
        Verdict.TOO_MANY: "-10",
        Verdict.PRODUCT: "-11",
        Verdict.PARAMETER: "-12",
        Verdict.LONG_NUMBER: "-12",
        Verdict.IP: "-14",
        Verdict.SIGNATURE: "-15",
    }
)
_BALANCE = MappingProxyType(
    {
        Verdict.AUTHENTICATION: "-1",
        Verdict.FAILED: "-2",
        Verdict.TOO_FAST: "-5",
        Verdict.PERMISSION: "-9",
        Verdict.IP: "-14",
    }
)


def answer(call: Call, result: Result) -> str:
    """Return the body for a result. Verdicts without a code in the call's table are answered as "failed"."""
    if call is Call.BALANCE:
        return _BALANCE.get(result.verdict, _BALANCE[Verdict.FAILED])
    if call is not Call.SEND:
        if result.verdict is Verdict.MANUAL:
            return _PERSONALISED[Verdict.REVIEW]
        return _PERSONALISED.get(result.verdict, _PERSONALISED[Verdict.FAILED])
    if result.verdict is Verdict.ACCEPTED:
        return f"1,{result.message_id}"
    code = _SEND.get(result.verdict, _SEND[Verdict.FAILED])
    return ",".join((code, *result.words)) if result.words else code
