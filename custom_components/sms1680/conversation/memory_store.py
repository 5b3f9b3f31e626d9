"""The question histories of all accounts. They survive reloads and restarts, so that late answers are recognised."""

import logging
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from ..const import DOMAIN
from .engine import QuestionHistory

_LOGGER = logging.getLogger(__name__)

_VERSION: Final = 1
_SAVE_DELAY: Final = 1.0  # seconds
_HISTORIES: HassKey[dict[str, tuple[QuestionHistory, Store[dict[str, Any]]]]] = HassKey(f"{DOMAIN}_questions")


def now() -> float:
    """Return the current time for questions, in seconds since 1970."""
    return dt_util.utcnow().timestamp()


async def async_get_history(hass: HomeAssistant, entry_id: str) -> QuestionHistory:
    """Return the question history of an account. Load it on the first call."""
    histories = hass.data.setdefault(_HISTORIES, {})
    if entry_id not in histories:
        store = _store(hass, entry_id)

        def save() -> None:
            store.async_delay_save(lambda: history.as_json(now()), _SAVE_DELAY)

        stored = await store.async_load()
        try:
            history = QuestionHistory(stored, save)
        except (KeyError, TypeError):
            _LOGGER.error("The questions were stored by another version in a form that this version cannot read")  # noqa: TRY400
            history = QuestionHistory(None, save)
        histories[entry_id] = history, store
    return histories[entry_id][0]


async def async_remove_questions(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the question history of a removed account, and what was still to be saved."""
    _, store = hass.data.get(_HISTORIES, {}).pop(entry_id, (None, _store(hass, entry_id)))
    await store.async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, Any]]:
    return Store(hass, _VERSION, f"{DOMAIN}.questions.{entry_id}", private=True, atomic_writes=True)
