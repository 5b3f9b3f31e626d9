"""HTTP CONNECT: ask a proxy for a tunnel to the gateway (RFC 9110, section 9.3.6). Nothing here opens a socket."""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import unquote, urlsplit

from ..errors import InvalidSettingError, NoAnswerError
from ..outcomes import Language, Reason

_PORTS: Final = {"http": 80, "https": 443}
_LONGEST_HEAD: Final = 16 * 1024  # octets; proxies send a few hundred
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_HEADER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*")
_HOST: Final = re.compile(r"[0-9A-Za-z._-]+")
_START: Final = b"HTTP/1."
_CREDENTIALS: Final = frozenset({401, 407})  # tinyproxy answers a wrong password with 401
_NO_PROXY: Final = frozenset({400, 404, 405, 501})  # how a web server answers CONNECT


class ProxyProblem(StrEnum):
    """Why a proxy opened no tunnel to the gateway."""

    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"
    CREDENTIALS = "credentials"
    FORBIDDEN = "forbidden"
    NO_GATEWAY = "no_gateway"
    NOT_UNDERSTOOD = "not_understood"

    def sentence(self, language: Language = "en") -> str:
        """Return the problem and the remedy in the given language."""
        return _SENTENCES[self][language == "zh"]


_SENTENCES: Final = {
    ProxyProblem.UNREACHABLE: (
        "Could not connect to the proxy. Check its address, its port and the network.",
        "无法连接代理。请检查代理的地址、端口和网络。",
    ),
    ProxyProblem.NO_ANSWER: (
        "The proxy closed the connection or did not answer in time. Check the proxy and its address.",
        "代理断开了连接或未及时应答。请检查代理及其地址。",
    ),
    ProxyProblem.CREDENTIALS: (
        "The proxy requires a user name and a password, or refused them. Check both in the proxy's address.",
        "代理需要用户名和密码，或拒绝了它们。请检查代理地址中的用户名和密码。",
    ),
    ProxyProblem.FORBIDDEN: (
        "The proxy forbids the connection. Allow this machine, and CONNECT to the gateway's port, in its settings.",
        "代理不允许该连接。请在代理的设置中允许本机使用代理，并允许对平台端口使用 `CONNECT`。",
    ),
    ProxyProblem.NO_GATEWAY: (
        "The proxy could not connect to the gateway. Check the gateway's host and port.",
        "代理无法连接平台。请检查平台的主机和端口。",
    ),
    ProxyProblem.NOT_UNDERSTOOD: (
        "The server at the proxy's address did not answer as an HTTP proxy does. Check the address and the port.",
        "代理地址上的服务器没有按 HTTP 代理应答。请检查代理的地址和端口。",
    ),
}


class ProxyError(OSError):
    """A proxy opened no tunnel. The text names neither the proxy nor what it answered."""

    def __init__(self, problem: ProxyProblem) -> None:
        super().__init__(problem.sentence())
        self.problem = problem


class NoTunnelError(NoAnswerError):
    """A login over CMPP got no connection because of its proxy. detail: the value of the problem."""

    def __init__(self, problem: ProxyProblem) -> None:
        super().__init__(Reason.NO_CONNECTION, problem.value, (problem.sentence("en"), problem.sentence("zh")))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """The address of a proxy, with its user name and password. Its text has neither."""

    host: str
    port: int
    tls: bool = False
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def authorization(self) -> bytes | None:
        """The value of the header Proxy-Authorization, None without a user name and a password."""
        if not self.username and not self.password:
            return None
        return b"Basic " + b64encode(f"{self.username or ''}:{self.password or ''}".encode())


def read_proxy(address: str) -> ProxyAddress:
    """Return the address that a setting means. Raise InvalidSettingError, without the password in its text."""
    try:
        parts = urlsplit(address.strip())
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
        username, password = (unquote(value) if value else None for value in (parts.username, parts.password))
        host = None if host is None else _ascii(host)
    except ValueError:
        raise _invalid() from None
    if scheme.startswith("socks"):
        raise InvalidSettingError(
            "CMPP cannot use a SOCKS proxy. Enter an HTTP proxy, or forward the gateway's port with ssh -L.",
            "CMPP 不支持 SOCKS 代理。请填写 HTTP 代理，或用 `ssh -L` 转发平台的端口。",
        )
    if scheme not in _PORTS or host is None or port == 0:
        raise _invalid()
    return ProxyAddress(host, port or _PORTS[scheme], scheme == "https", username, password)


