"""The recipients and duty groups of an account, and the addressees of messages."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigSubentry

from .const import CONF_EXTENSION, CONF_NUMBER, SUBENTRY_GROUP, SUBENTRY_RECIPIENT


@dataclass(frozen=True)
class Addressee:
    """The addressee of a message: a recipient of an account, or a plain number without name and subentry."""

    entry: ConfigEntry[Any]
    number: str
    name: str | None = None
    subentry_id: str | None = None
    extension: str | None = None

    @classmethod
    def from_subentry(cls, entry: ConfigEntry[Any], subentry: ConfigSubentry) -> "Addressee":
        """Return a recipient as an addressee."""
        data = subentry.data
        return cls(entry, data[CONF_NUMBER], subentry.title, subentry.subentry_id, data.get(CONF_EXTENSION))


def recipients(entry: ConfigEntry[Any]) -> list[ConfigSubentry]:
    """Return the recipients of an account."""
    return [subentry for subentry in entry.subentries.values() if subentry.subentry_type == SUBENTRY_RECIPIENT]


def groups(entry: ConfigEntry[Any]) -> list[ConfigSubentry]:
    """Return the duty groups of an account."""
    return [subentry for subentry in entry.subentries.values() if subentry.subentry_type == SUBENTRY_GROUP]


def find_recipient(number: str, among: Iterable[ConfigSubentry]) -> ConfigSubentry | None:
    """Return the recipient with this number in comparable form, or None. Subentries store the comparable form."""
    return next((subentry for subentry in among if subentry.data[CONF_NUMBER] == number), None)
