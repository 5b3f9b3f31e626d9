"""The times of SUBMIT and CONNECT (docs/cmpp.md, section 2)."""

from datetime import datetime, timedelta, timezone
from typing import Final

_CHINA: Final = timezone(timedelta(hours=8))


def smpp_time(when: datetime) -> str:
    """Return an aware time as SMPP 3.3 absolute time `YYMMDDhhmmsstnnp`: tenths 0, 32 quarter hours east of UTC."""
    return when.astimezone(_CHINA).strftime("%y%m%d%H%M%S") + "032+"


def connect_timestamp(now: datetime) -> str:
    """Return the ten digits `MMDDHHMMSS` of CONNECT in China time, whatever the host's zone (docs/cmpp.md, trap 14)."""
    return now.astimezone(_CHINA).strftime("%m%d%H%M%S")