def _invalid() -> InvalidSettingError:
    return InvalidSettingError(
        "proxy must be an address such as http://user:password@host:3128; percent-encode special characters in the "
        "user name and the password",
        "`proxy` 须为 `http://用户名:密码@主机:3128` 形式的地址；用户名和密码中的特殊字符须经百分号编码",
    )


def _ascii(host: str) -> str:
    """Return a host as it goes over the wire, an IPv6 address without brackets. Raise ValueError for anything else."""
    if ":" in host:
        return str(IPv6Address(host))
    host = host if host.isascii() else host.encode("idna").decode()
    if not _HOST.fullmatch(host):
        raise ValueError("the host has characters that no name has")
    return host


class ConnectRequest:
    """One request for a tunnel. Raises InvalidSettingError for an invalid host.

    host: of the gateway, as it goes over the wire. The gateway never speaks first. So octets after the head of the
    answer are not the gateway's, and are an error.
    """

    def __init__(self, proxy: ProxyAddress, host: str, port: int) -> None:
        try:
            name = _ascii(host.strip().removeprefix("[").removesuffix("]"))
        except ValueError:
            raise InvalidSettingError("the host of the gateway is invalid", "平台的主机名无效") from None
        self.host = name
        target = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1".encode(), f"Host: {target}".encode()]
        if proxy.authorization is not None:
            lines.append(b"Proxy-Authorization: " + proxy.authorization)
        self._octets = b"\r\n".join(lines) + b"\r\n\r\n"

    @property
    def octets(self) -> bytes:
        """The request. It contains the password of the proxy."""
        return self._octets

    def answer(self) -> "ConnectAnswer":
        """Return a reader for the answer on a new connection."""
        return ConnectAnswer()


class ConnectAnswer:
    """The answer of a proxy, as far as it has arrived."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._read = 0  # octets of interim answers

    def receive(self, data: bytes) -> bool:
        """Return whether the tunnel is open. Raise ProxyError if it will not open."""
        start = max(self._read, len(self._head) - 3)
        self._head += data
        while (end := self._head.find(b"\r\n\r\n", start)) >= 0:
            status = self._status(self._head[self._read : end])
            if status >= 200:
                if end + 4 != len(self._head):
                    raise ProxyError(ProxyProblem.NOT_UNDERSTOOD)
                return True
            start = self._read = end + 4
        first = self._head[self._read :]
        if not first.startswith(_START[: len(first)]) or len(self._head) > _LONGEST_HEAD:
            raise ProxyError(ProxyProblem.NOT_UNDERSTOOD)
        if b"\r\n" in first:
            self._status(first.partition(b"\r\n")[0])  # a refusal needs no more than its first line
        return False

    @staticmethod
    def _status(head: bytes | bytearray) -> int:
        """Return the status of a head, 1xx or 2xx. Raise ProxyError for every other one."""
        first, *headers = bytes(head).split(b"\r\n")
        found = _STATUS_LINE.fullmatch(first)
        status = int(found[1]) if found else 0
        if status in _CREDENTIALS:
            raise ProxyError(ProxyProblem.CREDENTIALS)
        if status in _NO_PROXY:
            raise ProxyError(ProxyProblem.NOT_UNDERSTOOD)
        if 400 <= status < 500:
            raise ProxyError(ProxyProblem.FORBIDDEN)
        if status >= 500:
            raise ProxyError(ProxyProblem.NO_GATEWAY)
        if not 100 <= status < 300 or status == 101 or not all(map(_HEADER.fullmatch, headers)):
            raise ProxyError(ProxyProblem.NOT_UNDERSTOOD)
        return status
