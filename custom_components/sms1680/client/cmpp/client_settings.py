"""The settings of the CMPP client."""

import asyncio
import random as default_random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from typing import Literal

from ..checks import positive, whole
from ..errors import InvalidSettingError
from ..limits.base_client import ClientOptions, ClientSettings
from .acknowledger import OnIncoming
from .session import SessionSettings
from .status import Status
from .timer import Sleep
from .wire.results import ResultTable
from .wire.texts import Encoding

OpenTransport = Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]
"""Connects a transport for the protocol that the factory makes. Raises OSError."""

TLSSetting = ssl.SSLContext | Literal[True] | None


class CMPPClientOptions(ClientOptions, total=False):
    """The keyword arguments of the CMPP client. All times are in seconds.

    service_id: the business code from the platform. encoding: "auto" (ASCII if possible, otherwise UCS2), "ucs2" or
    "gbk". dialect: the table of SUBMIT results, the platform's ("1680") or the "standard" one.
    http_account: gateway address and user name of the same account over HTTP, to share its rate and spending.

    connect_timeout, login_timeout: until connected (5), and until the login is answered (30). window: SUBMITs in
    flight (16). idle: without received data before an ACTIVE_TEST (30). answer_timeout: T, until a response counts as
    lost (60). attempts: N, unanswered ACTIVE_TESTs before the connection is closed (3). silence: without received data
    before an ACTIVE_TEST must be answered, before each SUBMIT and while one is in flight (10).
    assembly_time: for the segments of an uplink (60). join_reports: combine the delivery reports of all segments of a
    long message; otherwise each is reported under the id of its segment. proof: refuse a gateway that does not prove
    that it knows the secret. tls: True or a context, for tunnels.
    proxy: the address of an HTTP proxy that permits CONNECT to the gateway, such as http://user:password@host:3128.
    Each step of a connection through it may take `connect_timeout`.

    on_incoming: called with each reply and report, a function or a coroutine function. An item is acknowledged when
    the call returns; the gateway sends it again if the call raises or takes longer than T/2.
    on_status: called when the connection changes. wire_log: called with a line for each PDU, masked.
    connect, sleep, random: open the transport, wait, and return 0.0 to 1.0.
    """

    service_id: str
    encoding: Encoding
    dialect: ResultTable
    http_account: tuple[str, str] | None
    connect_timeout: float
    login_timeout: float
    window: int
    idle: float
    answer_timeout: float
    attempts: int
    silence: float
    assembly_time: float
    join_reports: bool
    proof: bool
    tls: TLSSetting
    proxy: str | None
    on_incoming: OnIncoming | None
    on_status: Callable[[Status], object] | None
    wire_log: Callable[[str], object] | None
    connect: OpenTransport | None
    sleep: Sleep
    random: Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class CMPPSettings(ClientSettings):
    """The checked settings of the CMPP client: see `CMPPClientOptions`."""

    service_id: str = ""
    encoding: Encoding = "auto"
    dialect: ResultTable = "1680"
    http_account: tuple[str, str] | None = None
    connect_timeout: float = 5.0
    login_timeout: float = 30.0
    window: int = 16
    idle: float = 30.0
    answer_timeout: float = 60.0
    attempts: int = 3
    silence: float = 10.0
    assembly_time: float = 60.0
    join_reports: bool = True
    proof: bool = False
    tls: TLSSetting = None
    proxy: str | None = field(default=None, repr=False)
    on_incoming: OnIncoming | None = None
    on_status: Callable[[Status], object] | None = None
    wire_log: Callable[[str], object] | None = None
    connect: OpenTransport | None = None
    sleep: Sleep = asyncio.sleep
    random: Callable[[], float] = default_random.random

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dialect not in ("1680", "standard"):
            raise InvalidSettingError("the dialect must be 1680 or standard", "返回值表只能是 `1680` 或 `standard`")
        whole("window", self.window, 1000)
        whole("attempts", self.attempts, 100)
        for name in ("connect_timeout", "login_timeout", "idle", "answer_timeout", "silence", "assembly_time"):
            positive(name, getattr(self, name))

    @property
    def time_to_connect(self) -> float:
        """The seconds until connected. Through a proxy: to the proxy, its answer, and TLS with the gateway."""
        return self.connect_timeout * (3 if self.proxy else 1)

    def session(self, sp_id: str, secret: str) -> SessionSettings:
        """Return the settings of each session."""
        shared = {one.name: getattr(self, one.name) for one in fields(SessionSettings) if hasattr(self, one.name)}
        return SessionSettings(sp_id, secret, require_gateway_auth=self.proof, **shared)
