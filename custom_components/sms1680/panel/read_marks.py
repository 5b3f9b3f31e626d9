"""How far each user has read each conversation. The file contains digests instead of numbers."""

import hashlib
from secrets import token_hex
from typing import Final, TypedDict

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from ..const import DOMAIN
from ..store.db.records import to_micros

_VERSION: Final = 1
_SAVE_DELAY: Final = 2.0  # seconds
_MAX_MARKS: Final = 1000  # of each user
_FIRST: Final = ""  # the mark of all conversations without one: the first visit


class _Stored(TypedDict):
    key: str
    users: dict[str, dict[str, int]]


class ReadMarks:
    """The marks of all users: by user, the time until which each conversation was read, in microseconds."""

    def __init__(self, hass: HomeAssistant) -> None:
        self._hass = hass
        self._store: Store[_Stored] = Store(hass, _VERSION, f"{DOMAIN}.read_marks", private=True, atomic_writes=True)
        self._data: _Stored = {"key": "", "users": {}}

    async def async_load(self) -> None:
        """Load the marks."""
        self._data = await self._store.async_load() or {"key": token_hex(16), "users": {}}

    @callback
    def get(self, user_id: str, number: str) -> int:
        """Return the time until which a user has read a conversation. The first visit marks everything as read."""
        marks = self._marks(user_id)
        return marks.get(self._digest(number), marks[_FIRST])

    @callback
    def set(self, user_id: str, number: str, until: int) -> bool:
        """Mark a conversation as read until a time. Return whether that changes the mark."""
        if until <= self.get(user_id, number):
            return False
        marks = self._marks(user_id)
        digest = self._digest(number)
        marks.pop(digest, None)
        marks[digest] = until
        while len(marks) > _MAX_MARKS:
            del marks[next(name for name in marks if name != _FIRST)]
        self._save()
        return True

    def _marks(self, user_id: str) -> dict[str, int]:
        users = self._data["users"]
        if user_id not in users:
            users[user_id] = {_FIRST: to_micros(dt_util.utcnow())}
            self._save()
        return users[user_id]

    def _digest(self, number: str) -> str:
        return hashlib.blake2s(number.encode(), key=self._data["key"].encode()[:32], digest_size=8).hexdigest()

    def _save(self) -> None:
        self._store.async_delay_save(lambda: self._data, _SAVE_DELAY)


_MARKS: HassKey[ReadMarks] = HassKey(f"{DOMAIN}_read_marks")


async def async_get_read_marks(hass: HomeAssistant) -> ReadMarks:
    """Return the marks. Load them on the first call."""
    if _MARKS not in hass.data:
        marks = ReadMarks(hass)
        await marks.async_load()
        hass.data.setdefault(_MARKS, marks)
    return hass.data[_MARKS]
