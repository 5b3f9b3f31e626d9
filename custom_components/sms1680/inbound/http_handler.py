"""Answers one push, whichever server it came in by: may it, what is it, was it taken.

Nothing of what came in is logged, nor its address; what is turned away is counted. A fault of our own is 500 by every
way: Home Assistant answers 200 for a webhook that fails, and the platform would take that for "taken".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import override

from aiohttp import web
from aiohttp.hdrs import METH_POST
from aiohttp.http_exceptions import HttpProcessingError
from homeassistant.core import HomeAssistant
from homeassistant.helpers.network import is_cloud_connection
from homeassistant.util.aiohttp import MockRequest

from ..client import parse_push
from ..client.push import LONGEST_PUSH
from ..const import CONF_NETWORKS, CONF_PUSH_ANSWER, DEFAULT_PUSH_ANSWER
from .receiver import NotTakenError, Receiver, Way

_LOGGER = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds that a push waits for its entry to be up
_BODY_TIME = 10.0  # seconds that a body may take to come in

# A cloud webhook comes without a socket.
Request = web.Request | MockRequest


async def async_answer(hass: HomeAssistant, receiver: Receiver, request: Request, way: Way) -> web.Response:
    """Take what was pushed and return the answer, which says that it was taken only once it is safe."""
    try:
        return await _async_take(hass, receiver, request, way)
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may quote the request
        _LOGGER.error("A push could not be handled: %s", type(error).__name__)  # noqa: TRY400
        return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)


async def _async_take(hass: HomeAssistant, receiver: Receiver, request: Request, way: Way) -> web.Response:
    options = receiver.entry.options
    if not _may_push(hass, request, options.get(CONF_NETWORKS) or ()):
        receiver.warn("forbidden", "A push from a network that may not push was refused; see the account's options")
        return web.Response(status=HTTPStatus.FORBIDDEN)
    try:
        item = parse_push(await _read(request))
    except (ValueError, OSError, TimeoutError, web.RequestPayloadError, HttpProcessingError):
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
