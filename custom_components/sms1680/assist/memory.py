"""The memory of Assist by SMS that survives a restart: its recent answers to each phone, and unfinished ones.

It stores neither numbers nor texts.
"""

import logging
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from ..client.outcomes import Language
from ..const import DOMAIN
from ..store.cached_store import CachedStore
from .texts import Phrase

_LOGGER = logging.getLogger(__name__)

_VERSION: Final = 1
HOUR: Final = timedelta(hours=1)
_LONGEST_PAUSE: Final = timedelta(days=1)


class _StoredPhone(TypedDict):
    answered: list[float]
    said: dict[str, float]


class _StoredQuestion(TypedDict):
    recipient: str
    asked_at: float
    lang: Language


@dataclass(slots=True)
class PhoneMemory:
    """Answers to one recipient. answered: their times in the last hour. said: when each notice was last sent."""

    answered: deque[datetime] = field(default_factory=deque)
    said: dict[Phrase, datetime] = field(default_factory=dict)

    def may_say(self, notice: Phrase, now: datetime, pause: timedelta) -> bool:
        """Return whether a notice is due again, and note that it is sent."""
        if notice in self.said and timedelta(0) <= now - self.said[notice] < pause:
            return False
        self.said[notice] = now
        return True

    def answers_within_the_hour(self, now: datetime) -> int:
        """Return how many answers the last hour had, and forget earlier ones."""
        while self.answered and not timedelta(0) <= now - self.answered[0] < HOUR:
            self.answered.popleft()
        return len(self.answered)


@dataclass(frozen=True, slots=True)
class UnansweredQuestion:
    """A question that an agent was asked when Home Assistant or the account stopped. recipient: the subentry."""

    recipient: str
    asked_at: datetime
    lang: Language


class AssistMemory:
    """The memory of one account. phones: by the subentry of the recipient."""

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        self._store = _store(hass, entry_id)
        self.phones: dict[str, PhoneMemory] = {}
        self._under_way: dict[str, UnansweredQuestion] = {}

    async def async_load(self) -> None:
        """Load the memory. One that cannot be read must not keep the account from loading."""
        stored = await self._store.async_load() or {"phones": {}, "under_way": {}}
        try:
            self._read(stored)
        except (AttributeError, KeyError, TypeError, ValueError):
            _LOGGER.error("The memory of Assist was stored by another version in a form that this version cannot read")  # noqa: TRY400

    def _read(self, stored: Any) -> None:  # noqa: ANN401 - it can come from another version
        for recipient, phone in stored["phones"].items():
            self.phones[recipient] = PhoneMemory(
                deque(map(dt_util.utc_from_timestamp, phone["answered"])),
                {Phrase[name]: dt_util.utc_from_timestamp(at) for name, at in phone["said"].items()},
            )
        for name, one in stored["under_way"].items():
            asked_at = dt_util.utc_from_timestamp(one["asked_at"])
            self._under_way[name] = UnansweredQuestion(one["recipient"], asked_at, one["lang"])

    @property
    def under_way(self) -> dict[str, UnansweredQuestion]:
        """The questions that are not answered yet."""
        return dict(self._under_way)

    def phone(self, recipient: str) -> PhoneMemory:
        """Return the memory of a recipient."""
        return self.phones.setdefault(recipient, PhoneMemory())

    async def async_begin(self, name: str, question: UnansweredQuestion) -> None:
        """Note on the disk that an agent is about to be asked."""
        self._under_way[name] = question
        await self.async_save()

    async def async_end(self, name: str) -> None:
        """Note on the disk that the question was answered."""
        del self._under_way[name]
        await self.async_save()

    async def async_save(self) -> None:
        """Store the memory now."""
        now = dt_util.utcnow()
        phones: dict[str, _StoredPhone] = {}
        for recipient, phone in self.phones.items():
            said = {notice: at for notice, at in phone.said.items() if now - at < _LONGEST_PAUSE}
            if phone.answers_within_the_hour(now) or said:
                phones[recipient] = {
                    "answered": [at.timestamp() for at in phone.answered],
                    "said": {notice.name: at.timestamp() for notice, at in said.items()},
                }
        under_way: dict[str, _StoredQuestion] = {
            name: {"recipient": one.recipient, "asked_at": one.asked_at.timestamp(), "lang": one.lang}
            for name, one in self._under_way.items()
        }
        await self._store.async_save({"phones": phones, "under_way": under_way})

    def forget_recipients(self, known: Collection[str]) -> None:
        """Forget the recipients that were removed from the account."""
        for recipient in self.phones.keys() - set(known):
            del self.phones[recipient]


async def async_remove_memory(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the memory of a removed account."""
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> CachedStore[Any]:
    return CachedStore.of(hass, _VERSION, f"{DOMAIN}.assist.{entry_id}", private=True)
