"""Times as SUBMIT has them: SMPP 3.3 absolute, `YYMMDDhhmmss` `t` `nn` `p` (CMPP 2.0, 7.4.3.1; cmpp2.md, section 2)."""

from __future__ import annotations

from datetime import datetime

from ...http.requests import CHINA

__all__ = ["connect_timestamp", "smpp_time"]


def smpp_time(when: datetime) -> str:
    """Return an aware time as China Standard Time: tenths 0, 32 quarter hours east."""
    return when.astimezone(CHINA).strftime("%y%m%d%H%M%S") + "032+"


def connect_timestamp(now: datetime) -> str:
    """Return the ten digits `MMDDHHMMSS` of CONNECT, in China's time whatever the host's zone (trap 14)."""
    return now.astimezone(CHINA).strftime("%m%d%H%M%S")
