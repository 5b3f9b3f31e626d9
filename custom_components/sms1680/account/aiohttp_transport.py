"""The HTTP transport over Home Assistant's aiohttp connections, which cost half as much as those of httpx.

Like every transport of the core, it says whether a request has begun, and limits the time and size of a response.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Final, override

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.hdrs import CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING
from homeassistant.const import EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.util.hass_dict import HassKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ..client.http.announcement import Announcement, Beginning
from ..client.http.transport import HEADERS, LONGEST_RESPONSE, Request, Response, Timeouts, TransportError, charset_of
from ..const import DOMAIN

_LOGGER = logging.getLogger(__name__)
_LONGEST_RAW: Final = 4 * LONGEST_RESPONSE  # octets of a whole response, with its headers and the sizes of its chunks
_WRITTEN_AT_ONCE: Final = 16 * 1024  # octets that a connection accepts without a wait
_TIMEOUTS: Final = Timeouts()
_SESSION: HassKey[aiohttp.ClientSession] = HassKey(f"{DOMAIN}_session")


@callback
def async_get_transport(hass: HomeAssistant) -> "AiohttpTransport":
    """Return a transport over the connections that Home Assistant's integrations share."""
    session = hass.data.get(_SESSION)
    if session is None:
        session = hass.data[_SESSION] = make_session(async_get_clientsession(hass).connector)

        @callback
        def detach(_: Event) -> None:
            session.detach()

        hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, detach)
    return AiohttpTransport(session)


def make_session(connector: aiohttp.BaseConnector | None) -> aiohttp.ClientSession:
    """Return the session of `AiohttpTransport` over connections that others use too."""
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_before_headers)
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=_LimitedResponse,
        trace_configs=[tracing],
        auto_decompress=False,
    )


class AiohttpTransport:
    """An asyncio transport over aiohttp. session: from `make_session`; it stays open."""

    def __init__(self, session: aiohttp.ClientSession, timeouts: Timeouts = _TIMEOUTS) -> None:
        self._session = session
        self._timeouts = timeouts
        # `exchange` limits the whole request. `connect` includes the name server.
        self._timeout = aiohttp.ClientTimeout(connect=2 * timeouts.connect, sock_connect=timeouts.connect)

    async def exchange(self, request: Request, announcement: Announcement | None = None) -> Response | TransportError:
        """Return the response or the error; never raise.

        announcement: is made once the request has its connection, before its first octet is written.
        """
        beginning = Beginning(announcement)
        try:
            async with asyncio.timeout(self._timeouts.until_sent) as limit:

                def on_sent() -> None:
                    limit.reschedule(asyncio.get_running_loop().time() + self._timeouts.response)

                async def before_headers() -> None:
                    await beginning.begin()
                    if not is_long:
                        on_sent()

                body, headers = request.body or b"", [*HEADERS, *request.headers]
                if is_long := len(body) > _WRITTEN_AT_ONCE:
                    headers.append((CONTENT_LENGTH, str(len(body))))
                # Let the event loop notice first which connections were closed while it was busy.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                # On a reused connection that turns out to be closed, aiohttp repeats a GET (the balance), never a POST.
                response = await self._session.request(
                    request.method,
                    URL(request.url, encoded=request.url.isascii()),
                    data=_pieces(body, on_sent) if is_long else request.body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=self._timeout,
                    trace_request_ctx=before_headers,
                )
                try:
                    return await _read(response)
                finally:
                    response.close()
        except asyncio.CancelledError:
            # Only the shutdown of the event loop cancels this, possibly after the request was sent.
            return TransportError(begun=beginning.begun, detail="cancelled")
        except Exception as error:  # noqa: BLE001
            # Log the type only: the error's text can quote the address.
            kind, is_begun = type(error).__name__, beginning.begun
            _LOGGER.debug("No response: %s, the request %s", kind, "may have been sent" if is_begun else "was not sent")
            return TransportError(begun=is_begun, detail=kind)

    async def aclose(self) -> None:
        """Do nothing: the connections belong to Home Assistant."""


async def _before_headers(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """Begin the request of an exchange. aiohttp awaits this immediately before it writes."""
    await context.trace_request_ctx()


async def _pieces(body: bytes, on_sent: Callable[[], None]) -> AsyncIterator[bytes]:
    """Yield a long body piece by piece: aiohttp waits until the connection accepts the next one."""
    for start in range(0, len(body), _WRITTEN_AT_ONCE):
        yield body[start : start + _WRITTEN_AT_ONCE]
    on_sent()


class _LimitedResponse(aiohttp.ClientResponse):
    """A response with a limit for all its octets, and without cookies."""

    _remove_limit: Callable[[], None] | None = None

    @override
    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Read the status and the headers."""
        if connection.protocol is not None:
            self._remove_limit = _limit_octets(connection.protocol)
        return await super().start(connection)

    @override
    def close(self) -> None:
        """Close the connection, or leave it to others if the response has ended."""
        if self._remove_limit is not None:
            self._remove_limit()
        super().close()

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers without cookies: aiohttp logs a cookie that it cannot read, which can echo the request."""
        if SET_COOKIE in self._headers:
            kept = CIMultiDict(self._headers)
            kept.popall(SET_COOKIE)
            self._headers = CIMultiDictProxy(kept)
        return self._headers


def _limit_octets(protocol: ResponseHandler) -> Callable[[], None]:
    """Abort a connection after too many octets. Return a function that removes the limit.

    aiohttp itself limits neither the number of headers, in older versions, nor that of trailers.
    """
    left = _LONGEST_RAW

    def receive(data: bytes) -> None:
        nonlocal left
        left -= len(data)
        if left >= 0:
            ResponseHandler.data_received(protocol, data)
        elif protocol.transport is not None:
            protocol.transport.abort()

    def remove() -> None:
        # Another response can use the connection already.
        if vars(protocol).get("data_received") is receive:
            vars(protocol).pop("data_received")

    vars(protocol)["data_received"] = receive
    return remove


async def _read(response: aiohttp.ClientResponse) -> Response:
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LONGEST_RESPONSE:
            raise aiohttp.ClientPayloadError("the response is too long")
    headers = response.headers
    return Response(
        response.status,
        body,
        charset_of(headers.get(CONTENT_TYPE, "")),
        complete_length=CONTENT_LENGTH in headers or TRANSFER_ENCODING in headers,
    )
