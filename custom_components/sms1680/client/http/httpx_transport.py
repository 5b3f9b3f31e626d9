"""What carries a request to the platform and its answer back, over httpx: the one place that knows it.

A carrier never raises: it returns an `Answer` or a `Failure`, and a failure says whether the request may have begun.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import httpx

from .transport import LONGEST_ANSWER, USER_AGENT, Answer, Failure, Request, Timeouts

_LOGGER = logging.getLogger(__name__)
_HEADERS = (
    ("User-Agent", USER_AGENT),
    ("Accept", "text/plain"),
    ("Accept-Encoding", "identity"),
    ("Connection", "keep-alive"),
)

# Tried: behind none of these has a single octet of the request left.
_NOT_BEGUN = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.ProxyError,
)


class _QuietURL(httpx.URL):
    """An address whose query reaches no log: httpx writes the address of each request at INFO."""

    def __str__(self) -> str:
        return super().__str__().partition("?")[0]

    __repr__ = __str__


class HttpxCarrier:
    """Carries over a blocking httpx client."""

    def __init__(self, timeouts: Timeouts, *, proxy: str | None = None, verify: bool = True) -> None:
        """Raise ValueError where the proxy's address or the TLS setting can't be used."""
        self._timeout = _httpx_timeout(timeouts)
        with _usable_address():
            self._client = httpx.Client(timeout=self._timeout, proxy=proxy, verify=verify, follow_redirects=False)

    def exchange(self, request: Request) -> Answer | Failure:
        """Return the answer, or the failure; never raises."""
        try:
            response = self._client.send(_build(request, self._timeout), stream=True, auth=None, follow_redirects=False)
            try:
                body = _Body(self._timeout)
                for chunk in response.iter_raw():
                    body.add(chunk)
            finally:
                response.close()
        except Exception as error:  # noqa: BLE001
            return _failure(error)
        return _answer(response, body.octets)

    def close(self) -> None:
        """Close the client."""
        self._client.close()


class AsyncHttpxCarrier:
    """Carries over an asyncio httpx client."""

    def __init__(
        self,
        timeouts: Timeouts,
        client: httpx.AsyncClient | None = None,
        *,
        proxy: str | None = None,
        verify: bool = True,
    ) -> None:
        """Take a client of somebody else's, which is never closed here, or make one.

        Raises ValueError where the proxy's address or the TLS setting can't be used.
        """
        self._timeout = _httpx_timeout(timeouts)
        self._owns_client = client is None
        with _usable_address():
            self._client = client or httpx.AsyncClient(
                timeout=self._timeout, proxy=proxy, verify=verify, follow_redirects=False
            )

    async def exchange(self, request: Request) -> Answer | Failure:
        """Return the answer, or the failure; never raises."""
        try:
            response = await self._client.send(
                _build(request, self._timeout), stream=True, auth=None, follow_redirects=False
            )
            try:
                body = _Body(self._timeout)
                async for chunk in response.aiter_raw():
                    body.add(chunk)
            finally:
                await response.aclose()
        except asyncio.CancelledError:
            # Only a loop that is being torn down cancels this; the request may have left.
            return Failure(begun=True, detail="cancelled")
        except Exception as error:  # noqa: BLE001
            return _failure(error)
        return _answer(response, body.octets)

    async def aclose(self) -> None:
        """Close the client, if it is ours."""
        if self._owns_client:
            await self._client.aclose()


@contextmanager
def _usable_address() -> Iterator[None]:
    """Let a proxy's address that httpx can't read be a ValueError, and not quoted: it may hold a password."""
    try:
        yield
    except httpx.InvalidURL:
        raise ValueError("the proxy's address can't be read") from None


def _httpx_timeout(timeouts: Timeouts) -> httpx.Timeout:
    return httpx.Timeout(timeouts.answer, connect=timeouts.connect, pool=timeouts.connect)


class _Body:
    """An answer's octets as they come, bounded in size and time."""

    def __init__(self, timeout: httpx.Timeout, clock: Callable[[], float] = time.monotonic) -> None:
        self.octets = b""
        self._clock = clock
        self._end = clock() + (timeout.read or 0.0)

    def add(self, chunk: bytes) -> None:
        self.octets += chunk
        if len(self.octets) > LONGEST_ANSWER:
            raise httpx.ReadError("the answer is too long")
        if self._clock() > self._end:
            raise httpx.ReadTimeout("the answer took too long")


def _build(request: Request, timeout: httpx.Timeout) -> httpx.Request:
    """Build the request apart from the client, whose merging of headers and addresses costs more than all else."""
    url = _url(request.url) if not request.secret_url else _QuietURL(request.url)
    built = httpx.Request(
        request.method,
        url,
        headers=[*_HEADERS, *request.headers],
        content=request.body,
        extensions={"timeout": timeout.as_dict()},
    )
    if request.secret_url:
        built.url = url  # httpx makes a plain one of it
    return built


@lru_cache(maxsize=32)
def _url(address: str) -> httpx.URL:
    return httpx.URL(address)


def _answer(response: httpx.Response, body: bytes) -> Answer:
    headers = response.headers
    return Answer(
        response.status_code,
        body,
        response.charset_encoding,
        complete_length="content-length" in headers or "transfer-encoding" in headers,
    )


def _failure(error: Exception) -> Failure:
    begun = not isinstance(error, _NOT_BEGUN)
    # Only the kind: an error's own text may quote the address.
    kind = type(error).__name__
    _LOGGER.debug("No answer: %s, the request %s", kind, "may have left" if begun else "never left")
    return Failure(begun=begun, detail=kind)
