"""What an account has asked lately, kept over a reload and a restart: an answer that comes after it must say so."""

from __future__ import annotations

from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from ..const import DOMAIN
from .engine import Memory

_VERSION: Final = 1
_SAVE_DELAY: Final = 1.0  # seconds
_MEMORIES: HassKey[dict[str, Memory]] = HassKey(f"{DOMAIN}_questions")


def now() -> float:
    """Return the time by which questions are remembered, in seconds since 1970."""
    return dt_util.utcnow().timestamp()


async def async_memory(hass: HomeAssistant, entry_id: str) -> Memory:
    """Return what an account has asked, in this run of Home Assistant or before."""
    memories = hass.data.setdefault(_MEMORIES, {})
    if entry_id not in memories:
        store = _store(hass, entry_id)

        def changed() -> None:
            store.async_delay_save(lambda: memory.as_json(now()), _SAVE_DELAY)

        memories[entry_id] = memory = Memory(await store.async_load(), changed)
    return memories[entry_id]


async def async_remove_questions(hass: HomeAssistant, entry_id: str) -> None:
    """Forget what was kept of an account that is no more."""
    hass.data.get(_MEMORIES, {}).pop(entry_id, None)
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, Any]]:
    return Store(hass, _VERSION, f"{DOMAIN}.questions.{entry_id}", private=True, atomic_writes=True)
