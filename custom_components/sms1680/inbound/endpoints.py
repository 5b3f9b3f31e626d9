"""The addresses that the platform pushes to. They are there from Home Assistant's start until an entry is removed.

A webhook, and `/api/sms1680/<secret>/<channel>/mr` and `/mo` as the document has them (4.5); GET and POST, both kinds
on each; and the same on a listener of our own, where an account has one.
"""

from __future__ import annotations

import hmac
import logging
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
from ..issues import LISTENER_PORT
from .http_handler import Request, async_answer
from .listener import Listener
from .log_filter import async_keep_out_of_logs, async_mask_secrets
from .receiver import Receiver, Way, async_get_receivers
from .refused import async_tell_refused

_LOGGER = logging.getLogger(__name__)

_NAME = "SMS 1680"

# Of each entry, by its id: the webhook that is registered, and the listener that is open.
_WEBHOOKS: HassKey[dict[str, str]] = HassKey(f"{DOMAIN}_webhooks")
_LISTENERS: HassKey[dict[str, Listener]] = HassKey(f"{DOMAIN}_listeners")


async def async_setup_push(hass: HomeAssistant) -> None:
    """Register the addresses of every entry, whether it is set up or not. Called once, from `async_setup`."""
    hass.data[_WEBHOOKS] = {}
    listeners = hass.data[_LISTENERS] = dict[str, Listener]()

    @callback
    def tell_refused(entry_id: str) -> None:
        if (receiver := async_get_receivers(hass).of.get(entry_id)) is not None:
            async_tell_refused(hass, receiver)

    async_keep_out_of_logs(hass, tell_refused)
    hass.http.register_view(PushView)
    for entry in hass.config_entries.async_entries(DOMAIN):
        await async_get_receivers(hass).async_get(entry).async_recall()
        async_register_push(hass, entry)
        await async_adjust_listener(hass, entry)

    async def stop(_: Event) -> None:
        for entry in hass.config_entries.async_entries(DOMAIN):
            if entry.entry_id in listeners:
                await _async_close_listener(hass, entry)

    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, stop)


@callback
def async_register_push(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Register an entry's addresses, again where its secrets have changed. Called before the entry's entities exist."""
    async_mask_secrets(hass, entry)
    receiver = async_get_receivers(hass).async_get(entry)
    webhook_id = entry.data[CONF_WEBHOOK_ID]
    registered = hass.data[_WEBHOOKS]
    if registered.get(entry.entry_id) == webhook_id:
        return
    _unregister_webhook(hass, entry)

    async def handle(hass: HomeAssistant, _: str, request: Request) -> web.Response:
        if request.method == METH_PUT:
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED)
        return await async_answer(hass, receiver, request, Way.WEBHOOK)

    # PUT is refused here: Home Assistant's own refusal logs the webhook's id.
    methods = (METH_GET, METH_POST, METH_PUT)
    webhook.async_register(hass, DOMAIN, _NAME, webhook_id, handle, local_only=False, allowed_methods=methods)
    registered[entry.entry_id] = webhook_id


async def async_unregister_push(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Give up the addresses of an entry that was removed; behind this nothing comes in for it any more."""
    _unregister_webhook(hass, entry)
    if (receiver := async_get_receivers(hass).of.pop(entry.entry_id, None)) is not None:
        receiver.async_close()
    await _async_close_listener(hass, entry)


async def async_start_receiving(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Hand on what came in before the entry was up, and open its listener. Called once its entities exist."""
    await async_adjust_listener(hass, entry)
    receiver = async_get_receivers(hass).async_get(entry)
    receiver.async_start()

    @callback
    def stop() -> None:
        receiver.async_stop()
        if entry.disabled_by is not None:
            hass.async_create_task(_async_close_listener(hass, entry))

    entry.async_on_unload(stop)


class PushView(HomeAssistantView):
    """The addresses with a channel. A wrong secret is told by 404: never by the answer that means "taken"."""

    url = f"{PUSH_PATH}/mr"
    extra_urls = [f"{PUSH_PATH}/mo"]  # noqa: RUF012 - the base class's own type
    name = "api:sms1680:push"
    requires_auth = False

    async def get(self, request: web.Request, secret: str, channel: str) -> web.Response:  # noqa: ARG002
        """Take what is in the query or the body."""
        hass = request.app[KEY_HASS]
        receiver = _find_receiver(hass, secret)
        if receiver is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return await async_answer(hass, receiver, request, Way.WEBHOOK)

    post = get


def _find_receiver(hass: HomeAssistant, secret: str) -> Receiver | None:
    """Return whose push addresses hold this secret; it takes as long whether one does or not."""
    found = None
    given = secret.encode("utf-8", "backslashreplace")
    for receiver in async_get_receivers(hass).of.values():
        if hmac.compare_digest(receiver.entry.data[CONF_PUSH_SECRET].encode(), given):
            found = receiver
    return found


def _unregister_webhook(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    if (webhook_id := hass.data[_WEBHOOKS].pop(entry.entry_id, None)) is not None:
        webhook.async_unregister(hass, webhook_id)


async def async_adjust_listener(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Have the listener that the options ask for. It stays through a reload; a port that can't be opened is told."""
    port = None if entry.disabled_by else entry.options.get(CONF_LISTENER_PORT)
    present = hass.data[_LISTENERS].get(entry.entry_id)
    if present is not None and present.port == port:
        return
    if present is not None or not port:
        await _async_close_listener(hass, entry)
    if not port:
        return
    listener = Listener(hass, async_get_receivers(hass).async_get(entry), port)
    try:
        await listener.async_open()
    except OSError as error:
        _tell_port(hass, entry, port, error)
        return
    LISTENER_PORT.async_delete(hass, entry)
    hass.data[_LISTENERS][entry.entry_id] = listener


def _tell_port(hass: HomeAssistant, entry: Sms1680ConfigEntry, port: int, error: OSError) -> None:
    """Raise the repair of a port that can't be opened; log it once, for an account tries at its setup again."""
    shown = LISTENER_PORT.async_get(hass, entry)
    if shown is None or shown.translation_placeholders != {"account": entry.title, "port": str(port)}:
        _LOGGER.error(
            "The listener for pushes can't open port %s: %s. Choose another port in the account's options, or leave it "
            "out; the webhook goes on working",
            port,
            error.strerror,
        )
    LISTENER_PORT.async_create(hass, entry, port=str(port))


async def _async_close_listener(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Close an entry's listener, and take back that it could not be opened."""
    LISTENER_PORT.async_delete(hass, entry)
    if (listener := hass.data[_LISTENERS].pop(entry.entry_id, None)) is not None:
        await listener.async_close()
