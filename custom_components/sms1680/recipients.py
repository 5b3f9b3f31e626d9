"""The recipients and duty groups of an account, and the addressees of messages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from weakref import WeakKeyDictionary

from homeassistant.config_entries import ConfigEntry, ConfigSubentry

from .const import CONF_EXTENSION, CONF_NUMBER, SUBENTRY_GROUP, SUBENTRY_RECIPIENT


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class _Index:
    """The recipients of an account, as they were when its subentries were replaced or changed for the last time."""

    subentries: object
    modified_at: datetime
    all: tuple[ConfigSubentry, ...]
    by_number: dict[str, ConfigSubentry]
    by_title: dict[str, list[ConfigSubentry]]
    extensions: frozenset[str]


_INDEXES: Final[WeakKeyDictionary[ConfigEntry[Any], _Index]] = WeakKeyDictionary()


def _index(entry: ConfigEntry[Any]) -> _Index:
    """Return the index of an account, made again after a change.

    Home Assistant replaces the mapping when a subentry is added or removed, and the time whenever one is changed.
    """
    index = _INDEXES.get(entry)
    if index is None or index.subentries is not entry.subentries or index.modified_at is not entry.modified_at:
        found = tuple(one for one in entry.subentries.values() if one.subentry_type == SUBENTRY_RECIPIENT)
        by_title: dict[str, list[ConfigSubentry]] = {}
        for one in found:
            by_title.setdefault(one.title, []).append(one)
        index = _INDEXES[entry] = _Index(
            entry.subentries,
            entry.modified_at,
            found,
            {one.data[CONF_NUMBER]: one for one in reversed(found)},  # the first one with a number
            by_title,
            frozenset(one.data.get(CONF_EXTENSION) or "" for one in found),
        )
    return index


def recipients(entry: ConfigEntry[Any]) -> tuple[ConfigSubentry, ...]:
    """Return the recipients of an account: the same tuple until one is added, changed or removed."""
    return _index(entry).all


def find_recipient(entry: ConfigEntry[Any], number: str) -> ConfigSubentry | None:
    """Return the recipient with this number in comparable form, or None. Subentries store the comparable form."""
    return _index(entry).by_number.get(number)


def recipients_named(entry: ConfigEntry[Any], name: str) -> list[ConfigSubentry]:
    """Return the recipients with this name."""
    return list(_index(entry).by_title.get(name, ()))


def extensions_of_recipients(entry: ConfigEntry[Any]) -> frozenset[str]:
    """Return the extensions of an account's recipients, with an empty one for those without."""
    return _index(entry).extensions


def groups(entry: ConfigEntry[Any]) -> list[ConfigSubentry]:
    """Return the duty groups of an account."""
    return [subentry for subentry in entry.subentries.values() if subentry.subentry_type == SUBENTRY_GROUP]
