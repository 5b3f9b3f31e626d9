"""A gateway over a real socket that answers as a test wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path

# Created for these tests, for 127.0.0.1; protects nothing.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUc5uYzjsXB8s+IqPqCugtzq9jca0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMjA5NDM1N1oYDzIxMjYxMDI5
MDk0MzU3WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATuhemszlOaASwvg8Ftfv2N0jgsXckBdeYcBfTmoCTAjv4XVPv202lL
d4lyflzFK4OzL7Y749Y0AKBWWVwH+VAEo2QwYjAdBgNVHQ4EFgQUFbCwKj+K2NGO
j6OoX6v56R6/QPswHwYDVR0jBBgwFoAUFbCwKj+K2NGOj6OoX6v56R6/QPswDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
ICo2BhATjuIwgTn+jhCH4Fed7Dqq3WSA7IXq/T+Uvz54AiEA73Gx0b050kWNsMZm
BhWjFHGQ9ETRpvJPc+akEbCTLms=
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbmLTJqgxTBpjClMo
4o0RMJuLmmr2IoqrpZ4bjUsZBTyhRANCAATuhemszlOaASwvg8Ftfv2N0jgsXckB
deYcBfTmoCTAjv4XVPv202lLd4lyflzFK4OzL7Y749Y0AKBWWVwH+VAE
-----END PRIVATE KEY-----
"""

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n1,26"
HEAD = b"HTTP/1.1 200 OK\r\n"
CLOSE = None
"""Closes the connection after the answer before it."""


class Gateway:
    """A server that records each request and gives the next answer, on whatever connection it came.

    stays: keeps the connection open after the last answer. endless: is sent again and again after the last answer.
    reads_octets: answers any octets, not only a whole request.
    """

    def __init__(
        self,
        *answers: bytes | None,
        stays: bool = False,
        endless: bytes = b"",
        pause: float = 0.0,
        tls: ssl.SSLContext | None = None,
        reads_octets: bool = False,
    ) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.has_read = threading.Event()
        self.has_closed = threading.Event()
        self._answers = list(answers)
        self._stays, self._endless, self._pause, self._tls = stays, endless, pause, tls
        self._read = (lambda connection: connection.recv(65536)) if reads_octets else read_request
        self._ended = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            if self._tls is not None:
                connection = stack.enter_context(self._tls.wrap_socket(connection, server_side=True))
            while self._answers and (request := self._read(connection)):
                self.requests.append(request)
                self.has_read.set()
                connection.sendall(self._answers.pop(0) or b"")
                if self._answers[:1] == [CLOSE]:
                    self._answers.pop(0)
                    break
            else:
                if not self._answers and self._endless:
                    while not self._ended.wait(self._pause):
                        connection.sendall(self._endless)
                if self._stays:
                    self._ended.wait(20)
            connection.shutdown(socket.SHUT_WR)
            self.has_closed.set()
            while connection.recv(65536):  # closing on unread octets would reset instead of ending
                pass


def read_request(connection: socket.socket) -> bytes:
    """Return a whole request, as much as came of it before the connection ended."""
    request = b""
    while b"\r\n\r\n" not in request and (piece := connection.recv(65536)):
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length and (piece := connection.recv(65536)):
        body += piece
    return head + b"\r\n\r\n" + body if request else b""


def closed_port() -> str:
    """Return an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def write_certificate(folder: Path) -> ssl.SSLContext:
    """Write the certificate as `trusted.pem`; return the context of a server with it."""
    (folder / "trusted.pem").write_text(CERTIFICATE)
    (folder / "server.pem").write_text(KEY + CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def headers_of(request: bytes) -> dict[str, str]:
    """Return the headers of a request by their names in lower case."""
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
