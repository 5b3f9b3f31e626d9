"""The HTTP transports over httpx. No other module imports httpx.

A transport never raises. It returns a `Response` or a `TransportError`, which says whether the request has begun.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from functools import lru_cache

import httpx

from ..errors import InvalidSettingError
from .transport import LONGEST_RESPONSE, USER_AGENT, Request, Response, Timeouts, TransportError

_LOGGER = logging.getLogger(__name__)
_HEADERS = (
    ("User-Agent", USER_AGENT),
    ("Accept", "text/plain"),
    ("Accept-Encoding", "identity"),
    ("Connection", "keep-alive"),
)

# Measured: after each of these errors, no octet of the request was sent.
_NOT_BEGUN = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.ProxyError,
)

_url = lru_cache(maxsize=32)(httpx.URL)


class _QuietURL(httpx.URL):
    """A URL without its query in logs: httpx logs the URL of each request at INFO."""

    def __str__(self) -> str:
        return super().__str__().partition("?")[0]

    __repr__ = __str__


class HttpxTransport:
    """A blocking transport. Raises InvalidSettingError for an invalid proxy or TLS setting."""

    def __init__(self, timeouts: Timeouts, *, proxy: str | None = None, verify: bool = True) -> None:
        self._timeout = _httpx_timeout(timeouts)
        with _checked_settings():
            self._client = httpx.Client(timeout=self._timeout, proxy=proxy, verify=verify, follow_redirects=False)

    def exchange(self, request: Request) -> Response | TransportError:
        """Return the response or the error; never raise."""
        try:
            response = self._client.send(_build(request, self._timeout), stream=True, auth=None, follow_redirects=False)
            with closing(response):
                body = _Body(self._timeout)
                for chunk in response.iter_raw():
                    body.add(chunk)
        except Exception as error:  # noqa: BLE001
            return _transport_error(error)
        return _response(response, body.octets)

    def close(self) -> None:
        """Close the client."""
        self._client.close()


class AsyncHttpxTransport:
    """An asyncio transport. Raises InvalidSettingError for an invalid proxy or TLS setting.

    client: a client to use instead of a new one; it is not closed.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        client: httpx.AsyncClient | None = None,
        *,
        proxy: str | None = None,
        verify: bool = True,
    ) -> None:
        self._timeout = _httpx_timeout(timeouts)
        self._owns_client = client is None
        with _checked_settings():
            self._client = client or httpx.AsyncClient(
                timeout=self._timeout, proxy=proxy, verify=verify, follow_redirects=False
            )

    async def exchange(self, request: Request) -> Response | TransportError:
        """Return the response or the error; never raise."""
        try:
            response = await self._client.send(
                _build(request, self._timeout), stream=True, auth=None, follow_redirects=False
            )
            async with aclosing(response):
                body = _Body(self._timeout)
                async for chunk in response.aiter_raw():
                    body.add(chunk)
        except asyncio.CancelledError:
            # Only the shutdown of the event loop cancels this. The request may have been sent.
            return TransportError(begun=True, detail="cancelled")
        except Exception as error:  # noqa: BLE001
            return _transport_error(error)
        return _response(response, body.octets)

    async def aclose(self) -> None:
        """Close the client unless the caller owns it."""
        if self._owns_client:
            await self._client.aclose()


@contextmanager
def _checked_settings() -> Iterator[None]:
    try:
        yield
    except (httpx.InvalidURL, ValueError, TypeError, OSError, ImportError) as error:
        kind = type(error).__name__  # the type only: a proxy address can contain a password
        raise InvalidSettingError(
            f"the proxy or TLS setting is invalid ({kind})", f"代理或 TLS 设置无法使用（`{kind}`）"
        ) from None


def _httpx_timeout(timeouts: Timeouts) -> httpx.Timeout:
    return httpx.Timeout(timeouts.response, connect=timeouts.connect, pool=timeouts.connect)


class _Body:
    """The octets of a response, limited in size and time."""

    def __init__(self, timeout: httpx.Timeout, clock: Callable[[], float] = time.monotonic) -> None:
        self.octets = b""
        self._clock = clock
        self._end = clock() + (timeout.read or 0.0)

    def add(self, chunk: bytes) -> None:
        self.octets += chunk
        if len(self.octets) > LONGEST_RESPONSE:
            raise httpx.ReadError("the response is too long")
        if self._clock() > self._end:
            raise httpx.ReadTimeout("the response took too long")


def _build(request: Request, timeout: httpx.Timeout) -> httpx.Request:
    """Build the request without the client, whose merging of headers and URLs is the largest cost of a request."""
    url = _url(request.url) if not request.secret_url else _QuietURL(request.url)
    built = httpx.Request(
        request.method,
        url,
        headers=[*_HEADERS, *request.headers],
        content=request.body,
        extensions={"timeout": timeout.as_dict()},
    )
    if request.secret_url:
        built.url = url  # httpx replaced it with a plain URL
    return built


def _response(response: httpx.Response, body: bytes) -> Response:
    headers = response.headers
    return Response(
        response.status_code,
        body,
        response.charset_encoding,
        complete_length="content-length" in headers or "transfer-encoding" in headers,
    )


def _transport_error(error: Exception) -> TransportError:
    begun = not isinstance(error, _NOT_BEGUN)
    # Log the type only: the error's text can quote the address.
    kind = type(error).__name__
    _LOGGER.debug("No response: %s, the request %s", kind, "may have been sent" if begun else "was not sent")
    return TransportError(begun=begun, detail=kind)
