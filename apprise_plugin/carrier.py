"""Carries the core's requests over requests, which every Apprise brings: the same behaviour in every host.

One exchange never takes longer than it was given, whatever the other end does: name servers that hang and answers that
trickle are no longer waited for, and count as "may have left".
"""

from __future__ import annotations

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable
from email.message import Message

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError as PoolProxyError

from .core import LONGEST_ANSWER, USER_AGENT, Answer, Failure, Request, Timeouts

_LOGGER = logging.getLogger(__name__)
_CHUNK = 4096

# Raised while the request is still being put together.
_UNUSABLE = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
# NameResolutionError of urllib3 2 is a NewConnectionError.
_NO_CONNECTION = (NewConnectionError, ConnectTimeoutError)
# What ends a TLS handshake before the first octet of a request; any other TLS error might come later as well.
_HANDSHAKE = frozenset({"CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"})


class RequestsCarrier:
    """Carries over requests, a connection an exchange.

    timeouts: seconds until connected, and without any octet of an answer. verify: whether certificates are verified.
    until: the time, on `clock`, at which the last exchange is given up.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        *,
        verify: bool = True,
        until: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeouts = timeouts
        self._verify = verify
        self._until = until
        self._clock = clock

    def exchange(self, request: Request) -> Answer | Failure:
        """Return the answer, or the failure; never raises."""
        if request.secret_url or request.method != "POST":
            # urllib3 writes the address of each request to its log.
            return Failure(begun=False, detail="RefusedMethod")
        remaining = self._until - self._clock()
        if remaining <= 0:
            return Failure(begun=False, detail="TimeLimit")
        result: queue.SimpleQueue[Answer | Failure] = queue.SimpleQueue()
        worker = threading.Thread(
            target=lambda: result.put(self._carry(request, remaining)), name="sms1680-exchange", daemon=True
        )
        try:
            worker.start()
        except RuntimeError as error:  # no threads left, or the interpreter is ending
            return _failure(error, begun=False)
        try:
            return result.get(timeout=remaining)
        except queue.Empty:
            return Failure(begun=True, detail="TimeLimit")

    def close(self) -> None:
        """Nothing to give back: no connection outlives its exchange."""

    def _carry(self, request: Request, seconds: float) -> Answer | Failure:
        try:
            response = requests.post(
                request.url,
                data=request.body,
                headers={
                    "User-Agent": USER_AGENT,
                    "Accept": "text/plain",
                    "Accept-Encoding": "identity",
                    **dict(request.headers),
                },
                auth=_no_auth,
                timeout=(min(self._timeouts.connect, seconds), min(self._timeouts.answer, seconds)),
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            )
        except Exception as error:  # noqa: BLE001
            return _failure(error, begun=_has_begun(error))
        try:
            return _read(response)
        except Exception as error:  # noqa: BLE001
            return _failure(error, begun=True)


def _no_auth(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from looking for a password of the host in the user's .netrc."""
    return prepared


def _read(response: requests.Response) -> Answer | Failure:
    body = b""
    with response:
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > LONGEST_ANSWER:
                return Failure(begun=True, detail="AnswerTooLong")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and len(body) < int(announced):
        return Failure(begun=True, detail="AnswerCut")  # urllib3 1.26 does not look
    return Answer(
        response.status_code,
        body,
        _charset(response.headers.get("Content-Type", "")),
        complete_length=bool(announced) or "Transfer-Encoding" in response.headers,
    )


def _charset(content_type: str) -> str | None:
    """Return the header's own charset; requests would make up ISO-8859-1 where there is none."""
    header = Message()
    header["Content-Type"] = content_type
    return header.get_content_charset()


def _has_begun(error: Exception) -> bool:
    """Tell whether the request may have left: False only where it certainly did not."""
    if isinstance(error, (requests.exceptions.ConnectTimeout, *_UNUSABLE)):
        return False
    if type(error) is OSError and error.errno is None:
        return False  # requests' own, about a file of certificates that is not there
    if not isinstance(error, requests.exceptions.ConnectionError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, PoolProxyError):
        # The proxy was never reached, or refused the tunnel that comes before the request.
        original = reason.original_error
        return not (isinstance(original, _NO_CONNECTION) or "Tunnel connection failed" in str(original))
    if isinstance(error, requests.exceptions.SSLError):
        return not _in_handshake(reason)
    return not isinstance(reason, _NO_CONNECTION)


def _in_handshake(reason: object) -> bool:
    causes = getattr(reason, "args", ())
    return any(
        isinstance(cause, ssl.SSLCertVerificationError) or getattr(cause, "reason", None) in _HANDSHAKE
        for cause in causes
    )


def _failure(error: Exception, *, begun: bool) -> Failure:
    # Only the kind: an error's own text may quote the address.
    kind = type(error).__name__
    _LOGGER.debug("No answer: %s, the request %s", kind, "may have left" if begun else "never left")
    return Failure(begun=begun, detail=kind)
