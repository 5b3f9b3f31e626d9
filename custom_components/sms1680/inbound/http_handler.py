"""Answer one push from any of the HTTP servers: check its network, parse it, process it, acknowledge it.

Neither the content of a push nor its address is logged. Rejected pushes are counted. An error in our code is always
answered with status 500: for a webhook that raises, Home Assistant would answer 200, which means "accepted" to the
platform.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import override

from aiohttp import web
from aiohttp.hdrs import METH_POST
from aiohttp.http_exceptions import HttpProcessingError
from homeassistant.core import HomeAssistant
from homeassistant.helpers.network import is_cloud_connection
from homeassistant.util.aiohttp import MockRequest

from ..client import parse_push
from ..client.networks import is_in_networks
from ..client.push import LONGEST_PUSH
from ..const import CONF_NETWORKS, CONF_PUSH_ANSWER, DEFAULT_PUSH_ANSWER
from .models import InboundSource, NotAcceptedError
from .receiver import InboundProcessor

_LOGGER = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds that a push waits until its entry is set up
_BODY_TIMEOUT = 10.0  # seconds

# A cloud webhook has no socket.
type Request = web.Request | MockRequest


async def async_handle_push(
    hass: HomeAssistant, processor: InboundProcessor, request: Request, source: InboundSource
) -> web.Response:
    """Process a push, and return the response. It acknowledges the push only if the item is stored."""
    try:
        options = processor.entry.options
        if (networks := options.get(CONF_NETWORKS)) and not _is_allowed(hass, request, networks):
            processor.warn("forbidden", "Rejected a push from a network that the account's options do not allow")
            return web.Response(status=HTTPStatus.FORBIDDEN)
        try:
            item = parse_push((request.method == METH_POST and await _read_body(request)) or _query_of(request))
        except (ValueError, OSError, TimeoutError, web.RequestPayloadError, HttpProcessingError):
            processor.warn("malformed", "Rejected a push that is too large, or neither an uplink nor a delivery report")
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        incoming = await processor.async_receive(item, source, _PATIENCE)
        response = _Acknowledgement(text=options.get(CONF_PUSH_ANSWER, DEFAULT_PUSH_ANSWER))  # text/plain
        if isinstance(request, MockRequest):
            incoming.mark_acknowledged()  # the cloud connection delivers it
        else:
            response.on_written = incoming.mark_acknowledged
    except NotAcceptedError:
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
    except Exception as error:  # noqa: BLE001 - the text of any exception could quote the request
        _LOGGER.error("Could not handle a push: %s", type(error).__name__)  # noqa: TRY400
        return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)
    return response


class _Acknowledgement(web.Response):
    """A response that calls `on_written` when it has been written completely."""

    on_written: Callable[[], None] | None = None

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        if self.on_written is not None:
            self.on_written()


async def _read_body(request: Request) -> bytes:
    """Return the body of a POST, which is empty if the fields are in the query."""
    body = bytearray()
    stream = request.content
    async with asyncio.timeout(_BODY_TIMEOUT):
        while len(body) <= LONGEST_PUSH and (chunk := await stream.read(LONGEST_PUSH + 1 - len(body))):
            body += chunk
    return bytes(body)


def _query_of(request: Request) -> str:
    """Return the raw query: the core detects the charset, which a decoded query has lost."""
    return request.query_string if isinstance(request, MockRequest) else request.rel_url.raw_query_string


def _is_allowed(hass: HomeAssistant, request: Request, networks: Iterable[str]) -> bool:
    """Return whether the request comes from one of the networks.

    An unknown address (through Home Assistant's cloud) is in no network.
    """
    remote = getattr(request, "remote", None)
    if remote is None or is_cloud_connection(hass):
        return False
    return is_in_networks(remote, networks)
