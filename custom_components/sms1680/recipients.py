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


@dataclass(slots=True)
class Directory:
    """The recipients of an account, as they were when its subentries were replaced or changed for the last time.

    by_number: the first one with each number in comparable form. extensions: with an empty one for those without.
    secrets: of their commands, which `conversation` collects, None until then.
    """

    subentries: object
    modified_at: datetime
    all: tuple[ConfigSubentry, ...]
    by_number: dict[str, ConfigSubentry]
    by_title: dict[str, list[ConfigSubentry]]
    extensions: frozenset[str]
    secrets: list[Any] | None = None

    def is_of(self, entry: ConfigEntry[Any]) -> bool:
        """Return whether this is still the directory of an account.

        Home Assistant replaces the mapping when a subentry is added or removed, and the time whenever one is changed.
        """
        return self.subentries is entry.subentries and self.modified_at is entry.modified_at


_DIRECTORIES: Final[WeakKeyDictionary[ConfigEntry[Any], Directory]] = WeakKeyDictionary()


def directory_of(entry: ConfigEntry[Any]) -> Directory:
    """Return the directory of an account, made again after a change."""
    directory = _DIRECTORIES.get(entry)
    if directory is None or not directory.is_of(entry):
        found = tuple(one for one in entry.subentries.values() if one.subentry_type == SUBENTRY_RECIPIENT)
        by_title: dict[str, list[ConfigSubentry]] = {}
        for one in found:
            by_title.setdefault(one.title, []).append(one)
        directory = _DIRECTORIES[entry] = Directory(
            entry.subentries,
            entry.modified_at,
            found,
            {one.data[CONF_NUMBER]: one for one in reversed(found)},  # the first one with a number
            by_title,
            frozenset(one.data.get(CONF_EXTENSION) or "" for one in found),
        )
    return directory


def recipients(entry: ConfigEntry[Any]) -> tuple[ConfigSubentry, ...]:
    """Return the recipients of an account: the same tuple until one is added, changed or removed."""
    return directory_of(entry).all


def find_recipient(entry: ConfigEntry[Any], number: str) -> ConfigSubentry | None:
    """Return the recipient with this number in comparable form, or None. Subentries store the comparable form."""
    return directory_of(entry).by_number.get(number)


def recipients_named(entry: ConfigEntry[Any], name: str) -> list[ConfigSubentry]:
    """Return the recipients with this name."""
    return list(directory_of(entry).by_title.get(name, ()))


def groups(entry: ConfigEntry[Any]) -> list[ConfigSubentry]:
    """Return the duty groups of an account."""
    return [subentry for subentry in entry.subentries.values() if subentry.subentry_type == SUBENTRY_GROUP]
