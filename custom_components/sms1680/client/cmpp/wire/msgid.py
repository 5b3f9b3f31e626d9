"""Msg_Id, the gateway's 64-bit id of a segment (docs/cmpp.md, section 2).

Gateways fill it in different ways, so the code compares it as a whole and never uses its parts.
"""

from dataclasses import dataclass
from typing import Final

_FIELDS: Final = (
    ("month", 60),
    ("day", 55),
    ("hour", 50),
    ("minute", 44),
    ("second", 38),
    ("gateway", 16),
    ("sequence", 0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MsgId:
    """The parts of a Msg_Id according to the standard, for people to read.

    month 1 to 12, day 1 to 31, hour 0 to 23, minute and second 0 to 59: when the gateway made it, China time.
    gateway: its code, 22 bits. sequence: 16 bits.
    """

    month: int
    day: int
    hour: int
    minute: int
    second: int
    gateway: int
    sequence: int

    @classmethod
    def of(cls, number: int) -> "MsgId":
        """Split a 64-bit number; the values are not checked."""
        values, above = {}, 64
        for name, shift in _FIELDS:
            values[name] = (number >> shift) & ((1 << (above - shift)) - 1)
            above = shift
        return cls(**values)

    def __int__(self) -> int:
        return sum(getattr(self, name) << shift for name, shift in _FIELDS)
