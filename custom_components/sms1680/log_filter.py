"""Keeps our push addresses out of what Home Assistant and aiohttp log of requests.

Home Assistant's filter logs the whole address of what it refuses, at WARNING, with the secret, the number and the text;
other loggers name addresses at DEBUG.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import override

from homeassistant.const import CONF_WEBHOOK_ID
from homeassistant.core import HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from .const import CONF_PUSH_SECRET, DOMAIN
from .receiving import Receivers, async_get_receivers

# Those that name a request's address or quote a request. A filter is asked for what is logged by its own logger only.
_LOGGERS = (
    "aiohttp.access",
    "aiohttp.server",
    "aiohttp.web",
    "homeassistant.components.http.ban",
    "homeassistant.components.http.security_filter",
    "homeassistant.components.webhook",
    "homeassistant.helpers.http",
)
_ADDRESS = re.compile(r"(/api/(?:sms1680|webhook)/)[^\s'\"]*")
_MASKED = "****"
_DATA_FILTER: HassKey[_AddressFilter] = HassKey(f"{DOMAIN}_log_filter")


class _AddressFilter(logging.Filter):
    """Masks records that hold a secret of ours."""

    def __init__(self, receivers: Receivers) -> None:
        super().__init__()
        self._receivers = receivers

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        secrets = list(self._secrets())
        if error is not None and _names(str(error), secrets):
            record.exc_info = record.exc_text = None  # a traceback would quote the request
        if _names(message, secrets):
            message = _ADDRESS.sub(rf"\1{_MASKED}", message)
            for secret in secrets:
                message = message.replace(secret, _MASKED)
            record.msg, record.args = message, ()
        return True

    def _secrets(self) -> Iterable[str]:
        for receiver in self._receivers.of.values():
            data = receiver.entry.data
            yield from (data[CONF_WEBHOOK_ID], data[CONF_PUSH_SECRET])


@callback
def async_keep_out_of_logs(hass: HomeAssistant) -> None:
    """Mask our addresses in the logs from now on."""
    if _DATA_FILTER not in hass.data:
        hass.data[_DATA_FILTER] = address_filter = _AddressFilter(async_get_receivers(hass))
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(address_filter)


def _names(text: str, secrets: Iterable[str]) -> bool:
    return any(secret in text for secret in secrets)
