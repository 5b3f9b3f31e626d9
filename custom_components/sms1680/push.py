"""The addresses that the platform pushes to. They are there from Home Assistant's start until an entry is removed.

A webhook, and `/api/sms1680/<secret>/<channel>/mr` and `/mo` as the document has them (4.5); GET and POST, both kinds
on each. None of them is ever logged, nor is what came in.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Iterable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import override

import aiohttp
from aiohttp import web
from aiohttp.hdrs import METH_GET, METH_POST, METH_PUT
from aiohttp.http_exceptions import HttpProcessingError
from homeassistant.components import webhook
from homeassistant.components.http import KEY_HASS, HomeAssistantView
from homeassistant.const import CONF_WEBHOOK_ID
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.network import is_cloud_connection
from homeassistant.util.aiohttp import MockRequest
from homeassistant.util.hass_dict import HassKey

from .client import parse_push
from .client.push import LONGEST_PUSH
from .const import CONF_NETWORKS, CONF_PUSH_ANSWER, CONF_PUSH_SECRET, DEFAULT_PUSH_ANSWER, DOMAIN, PUSH_PATH
from .coordinator import Sms1680ConfigEntry
from .receiving import NotTakenError, Receiver, Way, async_get_receivers

_NAME = "SMS 1680"
_PATIENCE = 5.0  # seconds that a push waits for its entry to be up
_BODY_TIME = 10.0  # seconds that a body may take to come in

# The webhook of each entry that is registered, by entry id.
_WEBHOOKS: HassKey[dict[str, str]] = HassKey(f"{DOMAIN}_webhooks")

# A cloud webhook comes without a socket.
Request = web.Request | MockRequest


async def async_setup_push(hass: HomeAssistant) -> None:
    """Register the addresses of every entry, whether it is set up or not. Called once, from `async_setup`."""
    hass.data[_WEBHOOKS] = {}
    hass.http.register_view(PushView)
    for entry in hass.config_entries.async_entries(DOMAIN):
        async_register_push(hass, entry)


@callback
def async_register_push(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Register an entry's addresses, again where its secrets have changed. Called before the entry's entities exist."""
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


@callback
def async_unregister_push(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Give up the addresses of an entry that was removed."""
    _unregister_webhook(hass, entry)
    async_get_receivers(hass).of.pop(entry.entry_id, None)


@callback
def _unregister_webhook(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    if (webhook_id := hass.data[_WEBHOOKS].pop(entry.entry_id, None)) is not None:
        webhook.async_unregister(hass, webhook_id)


async def async_start_receiving(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Hand on what came in before the entry was up, and open its listener. Called once its entities exist."""
    receiver = async_get_receivers(hass).async_get(entry)
    receiver.async_start()
    entry.async_on_unload(receiver.async_stop)


class PushView(HomeAssistantView):
    """The addresses with a channel. A wrong secret is told by 404: never by the answer that means "taken"."""

    url = f"{PUSH_PATH}/mr"
    extra_urls = [f"{PUSH_PATH}/mo"]  # noqa: RUF012 - the base class's own type
    name = "api:sms1680:push"
    requires_auth = False

    async def get(self, request: web.Request, secret: str, channel: str) -> web.Response:  # noqa: ARG002
        """Take what is in the query."""
        hass = request.app[KEY_HASS]
        receiver = async_find_receiver(hass, secret)
        if receiver is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return await async_answer(hass, receiver, request, Way.WEBHOOK)

    post = get


@callback
def async_find_receiver(hass: HomeAssistant, secret: str) -> Receiver | None:
    """Return whose push addresses hold this secret. Takes as long whether one does or not."""
    found = None
    given = secret.encode("utf-8", "backslashreplace")
    for receiver in async_get_receivers(hass).of.values():
        if hmac.compare_digest(receiver.entry.data[CONF_PUSH_SECRET].encode(), given):
            found = receiver
    return found


async def async_answer(hass: HomeAssistant, receiver: Receiver, request: Request, way: Way) -> web.Response:
    """Take what was pushed and return the answer, which says that it was taken only if its event was fired."""
    options = receiver.entry.options
    if not _may_push(hass, request, options.get(CONF_NETWORKS) or ()):
        receiver.warn("forbidden", "A push from a network that may not push was refused; see the account's options")
        return web.Response(status=HTTPStatus.FORBIDDEN)
    try:
        item = parse_push(await _read(request))
    except (ValueError, OSError, TimeoutError, aiohttp.ClientError, HttpProcessingError):
        receiver.warn("malformed", "A push was neither an uplink nor a delivery report, or too large, and was refused")
        return web.Response(status=HTTPStatus.BAD_REQUEST)
    try:
        incoming = await receiver.async_receive(item, way, _PATIENCE)
    except NotTakenError:
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
    return _Answer(options.get(CONF_PUSH_ANSWER, DEFAULT_PUSH_ANSWER), request, incoming.answered)


class _Answer(web.Response):
    """An answer that tells when it has been fully written."""

    def __init__(self, text: str, request: Request, written: Callable[[], None]) -> None:
        super().__init__(text=text, content_type="text/plain")
        self._written = written
        if isinstance(request, MockRequest):
            written()  # the cloud's own connection carries it

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        self._written()


async def _read(request: Request) -> str | bytes:
    """Return the raw fields of a push: the query, or of a POST the body where there is one."""
    if request.method == METH_POST:
        body = bytearray()
        stream = request.content
        async with asyncio.timeout(_BODY_TIME):
            while len(body) <= LONGEST_PUSH and (chunk := await stream.read(LONGEST_PUSH + 1 - len(body))):
                body += chunk
        if body:
            return bytes(body)
    # As it came: the core has its own rules for charsets, which a decoded query would have lost.
    return request.query_string if isinstance(request, MockRequest) else request.rel_url.raw_query_string


def _may_push(hass: HomeAssistant, request: Request, networks: Iterable[str]) -> bool:
    """Tell whether the request's address lies in one of the networks; without any, all may.

    An address that is not known (through Home Assistant's cloud) lies in none.
    """
    if not networks:
        return True
    remote = getattr(request, "remote", None)
    if remote is None or is_cloud_connection(hass):
        return False
    try:
        address = ip_address(remote)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ip_network(network, strict=False) for network in networks)
