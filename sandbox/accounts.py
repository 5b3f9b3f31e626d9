"""An account while the platform runs: what the configuration began with, and what changes since."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from ipaddress import ip_address

from .config import Account
from .pace import Pace


@dataclass(slots=True)
class AccountState:
    """An account's balances, pace, switches and push addresses."""

    config: Account
    balances: dict[str, int]
    pace: Pace
    signature_required: bool
    manual: bool
    report_address: str | None = field(repr=False)
    uplink_address: str | None = field(repr=False)

    @classmethod
    def begin(cls, config: Account) -> AccountState:
        """Return the state at the start."""
        return cls(
            config=config,
            balances=dict(config.products),
            pace=Pace(config.rate, config.concurrency),
            signature_required=config.signature_required,
            manual=config.manual,
            report_address=config.report_address,
            uplink_address=config.uplink_address,
        )

    @property
    def username(self) -> str:
        """The login name."""
        return self.config.username

    def knows(self, password: str, *, md5: bool = True) -> bool:
        """Tell whether a password is right, plain or (where taken) as lower-case MD5, in constant time."""
        given = password.encode()
        plain = self.config.password.encode()
        digest = hashlib.md5(plain, usedforsecurity=False).hexdigest().encode()
        return hmac.compare_digest(given, plain) | (md5 and hmac.compare_digest(given, digest))

    def admits(self, address: str) -> bool:
        """Tell whether the account may be used from an IP address."""
        networks = self.config.parsed_networks()
        if not networks:
            return True
        try:
            caller = ip_address(address)
        except ValueError:
            return False
        return any(caller in network for network in networks)

    def as_json(self) -> dict[str, object]:
        """Return it for the control API, without the password."""
        return {
            "username": self.username,
            "balances": dict(self.balances),
            "rate": self.pace.rate,
            "source": self.config.source_number,
            "signature_required": self.signature_required,
            "manual": self.manual,
            "report_address": self.report_address,
            "uplink_address": self.uplink_address,
        }
