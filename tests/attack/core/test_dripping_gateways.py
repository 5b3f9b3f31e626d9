"""Gateways that never finish a response: each transport ends the call, and leaves no thread or connection behind."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sms1680.apprise.requests_transport import RequestsTransport
from sms1680.http.httpx_transport import AsyncHttpxTransport, HttpxTransport
from sms1680.http.transport import Request, Response, Timeouts, TransportError

TIMEOUTS = Timeouts(connect=2.0, response=0.5)
LONGEST = 10.0  # seconds of a call: the timeout of 0.5, and what a busy machine adds
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
BODY = b"username=demo&content=x"

Exchange = Callable[[Request], Response | TransportError]


class Dripping:
    """A gateway that reads a request, and then sends the same octets again and again, without an end."""

    def __init__(self, head: bytes, drip: bytes, pause: float) -> None:
        self.connections = 0
        self.closed = threading.Semaphore(0)
        self._stop = threading.Event()
        self._head, self._drip, self._pause = head, drip, pause
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/sendXSms.do"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while not request.endswith(BODY):
                request += connection.recv(4096)
            connection.sendall(self._head)
            for octet in itertools.cycle(self._drip.split(b"|")):
                if self._stop.wait(self._pause):
                    break
                connection.sendall(octet)
        self.closed.release()

    def stop(self) -> None:
        self._stop.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(5)


def blocking(request: Request) -> Response | TransportError:
    transport = HttpxTransport(TIMEOUTS)
    result = transport.exchange(request)
    transport.close()
    return result


def asynchronous(request: Request) -> Response | TransportError:
    async def run() -> Response | TransportError:
        transport = AsyncHttpxTransport(TIMEOUTS)
        result = await transport.exchange(request)
        assert len(asyncio.all_tasks()) == 1
        await transport.aclose()
        return result

    return asyncio.run(run())


def apprise(request: Request) -> Response | TransportError:
    return RequestsTransport(TIMEOUTS, until=time.monotonic() + 60).exchange(request)


def apprise_at_the_end_of_its_time(request: Request) -> Response | TransportError:
    return RequestsTransport(Timeouts(2.0, 30.0), until=time.monotonic() + 0.5).exchange(request)


@pytest.fixture(params=[blocking, asynchronous, apprise, apprise_at_the_end_of_its_time])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[Dripping]:
    made = Dripping(*request.param)
    yield made
    made.stop()


OK = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "status line": (b"", b"H|T|T|P|/|1", 0.02),
    "header octets": (OK + b"X: ", b"a", 0.02),
    "headers": (OK, b"X: a\r\n", 0.02),
    "100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "102": (b"", b"HTTP/1.1 102 Processing\r\n\r\n", 0.02),
    "103 at full speed": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0.0),
    "body": (OK + b"Content-Length: 60000\r\n\r\n", b"1", 0.02),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n", 0.02),
    "chunk extension": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a", 0.02),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n", b"X: a\r\n", 0.02),
    "body until the end, without a length": (OK + b"Connection: close\r\n\r\n1", b"1", 0.02),
}


@pytest.mark.parametrize("gateway", DRIPS.values(), ids=DRIPS, indirect=True)
def test_call_ends_and_leaves_nothing_behind(exchange: Exchange, gateway: Dripping) -> None:
    began = time.monotonic()
    result = exchange(Request("POST", gateway.url, BODY, FORM))
    assert time.monotonic() - began < LONGEST
    # requests takes a 102 or a 103 for the response. Its body then never ends, or is no answer of the platform.
    assert isinstance(result, TransportError) or result.status in {102, 103}
    assert isinstance(result, Response) or result.begun
    assert gateway.connections == 1
    assert gateway.closed.acquire(timeout=2)
    assert not [thread for thread in threading.enumerate() if thread.name == "sms1680-exchange"]


def test_thread_that_waits_for_a_name_server_sends_nothing_later(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    resolve = socket.getaddrinfo

    def hang(*args: object, **kwargs: object) -> object:
        answered.wait(10)
        return resolve(*args, **kwargs)  # type: ignore[arg-type]

    with socket.create_server(("127.0.0.1", 0)) as server:
        request = Request("POST", f"http://127.0.0.1:{server.getsockname()[1]}/sendXSms.do", BODY, FORM)
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        result = apprise_at_the_end_of_its_time(request)
        assert result == TransportError(begun=False, detail="TimeLimit")
        answered.set()
        for thread in threading.enumerate():
            if thread.name == "sms1680-exchange":
                thread.join(5)
                assert not thread.is_alive()
        server.settimeout(0.2)
        with contextlib.suppress(TimeoutError), server.accept()[0] as connection:
            assert connection.recv(1) == b""
