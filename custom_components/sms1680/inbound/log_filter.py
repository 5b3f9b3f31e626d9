"""Mask pushes and calls of our actions in the logs of Home Assistant and aiohttp.

Home Assistant's security filter logs the complete address of each request that it rejects, at WARNING, with the secret,
the number and the text. Other loggers name addresses at DEBUG. That warning is also the only trace of a rejected push,
so the filter reports which account the push belonged to.

Home Assistant's core logs the data of each failed call that nobody waits for, at ERROR. `alert:` calls in this way.
"""

import contextlib
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Final, override
from urllib.parse import unquote

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_WEBHOOK_ID, EVENT_HOMEASSISTANT_CLOSE, Platform
from homeassistant.core import Event, HomeAssistant, ServiceCall, ServiceRegistry, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.util.hass_dict import HassKey

from ..const import CONF_PUSH_SECRET, DOMAIN, PUSH_PATH

_SECURITY_FILTER: Final = "homeassistant.components.http.security_filter"
_SERVER: Final = "aiohttp.server"
# Loggers that name a request's address or quote a request. A filter applies to records of its own logger only.
_LOGGERS: Final = (
    "aiohttp.access",
    _SERVER,
    "aiohttp.web",
    "homeassistant.components.http.ban",
    _SECURITY_FILTER,
    "homeassistant.components.webhook",
    "homeassistant.helpers.http",
)
# The loggers of failed calls, and of errors in listeners, which are logged with everything that they were given.
_CORE: Final = ("homeassistant.core", "homeassistant.helpers.dispatcher", "homeassistant.util.logging")
_OUR_CODE: Final = __name__.removesuffix(".inbound.log_filter")
_CALLED: Final = frozenset({DOMAIN, str(Platform.NOTIFY)})  # the domains whose calls can carry our messages
# An event of ours, a call or a state, as the core quotes events at DEBUG.
_EVENT: Final = re.compile(
    rf"<Event (?:{DOMAIN}_\w+|call_service|state_\w+)\[\w\](?:: domain=(\w+), service=\w+|: entity_id=([\w.]+))?"
)
_DISPATCHED: Final = re.compile(rf"Exception in .* when dispatching '{DOMAIN}_\w+'")
_PUSH_PREFIX: Final = PUSH_PATH.partition("{")[0]
_PUSH_FIELD: Final = "mobile="  # part of each push, also of one to a deleted webhook
_ADDRESS: Final = re.compile(r"/api/(?:sms1680|webhook)/")
_MASKED: Final = "****"

type OnRejected = Callable[[str], None]


class _PushFilter(logging.Filter):
    """Masks everything that belongs to a push."""

    def __init__(self, hass: HomeAssistant, on_rejected: OnRejected) -> None:
        super().__init__()
        self._hass = hass
        self._on_rejected = on_rejected
        # Every secret of this run, with the id of the entry that has it now. Old secrets stay masked, because the
        # platform may still push to an old address.
        self._secrets: dict[str, str | None] = {}

    @callback
    def add(self, entry: ConfigEntry) -> None:
        """Mask an entry's secrets. Its earlier secrets stay masked, but no longer identify the entry."""
        # Replace the dictionary, because another thread could be iterating over it.
        secrets = {secret: None if owner == entry.entry_id else owner for secret, owner in self._secrets.items()}
        secrets[entry.data[CONF_WEBHOOK_ID]] = secrets[entry.data[CONF_PUSH_SECRET]] = entry.entry_id
        self._secrets = secrets

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and self._is_private(str(error)):
            record.exc_info = record.exc_text = None  # a traceback would quote the request
            if record.name == _SERVER:
                self._report(str(error))  # its parser rejects raw octets and blanks in an address
        if self._is_private(message):
            if record.name == _SECURITY_FILTER:
                self._report(message)
            self._mask(record)
        return True

    def _is_private(self, text: str) -> bool:
        return any(mark in form for form in (text, unquote(text)) for mark in self._marks())

    def _marks(self) -> Iterator[str]:
        """Yield what only a push contains."""
        yield _PUSH_PREFIX
        yield _PUSH_FIELD
        yield from self._secrets

    def _mask(self, record: logging.LogRecord) -> None:
        """Mask each argument that belongs to a push, or else the end of the message.

        The whole argument is masked. A text can contain quotes, blanks and line breaks, so its end cannot be found.
        """
        match record.args:
            case tuple() as args if args:
                record.args = tuple(map(self._masked, args))
            case dict() as fields:
                record.args = {name: self._masked(value) for name, value in fields.items()}
        message = record.getMessage()
        if self._is_private(message):
            record.msg, record.args = self._masked(message), ()

    def _masked(self, value: object) -> object:
        text = str(value)
        if not self._is_private(text):
            return value
        address = _ADDRESS.search(text)
        # The address of a request, or what comes before it, in a message that has no arguments.
        shown = text[: address.end()] if address else ""
        return _MASKED if self._is_private(shown.removesuffix(_PUSH_PREFIX)) else f"{shown}{_MASKED}"

    def _report(self, message: str) -> None:
        """Report the entry of a rejected push from the event loop, so that logging neither waits nor logs again."""
        plain = unquote(message)
        for secret, entry_id in self._secrets.items():
            if entry_id is not None and secret in plain:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._hass.loop.call_soon_threadsafe(self._on_rejected, entry_id)


