"""Words that the platform refused, stored per account so that `estimate` can warn about them."""

import re
from typing import Final

from homeassistant.core import HomeAssistant, callback

from ..client.bounded import BoundedDict
from ..const import DOMAIN
from ..store.cached_store import CachedStore

_VERSION: Final = 1
_SAVE_DELAY: Final = 10  # seconds
_MAX_WORDS: Final = 200
_MAX_LENGTH: Final = 30
_SEPARATORS: Final = re.compile(r"[,，;；、|\s]+")


class RefusedWords:
    """The refused words of one account: at most 200, the newest last."""

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        self._store = _store(hass, entry_id)
        self._words = BoundedDict[str, None](_MAX_WORDS)

    async def async_load(self) -> None:
        """Load the stored words."""
        self._words.update(dict.fromkeys(await self._store.async_load() or []))

    @property
    def words(self) -> list[str]:
        """The words, the newest last."""
        return list(self._words)

    @callback
    def learn(self, detail: str | None, text: str) -> None:
        """Store the words that the platform named when it refused a text, as far as they occur in the text."""
        lowered = text.casefold()
        words = (word for word in _SEPARATORS.split(detail or "") if 0 < len(word) <= _MAX_LENGTH)
        named = [word for word in words if word.casefold() in lowered]
        if not named:
            return
        for word in named:
            self._words[word] = None
        self._store.async_delay_save(lambda: self.words, _SAVE_DELAY)


async def async_remove_refused_words(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the stored words of a removed account."""
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> CachedStore[list[str]]:
    return CachedStore.of(hass, _VERSION, f"{DOMAIN}.refused_words.{entry_id}")
