"""Keeps our push addresses, and what is pushed to them, out of what Home Assistant and aiohttp log of requests.

Home Assistant's filter logs the whole address of what it refuses, at WARNING, with the secret, the number and the text;
other loggers name addresses at DEBUG. That warning is also all that is left of a push that was refused so: whoever sets
this up is told whose it was.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable
from typing import Final, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_WEBHOOK_ID, EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from ..const import CONF_PUSH_SECRET, DOMAIN, PUSH_PATH

_REFUSES: Final = "homeassistant.components.http.security_filter"
# Those that name a request's address or quote a request. A filter is asked for what is logged by its own logger only.
_LOGGERS: Final = (
    "aiohttp.access",
    "aiohttp.server",
    "aiohttp.web",
    "homeassistant.components.http.ban",
    _REFUSES,
    "homeassistant.components.webhook",
    "homeassistant.helpers.http",
)
_OURS: Final = PUSH_PATH.partition("{")[0]
_PUSHED: Final = "mobile="  # in each push, and in one to a webhook of ours that is no more
_WORD: Final = re.compile(r"[^\s'\"]+")
_ADDRESS: Final = re.compile(r"/api/(?:sms1680|webhook)/")
_MASKED: Final = "****"

type OnRefused = Callable[[str], None]


class _AddressFilter(logging.Filter):
    """Masks whatever a record says of a push."""

    def __init__(self, hass: HomeAssistant, on_refused: OnRefused) -> None:
        super().__init__()
        self._hass = hass
        self._on_refused = on_refused
        # Each that was ever known in this run: what the platform still pushes to an old address is as private. With
        # the entry whose it is now.
        self._secrets: dict[str, str | None] = {}

    @callback
    def know(self, entry: ConfigEntry) -> None:
        """Know an entry's secrets from now on; those that it had are nobody's."""
        # Another one: a thread may be looking through the former.
        secrets = {secret: None if of == entry.entry_id else of for secret, of in self._secrets.items()}
        secrets[entry.data[CONF_WEBHOOK_ID]] = secrets[entry.data[CONF_PUSH_SECRET]] = entry.entry_id
        self._secrets = secrets

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and self._is_of_a_push(str(error)):
            record.exc_info = record.exc_text = None  # a traceback would quote the request
        if self._is_of_a_push(message):
            if record.name == _REFUSES:
                self._tell(message)
            record.msg, record.args = _WORD.sub(self._mask, message), ()
        return True

    def _is_of_a_push(self, text: str) -> bool:
        return _OURS in text or _PUSHED in text or any(secret in text for secret in self._secrets)

    def _mask(self, word: re.Match[str]) -> str:
        if not self._is_of_a_push(word[0]):
            return word[0]
        address = _ADDRESS.search(word[0])
        return f"{word[0][: address.end()] if address else ''}{_MASKED}"

    def _tell(self, message: str) -> None:
        """Tell whose push it was; later, and in the loop: who logs must not wait for that, nor log by it."""
        for secret, entry_id in self._secrets.items():
            if entry_id is not None and secret in message:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._hass.loop.call_soon_threadsafe(self._on_refused, entry_id)


_DATA_FILTER: HassKey[_AddressFilter] = HassKey(f"{DOMAIN}_log_filter")


@callback
def async_keep_out_of_logs(hass: HomeAssistant, on_refused: OnRefused) -> None:
    """Mask pushes in the logs from now on.

    on_refused: called with the entry's id when Home Assistant's own filter has refused one.
    """
    hass.data[_DATA_FILTER] = address_filter = _AddressFilter(hass, on_refused)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(address_filter)

    @callback
    def end(_: Event) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(address_filter)

    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, end)


@callback
def async_mask_secrets(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Mask an entry's secrets in the logs from now on, even once it has others or is no more."""
    hass.data[_DATA_FILTER].know(entry)
