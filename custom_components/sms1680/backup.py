"""Lets Home Assistant's backup copy a message store that is whole, while messages go on coming in."""

from __future__ import annotations

import logging

from homeassistant.core import HomeAssistant

from .store.db import StoreError
from .store.manager import DATA_STORE

_LOGGER = logging.getLogger(__name__)


async def async_pre_backup(hass: HomeAssistant) -> None:
    """Leave the file alone from now on."""
    await _async_backup(hass, begin=True)


async def async_post_backup(hass: HomeAssistant) -> None:
    """Write into the file again."""
    await _async_backup(hass, begin=False)


async def _async_backup(hass: HomeAssistant, *, begin: bool) -> None:
    try:
        await hass.data[DATA_STORE].async_backup(begin=begin)
    except StoreError as error:
        # The rest of the backup is worth having without it.
        _LOGGER.warning("The message store could not be prepared for the backup (%s)", error)
