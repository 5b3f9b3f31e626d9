"""A file in `.storage` that is read once while Home Assistant runs, however often its account is set up."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, override

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.json import json_bytes
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.json import json_loads

from ..const import DOMAIN

_STORES: HassKey[dict[str, "CachedStore[Any]"]] = HassKey(f"{DOMAIN}_stores")


class CachedStore[T: Mapping[str, Any] | Sequence[Any]](Store[T]):
    """A store whose content stays in memory. An account that is loaded again gets the one it had: see `of`.

    So a reload reads no file and finds what was still to be saved, and nothing is saved after the removal.
    """

    _content: Callable[[], Any] | None = None
    _is_removed = False

    @classmethod
    def of(cls, hass: HomeAssistant, version: int, key: str, *, private: bool = False) -> Self:
        """Return the store with this key."""
        stores: dict[str, Any] = hass.data.setdefault(_STORES, {})
        if key not in stores:
            stores[key] = cls(hass, version, key, private, atomic_writes=private)
        store: Self = stores[key]
        return store

    @override
    async def async_load(self) -> T | None:
        """Return the content. Each call returns a copy, as if it came from the file."""
        if self._content is None:
            data = await super().async_load()
            self._content = self._content or (lambda: data)  # something can have been saved meanwhile
        copy: Any = json_loads(json_bytes(self._content()))
        return copy  # type: ignore[no-any-return]

    @override
    async def async_save(self, data: T) -> None:
        """Save the content now."""
        if not self._is_removed:
            self._content = lambda: data
            await super().async_save(data)

    @override
    @callback
    def async_delay_save(self, data_func: Callable[[], T], delay: float = 0) -> None:
        """Save soon what the function returns then."""
        if not self._is_removed:
            self._content = data_func
            super().async_delay_save(data_func, delay)

    @override
    async def async_remove(self) -> None:
        """Delete the file for good."""
        self._is_removed = True
        self.hass.data[_STORES].pop(self.key, None)
        await super().async_remove()
