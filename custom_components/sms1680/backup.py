"""Keep the file of the message store consistent while Home Assistant creates a backup."""

import logging

from homeassistant.core import HomeAssistant

from .store.db import StoreError
from .store.manager import DATA_STORE

_LOGGER = logging.getLogger(__name__)


async def async_pre_backup(hass: HomeAssistant) -> None:
    """Stop writing to the file."""
    await _async_backup(hass, begin=True)


async def async_post_backup(hass: HomeAssistant) -> None:
    """Resume writing to the file."""
    await _async_backup(hass, begin=False)


async def _async_backup(hass: HomeAssistant, *, begin: bool) -> None:
    try:
        await hass.data[DATA_STORE].async_backup(begin=begin)
    except StoreError as error:
        # The rest of the backup is still useful.
        _LOGGER.warning("Could not prepare the message store for the backup (%s)", error)