class _CallFilter(logging.Filter):
    """Masks the data of calls that carry a message of ours, and of our events, event entities and signals."""

    def __init__(self, hass: HomeAssistant) -> None:
        super().__init__()
        self._hass = hass

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        match record.args:
            case (ServiceCall() as call,):
                if call.domain in _CALLED if error is None else call.domain == DOMAIN or _is_ours(error):
                    masked = f"<ServiceCall {call.domain}.{call.service} (c:{call.context.id}): {_MASKED}>"
                    record.args = (masked,)
            case (str(domain), str(service), dict()) if domain in _CALLED:
                record.args = (domain, service, _MASKED)
            case (str(text),) if event := _EVENT.match(text):
                if self._is_about_us(*event.groups()):
                    record.args = (f"{event[0]} {_MASKED}>",)
            case (str(text), str(trace)) if signal := _DISPATCHED.match(text):
                record.args = (f"{signal[0]}: {_MASKED}", trace)
        return True

    def _is_about_us(self, domain: str | None, entity_id: str | None) -> bool:
        """Return whether an event is about a call with this domain, about an entity of ours, or of our own type."""
        if entity_id is not None:
            entity = er.async_get(self._hass).async_get(entity_id)
            return entity is not None and entity.platform == DOMAIN
        return domain is None or domain in _CALLED


def _is_ours(error: BaseException | None) -> bool:
    """Return whether an error comes from our code, or from the check of a call of our actions."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if str(frame.f_globals.get("__name__")).startswith(_OUR_CODE):
                return True
            if frame.f_code is ServiceRegistry.async_call.__code__ and frame.f_locals.get("domain") == DOMAIN:
                return True
        error = error.__cause__ or error.__context__
    return False


_DATA_FILTER: HassKey[_PushFilter] = HassKey(f"{DOMAIN}_log_filter")


@callback
def async_setup_log_filter(hass: HomeAssistant, on_rejected: OnRejected) -> None:
    """Mask pushes and calls in the logs from now on.

    on_rejected: called with the entry's id when Home Assistant's security filter has rejected one of its pushes.
    """
    hass.data[_DATA_FILTER] = push_filter = _PushFilter(hass, on_rejected)
    filters: list[tuple[str, logging.Filter]] = [(name, push_filter) for name in _LOGGERS]
    filters += [(name, _CallFilter(hass)) for name in _CORE]
    for name, log_filter in filters:
        logging.getLogger(name).addFilter(log_filter)

    @callback
    def remove(_: Event) -> None:
        for name, log_filter in filters:
            logging.getLogger(name).removeFilter(log_filter)

    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, remove)


@callback
def async_mask_secrets(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Mask an entry's secrets in the logs from now on, even after the entry changes or is removed."""
    hass.data[_DATA_FILTER].add(entry)
