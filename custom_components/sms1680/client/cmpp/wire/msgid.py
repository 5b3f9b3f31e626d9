"""Msg_Id, the gateway's name of a segment: 64 bits (CMPP 2.0, 7.4.3.2).

Gateways fill it as they like, so it is compared as a whole and never taken apart to decide anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MsgId"]

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
    """A Msg_Id taken apart as the standard has it, for people who look at one.

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
    def of(cls, number: int) -> MsgId:
        """Take a 64-bit number apart; what a gateway with other habits put there comes out as it is."""
        values, above = {}, 64
        for name, shift in _FIELDS:
            values[name] = (number >> shift) & ((1 << (above - shift)) - 1)
            above = shift
        return cls(**values)

    def __int__(self) -> int:
        return sum(getattr(self, name) << shift for name, shift in _FIELDS)
