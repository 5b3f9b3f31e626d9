"""The words that the platform refused, remembered for each account so that the next text can be warned of."""

from __future__ import annotations

import re
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.storage import Store

from ..const import DOMAIN

_VERSION: Final = 1
_SAVE_DELAY: Final = 10  # seconds
_MOST: Final = 200
_LONGEST: Final = 30
_BETWEEN: Final = re.compile(r"[,，;；、|\s]+")


class RefusedWords:
    """The words of one account, the latest last; as many as 200, the oldest are forgotten."""

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        self._store = _store(hass, entry_id)
        self._words: dict[str, None] = {}

    async def async_load(self) -> None:
        """Take up what was kept."""
        self._words = dict.fromkeys(await self._store.async_load() or [])

    @property
    def words(self) -> list[str]:
        """The words, the latest last."""
        return list(self._words)

    @callback
    def learn(self, told: str | None, text: str) -> None:
        """Remember the words that the platform named in its refusal of a text; what is not in the text is none."""
        lowered = text.casefold()
        named = [
            word for word in _BETWEEN.split(told or "") if 0 < len(word) <= _LONGEST and word.casefold() in lowered
        ]
        if not named:
            return
        for word in named:
            self._words.pop(word, None)
            self._words[word] = None
        while len(self._words) > _MOST:
            del self._words[next(iter(self._words))]
        self._store.async_delay_save(lambda: self.words, _SAVE_DELAY)


async def async_remove_refused_words(hass: HomeAssistant, entry_id: str) -> None:
    """Forget what was kept of an account that is no more."""
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> Store[list[str]]:
    return Store(hass, _VERSION, f"{DOMAIN}.refused_words.{entry_id}")
