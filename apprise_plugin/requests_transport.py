"""The core's transport on top of the library requests, a dependency of Apprise, so that every host behaves alike.

An exchange ends at its time limit even if a name server hangs or a response trickles in. The request then counts as
possibly sent.
"""

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable
from email.message import Message

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError as PoolProxyError

from .core import LONGEST_RESPONSE, USER_AGENT, Request, Response, Timeouts, TransportError

_LOGGER = logging.getLogger(__name__)
_CHUNK = 4096

# Raised while the request is still being prepared.
_UNUSABLE = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
# In urllib3 2, NameResolutionError is a subclass of NewConnectionError.
_NO_CONNECTION = (NewConnectionError, ConnectTimeoutError)
# These errors end a TLS handshake before any byte of the request is sent. Other TLS errors can also occur later.
_HANDSHAKE = frozenset({"CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"})


class RequestsTransport:
    """A transport that opens one connection for each exchange.

    timeouts: seconds to connect, and seconds to wait for data. verify: whether to verify TLS certificates.
    until: the time on `clock` at which any exchange is abandoned.
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

    def exchange(self, request: Request) -> Response | TransportError:
        """Return the response, or the failure. Never raises."""
        if request.secret_url or request.method != "POST":
            # urllib3 logs the URL of each request.
            return TransportError(begun=False, detail="RefusedMethod")
        remaining = self._until - self._clock()
        if remaining <= 0:
            return TransportError(begun=False, detail="TimeLimit")
        result: queue.SimpleQueue[Response | TransportError] = queue.SimpleQueue()
        worker = threading.Thread(
            target=lambda: result.put(self._post(request, remaining)), name="sms1680-exchange", daemon=True
        )
        try:
            worker.start()
        except RuntimeError as error:  # the thread limit is reached, or the interpreter is shutting down
            return _failure(error, begun=False)
        try:
            return result.get(timeout=remaining)
        except queue.Empty:
            return TransportError(begun=True, detail="TimeLimit")

    def close(self) -> None:
        """Do nothing: each connection is closed at the end of its exchange."""

    def _post(self, request: Request, seconds: float) -> Response | TransportError:
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
                timeout=(min(self._timeouts.connect, seconds), min(self._timeouts.response, seconds)),
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
    """Prevent requests from reading a password for the host from the user's .netrc."""
    return prepared


def _read(response: requests.Response) -> Response | TransportError:
    body = b""
    with response:
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > LONGEST_RESPONSE:
                return TransportError(begun=True, detail="AnswerTooLong")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and len(body) < int(announced):
        return TransportError(begun=True, detail="AnswerCut")  # urllib3 1.26 does not check the length
    return Response(
        response.status_code,
        body,
        _charset(response.headers.get("Content-Type", "")),
        complete_length=bool(announced) or "Transfer-Encoding" in response.headers,
    )


def _charset(content_type: str) -> str | None:
    """Return the charset of the header, or None. Unlike requests, do not assume ISO-8859-1."""
    header = Message()
    header["Content-Type"] = content_type
    return header.get_content_charset()


def _has_begun(error: Exception) -> bool:
    """Return False only if the request was certainly not sent."""
    if isinstance(error, (requests.exceptions.ConnectTimeout, *_UNUSABLE)):
        return False
    if type(error) is OSError and error.errno is None:
        return False  # raised by requests itself if the file of CA certificates is missing
    if not isinstance(error, requests.exceptions.ConnectionError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, PoolProxyError):
        # The proxy could not be reached, or it refused the tunnel, which is set up before the request.
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


def _failure(error: Exception, *, begun: bool) -> TransportError:
    # Only the type: the text of an error may quote the URL.
    kind = type(error).__name__
    _LOGGER.debug("No response: %s; the request %s", kind, "may have been sent" if begun else "was not sent")
    return TransportError(begun=begun, detail=kind)
