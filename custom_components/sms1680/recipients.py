"""The recipients of an account, and which of them has a number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigSubentry

from .const import CONF_NUMBER, SUBENTRY_RECIPIENT


def recipients(entry: ConfigEntry[Any]) -> list[ConfigSubentry]:
    """Return the recipients of an account."""
    return [subentry for subentry in entry.subentries.values() if subentry.subentry_type == SUBENTRY_RECIPIENT]


def find_recipient(number: str, among: Iterable[ConfigSubentry]) -> ConfigSubentry | None:
    """Return the recipient that has this comparable number, if there is one; theirs are kept in that form."""
    for subentry in among:
        if subentry.data[CONF_NUMBER] == number:
            return subentry
    return None
