"""Mask the commands of the page in the log of the websocket API, which quotes everything at DEBUG."""

import logging
from typing import Any, Final, override

from homeassistant.const import EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import Event, HomeAssistant, callback

from ..const import DOMAIN

_LOGGER_NAME: Final = "homeassistant.components.websocket_api.http.connection"
_MASKED: Final = "****"
# Each result and event of the page has this field, by which the filter recognises it.
MARK: Final = {"domain": DOMAIN}


class _PageFilter(logging.Filter):
    @override
    def filter(self, record: logging.LogRecord) -> bool:
        arguments: Any = record.args
        if isinstance(arguments, tuple) and len(arguments) == 2 and DOMAIN in str(arguments[1]):
            record.args = (arguments[0], _MASKED)
        return True


@callback
def async_setup_log_filter(hass: HomeAssistant) -> None:
    """Mask the commands until Home Assistant closes."""
    logger, log_filter = logging.getLogger(_LOGGER_NAME), _PageFilter()
    logger.addFilter(log_filter)

    @callback
    def remove(_: Event) -> None:
        logger.removeFilter(log_filter)

    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, remove)
