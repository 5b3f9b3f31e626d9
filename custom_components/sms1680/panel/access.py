"""Which conversations a user may read, and to whom the user may write.

Administrators read everything. Others read only the recipients whose entities they may read, without their numbers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from homeassistant.auth.models import User
from homeassistant.auth.permissions.const import POLICY_CONTROL, POLICY_READ
from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er

from ..client import mask_number
from ..const import CONF_NUMBER, DOMAIN
from ..recipients import find_recipient, recipients
from ..store.db import Party, comparable_number

type _Entities = tuple[tuple[Platform, str], ...]

# The entities of a recipient and of a group, by platform and key.
_ENTITIES: Final = ((Platform.NOTIFY, "notify"), (Platform.EVENT, "messages"))
_GROUP_ENTITIES: Final = ((Platform.NOTIFY, "group"), (Platform.EVENT, "alarms"))


@dataclass(frozen=True)
class Contact:
    """A recipient that a user may read. entity_id: its notify entity if the user may also write to it."""

    entry: ConfigEntry[Any]
    subentry: ConfigSubentry
    entity_id: str | None

    @property
    def number(self) -> str:
        """The number, in comparable form."""
        return str(self.subentry.data[CONF_NUMBER])


@dataclass(frozen=True)
class ConversationKey:
    """A conversation as a user sees it.

    id: of the recipient, or the number if it belongs to none. contacts: the recipients with this number, one for each
    account.
    """

    id: str = field(repr=False)
    party: Party
    contacts: tuple[Contact, ...] = ()

    @property
    def name(self) -> str | None:
        """The name of the recipient."""
        return self.contacts[0].subentry.title if self.contacts else None


class Viewer:
    """A user, and what the user may read and write at this moment."""

    def __init__(self, hass: HomeAssistant, user: User) -> None:
        self.user = user
        self.is_admin = user.is_admin
        self._hass = hass
        self._entities = er.async_get(hass)
        self._entries = hass.config_entries.async_entries(DOMAIN)

    @cached_property
    def contacts(self) -> list[Contact]:
        """The recipients whose conversations the user may read."""
        found = (self._contact(entry, one) for entry in self._entries for one in recipients(entry))
        return list(filter(None, found))

    def conversation(self, number: str) -> ConversationKey | None:
        """Return the conversation with a number, None if the user may not read it."""
        number = comparable_number(number)
        contacts = tuple(self._contacts_of(number))
        if self.is_admin:
            return ConversationKey(contacts[0].subentry.subentry_id if contacts else number, Party(number), contacts)
        if not contacts:
            return None
        entries = tuple(contact.entry.entry_id for contact in contacts)
        return ConversationKey(contacts[0].subentry.subentry_id, Party(number, entries), contacts)

    def find(self, conversation_id: str) -> ConversationKey | None:
        """Return the conversation with this id, None if the user may not read it."""
        for contact in self.contacts:
            if contact.subentry.subentry_id == conversation_id:
                return self.conversation(contact.number)
        return self.conversation(conversation_id) if self.is_admin else None

    def parties(self) -> list[Party] | None:
        """Return the conversations that the user may read, None for all."""
        if self.is_admin:
            return None
        numbers = dict.fromkeys(contact.number for contact in self.contacts)
        return [key.party for number in numbers if (key := self.conversation(number))]

    def numbers_named(self, search: str) -> list[str]:
        """Return the numbers of the recipients whose name contains a text."""
        wanted = search.casefold()
        return [contact.number for contact in self.contacts if wanted in contact.subentry.title.casefold()]

    def shown(self, number: str) -> str:
        """Return a number as the user may see it."""
        return number if self.is_admin else mask_number(number)

    def may_write(self, entry_id: str, number: str) -> bool:
        """Return whether the user may send to a number with an account."""
        return self.is_admin or any(
            contact.entity_id is not None and contact.entry.entry_id == entry_id
            for contact in self._contacts_of(comparable_number(number))
        )

    def may_read(self, entity_id: str) -> bool:
        """Return whether the user may read an entity."""
        return self.is_admin or self._may([entity_id], POLICY_READ)

    def may_read_group(self, entry_id: str, group_id: str) -> bool:
        """Return whether the user may read the alarms of a group."""
        return self._may_read_all(self._ids(entry_id, group_id, _GROUP_ENTITIES))

    def may_control_group(self, entry_id: str, group_id: str) -> bool:
        """Return whether the user may acknowledge and resolve the alarms of a group."""
        return self.is_admin or self._usable(self._ids(entry_id, group_id, _GROUP_ENTITIES)[0]) is not None

    def _contacts_of(self, number: str) -> Iterator[Contact]:
        """Yield the recipients with a number whose conversation the user may read."""
        for entry in self._entries:
            subentry = find_recipient(entry, number)
            if subentry is not None and (contact := self._contact(entry, subentry)):
                yield contact

    def _contact(self, entry: ConfigEntry[Any], subentry: ConfigSubentry) -> Contact | None:
        ids = self._ids(entry.entry_id, subentry.subentry_id, _ENTITIES)
        return Contact(entry, subentry, self._usable(ids[0])) if self._may_read_all(ids) else None

    def _ids(self, entry_id: str, subentry_id: str, entities: _Entities) -> list[str | None]:
        return [
            self._entities.async_get_entity_id(platform, DOMAIN, f"{entry_id}_{subentry_id}_{key}")
            for platform, key in entities
        ]

    def _may_read_all(self, ids: list[str | None]) -> bool:
        return self.is_admin or (any(ids) and self._may(ids, POLICY_READ))

    def _usable(self, notify: str | None) -> str | None:
        """Return a notify entity if the user may write to it."""
        entity = self._entities.async_get(notify) if notify else None
        may_write = entity is not None and not entity.disabled and self._may([notify], POLICY_CONTROL)
        return notify if may_write else None

    def _may(self, entity_ids: Iterable[str | None], policy: str) -> bool:
        permissions = self.user.permissions
        return all(permissions.check_entity(entity_id, policy) for entity_id in entity_ids if entity_id)
