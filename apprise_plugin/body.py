"""Turns the body of a notification into the text of an SMS."""

from datetime import datetime

from .core import is_signed, split_units, units

STAMP_LENGTH = 9
_STAMP = " %H:%M:%S"
_ELLIPSIS = "…"


def cut(text: str, limit: int) -> str:
    """Cut a text to at most `limit` UTF-16 units.

    Apprise leaves texts that are too long to the plugin. A shortened alarm is better than a rejected one; users who
    need the whole text set ?overflow=split.
    """
    if units(text) <= limit:
        return text
    return next(split_units(text, limit - len(_ELLIPSIS))) + _ELLIPSIS


def append_time(text: str, now: datetime) -> str:
    """Append the time to a text, before its signature if it ends with one: signatures only count at the end."""
    stamp = now.strftime(_STAMP)
    head, bracket, signature = text.rpartition("【")
    if head.strip() and is_signed(text) and text.rstrip().endswith("】"):
        return head.rstrip() + stamp + bracket + signature
    return text + stamp
