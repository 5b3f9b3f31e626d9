"""A file in `.storage` that is read once while Home Assistant runs, however often its account is set up."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, override

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.json import json_bytes
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.json import json_loads

from ..const import DOMAIN

# By the key of the store: returns what was last read or saved.
_CONTENTS: HassKey[dict[str, Callable[[], Any]]] = HassKey(f"{DOMAIN}_stored")


class CachedStore[T: Mapping[str, Any] | Sequence[Any]](Store[T]):
    """A store whose content stays in memory for the next instance with the same key.

    So a reload reads no file, and finds what the account before it had still to save.
    """

    def __init__(self, hass: HomeAssistant, version: int, key: str, *, private: bool = False) -> None:
        super().__init__(hass, version, key, private, atomic_writes=private)
        self._contents = hass.data.setdefault(_CONTENTS, {})

    @override
    async def async_load(self) -> T | None:
        """Return the content. Each call returns a copy, as if it came from the file."""
        if (content := self._contents.get(self.key)) is None:
            data = await super().async_load()
            self._contents.setdefault(self.key, lambda: data)
            content = self._contents[self.key]
        copy: Any = json_loads(json_bytes(content()))
        return copy  # type: ignore[no-any-return]

    @override
    async def async_save(self, data: T) -> None:
        """Save the content now."""
        self._contents[self.key] = lambda: data
        await super().async_save(data)

    @override
    @callback
    def async_delay_save(self, data_func: Callable[[], T], delay: float = 0) -> None:
        """Save soon what the function returns then."""
        self._contents[self.key] = data_func
        super().async_delay_save(data_func, delay)

    @override
    async def async_remove(self) -> None:
        """Delete the file."""
        self._contents.pop(self.key, None)
        await super().async_remove()
