"""The configuration of a sandbox. It is frozen; the state that changes is in the platform."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType

DEMO_USERNAME = "demo"
DEMO_PASSWORD = "demo1680"  # noqa: S105 - printed at each start, protects nothing
DEMO_PRODUCT = "61341"
DEMO_SP_ID = "901680"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the platform.

    `products`: balances in parts, by product id. `rate`: the flow in items per second (None: unlimited).
    `concurrency`: submits in progress at once. `numbers_max`: numbers, groups or pairs per call. `networks`: addresses
    that may call (empty: any). `balance_takes_md5`, `sending_takes_md5`: accept the MD5 of the password.
    `own_signature`: a signature that the platform itself prepends. Over CMPP, the account logs in as `sp_id` (empty: no
    CMPP) with its password, and SUBMITs must carry `service_id`.
    """

    username: str = DEMO_USERNAME
    password: str = field(default=DEMO_PASSWORD, repr=False)
    products: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({DEMO_PRODUCT: 1000}))
    rate: float | None = None
    concurrency: int = 5
    numbers_max: int = 1000
    networks: tuple[str, ...] = ()
    source_number: str = "106900001680"
    signature_required: bool = False
    own_signature: str | None = None
    may_submit: bool = True
    may_query_balance: bool = True
    balance_takes_md5: bool = True
    sending_takes_md5: bool = True
    suspended: bool = False
    manual: bool = False
    report_address: str | None = None
    uplink_address: str | None = None
    uplink_full_number: bool = False
    uplink_id: bool = False
    sp_id: str = DEMO_SP_ID
    service_id: str = ""
    cmpp_connections: int = 5

    def __post_init__(self) -> None:
        """Validate the settings.

        Raises:
            ValueError: a network, the rate, the source number or a limit is invalid.
        """
        self.parsed_networks()
        if self.rate is not None and self.rate <= 0:
            raise ValueError("the rate must be above 0, or None for no limit")
        if self.concurrency < 1 or self.numbers_max < 1:
            raise ValueError("concurrency and numbers_max must be at least 1")
        if not self.source_number.isdecimal():
            raise ValueError("the source number must consist of digits")

    def parsed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Return `networks` in parsed form."""
        return tuple(ip_network(network, strict=False) for network in self.networks)


@dataclass(frozen=True, slots=True)
class PushRules:
    """How pushes are repeated.

    `attempts`: the maximum in total. `first_pause`: seconds before the second attempt; each further pause is `growth`
    times longer, up to `longest_pause`. `timeout`: seconds for each attempt. `parallel`: pushes in progress at once.
    `semicolon`: end uplinks with `;`, as the platform's document shows.
    """

    repeat: bool = True
    attempts: int = 10
    first_pause: float = 1.0
    growth: float = 2.0
    longest_pause: float = 60.0
    timeout: float = 10.0
    parallel: int = 8
    semicolon: bool = True

    def pause(self, attempts: int) -> float:
        """Return the seconds to wait after a number of failed attempts (at least one)."""
        exponent = min(attempts - 1, 32)  # the longest pause is reached long before
        return min(self.longest_pause, self.first_pause * self.growth**exponent)


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of a sandbox.

    `report_delay`: seconds between sending a message and its delivery report. `answer_delay`: seconds that the platform
    needs to answer a call. The same text to the same number more than `repeat_limit` times within `repeat_window`
    seconds is not delivered (KX:4000). `path_prefix`: a prefix for the paths of the four calls. `cmpp_port`: the port
    for CMPP (0: a free one; None: no CMPP). `cmpp_idle`: seconds of silence before a CMPP connection is tested.
    `cmpp_resend`: seconds before a DELIVER without a response is repeated. `cmpp_tls`: serve CMPP over TLS, like a
    tunnel.
    """

    accounts: tuple[Account, ...] = (Account(),)
    forbidden_words: tuple[str, ...] = ("发票", "赌博", "博彩")
    review_words: tuple[str, ...] = ("贷款", "优惠")
    report_delay: float = 1.0
    answer_delay: float = 0.0
    repeat_limit: int = 5
    repeat_window: float = 1800.0
    pushes: PushRules = PushRules()
    host: str = "127.0.0.1"
    port: int = 0
    cmpp_port: int | None = None
    cmpp_tls: ssl.SSLContext | None = None
    cmpp_idle: float = 180.0
    cmpp_resend: float = 60.0
    path_prefix: str = ""
