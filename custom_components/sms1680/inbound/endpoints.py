"""Register the addresses that the platform pushes to, from Home Assistant's start until an entry is removed.

Each account has a webhook, and `/api/sms1680/<secret>/<channel>/mr` and `/mo` (docs/protocol.md, section 2). Each
address takes GET and POST, uplinks and delivery reports. An account's own listener serves the same addresses.
"""

import hmac
import logging
from collections.abc import Awaitable
from http import HTTPStatus

from aiohttp import web
from aiohttp.hdrs import METH_GET, METH_POST, METH_PUT
from homeassistant.components import webhook
from homeassistant.components.http import KEY_HASS, HomeAssistantView
from homeassistant.const import CONF_WEBHOOK_ID, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from ..const import CONF_LISTENER_PORT, CONF_PUSH_SECRET, DOMAIN, PUSH_PATH
from ..coordinator import Sms1680ConfigEntry
from ..issues import LISTENER_PORT, REFUSED_PUSH
from .http_handler import Request, async_handle_push
from .listener import Listener
from .log_filter import async_mask_secrets, async_setup_log_filter
from .models import InboundSource
from .registry import async_get_registry

_LOGGER = logging.getLogger(__name__)

_NAME = "SMS 1680"

# By entry id: the registered webhook's id, and the open listener.
_WEBHOOKS: HassKey[dict[str, str]] = HassKey(f"{DOMAIN}_webhooks")
_LISTENERS: HassKey[dict[str, Listener]] = HassKey(f"{DOMAIN}_listeners")


async def async_setup_push(hass: HomeAssistant) -> None:
    """Register the addresses of every entry, including those that are not set up. Called once, from `async_setup`."""
    hass.data[_WEBHOOKS] = {}
    listeners = hass.data[_LISTENERS] = dict[str, Listener]()

    registry = async_get_registry(hass)

    @callback
    def report_rejected(entry_id: str) -> None:
        if (processor := registry.processors.get(entry_id)) is not None:
            processor.warn("refused_by_home_assistant", "Home Assistant's security filter rejected a push; see Repairs")
            REFUSED_PUSH.async_create(hass, processor.entry)

    async_setup_log_filter(hass, report_rejected)
    hass.http.register_view(PushView)
    for entry in hass.config_entries.async_entries(DOMAIN):
        await registry.async_get(entry).async_restore_seen()
        async_register_push(hass, entry)
        await async_update_listener(hass, entry)

    async def stop(_: Event) -> None:
        for entry in hass.config_entries.async_entries(DOMAIN):
            if entry.entry_id in listeners:
                await _async_close_listener(hass, entry)

    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, stop)


@callback
def async_register_push(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Register an entry's addresses, or replace them if its secrets changed. Called before its entities exist."""
    async_mask_secrets(hass, entry)
    processor = async_get_registry(hass).async_get(entry)
    webhook_id = entry.data[CONF_WEBHOOK_ID]
    registered = hass.data[_WEBHOOKS]
    if registered.get(entry.entry_id) == webhook_id:
        return
    _unregister_webhook(hass, entry)

    def handle(hass: HomeAssistant, _: str, request: Request) -> Awaitable[web.Response]:
        if request.method == METH_PUT:
            return _async_reject_method()
        return async_handle_push(hass, processor, request, InboundSource.WEBHOOK)

    # We reject PUT ourselves, because Home Assistant's rejection logs the webhook's id.
    methods = (METH_GET, METH_POST, METH_PUT)
    webhook.async_register(hass, DOMAIN, _NAME, webhook_id, handle, local_only=False, allowed_methods=methods)
    registered[entry.entry_id] = webhook_id


async def _async_reject_method() -> web.Response:
    return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED)


async def async_unregister_push(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Unregister the addresses of a removed entry. After this, nothing is accepted for it."""
    _unregister_webhook(hass, entry)
    if (processor := async_get_registry(hass).processors.pop(entry.entry_id, None)) is not None:
        processor.async_close()
    await _async_close_listener(hass, entry)


async def async_start_receiving(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Fire the events of items that arrived before the entry was set up, and open its listener.

    Called after the entry's entities exist.
    """
    await async_update_listener(hass, entry)
    processor = async_get_registry(hass).async_get(entry)
    processor.async_start()

    @callback
    def stop() -> None:
        processor.async_stop()
        if entry.disabled_by is not None:
            hass.async_create_task(_async_close_listener(hass, entry))

    entry.async_on_unload(stop)


class PushView(HomeAssistantView):
    """The addresses with a channel. A wrong secret gets 404, and never the text that means "accepted"."""

    url = f"{PUSH_PATH}/mr"
    extra_urls = [f"{PUSH_PATH}/mo"]  # noqa: RUF012 - the base class's own type
    name = "api:sms1680:push"
    requires_auth = False

    async def get(self, request: web.Request, secret: str, channel: str) -> web.Response:  # noqa: ARG002
        """Process the push in the query or the body."""
        hass = request.app[KEY_HASS]
        given = secret.encode("utf-8", "backslashreplace")
        # Compare with the secrets of all accounts, so that the time does not depend on the result.
        found = [
            processor
            for processor in async_get_registry(hass).processors.values()
            if hmac.compare_digest(processor.entry.data[CONF_PUSH_SECRET].encode(), given)
        ]
        if not found:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return await async_handle_push(hass, found[-1], request, InboundSource.WEBHOOK)

    post = get


def _unregister_webhook(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    if (webhook_id := hass.data[_WEBHOOKS].pop(entry.entry_id, None)) is not None:
        webhook.async_unregister(hass, webhook_id)


async def async_update_listener(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Open, move or close the listener as the options say. It stays open during a reload.

    A port that cannot be opened raises a repair.
    """
    port = None if entry.disabled_by else entry.options.get(CONF_LISTENER_PORT)
    current = hass.data[_LISTENERS].get(entry.entry_id)
    if current is not None and current.port == port:
        return
    if current is not None or not port:
        await _async_close_listener(hass, entry)
    if not port:
        return
    listener = Listener(hass, async_get_registry(hass).async_get(entry), port)
    try:
        await listener.async_open()
    except OSError as error:
        _report_port(hass, entry, port, error)
        return
    LISTENER_PORT.async_delete(hass, entry)
    hass.data[_LISTENERS][entry.entry_id] = listener


def _report_port(hass: HomeAssistant, entry: Sms1680ConfigEntry, port: int, error: OSError) -> None:
    """Raise the repair of a port that cannot be opened. Log it once, although each setup of the account tries again."""
    shown = LISTENER_PORT.async_get(hass, entry)
    if shown is None or shown.translation_placeholders != {"account": entry.title, "port": str(port)}:
        _LOGGER.error(
            "Could not open port %s for pushes: %s. Choose another port in the account's options, or remove it. "
            "The webhook still works",
            port,
            error.strerror,
        )
    LISTENER_PORT.async_create(hass, entry, port=str(port))


async def _async_close_listener(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Close an entry's listener, and delete the repair of its port."""
    LISTENER_PORT.async_delete(hass, entry)
    if (listener := hass.data[_LISTENERS].pop(entry.entry_id, None)) is not None:
        await listener.async_close()
