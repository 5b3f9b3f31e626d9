"""The state of an account while the platform runs. It starts as configured."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from ipaddress import ip_address

from .config import Account
from .flow_rule import FlowRule


@dataclass(slots=True)
class AccountState:
    """An account's balances, flow rule, switches and push addresses."""

    config: Account
    balances: dict[str, int]
    flow: FlowRule
    signature_required: bool
    manual: bool
    report_address: str | None = field(repr=False)
    uplink_address: str | None = field(repr=False)

    @classmethod
    def from_config(cls, config: Account) -> AccountState:
        """Return the initial state."""
        return cls(
            config=config,
            balances=dict(config.products),
            flow=FlowRule(config.rate, config.concurrency),
            signature_required=config.signature_required,
            manual=config.manual,
            report_address=config.report_address,
            uplink_address=config.uplink_address,
        )

    @property
    def username(self) -> str:
        """The username."""
        return self.config.username

    def check_password(self, password: str, *, allow_md5: bool = True) -> bool:
        """Return True if a password is correct, plain or (if allowed) as lower-case MD5. Takes constant time."""
        given = password.encode()
        plain = self.config.password.encode()
        digest = hashlib.md5(plain, usedforsecurity=False).hexdigest().encode()
        return hmac.compare_digest(given, plain) | (allow_md5 and hmac.compare_digest(given, digest))

    def allows_address(self, address: str) -> bool:
        """Return True if the account accepts calls from an IP address."""
        networks = self.config.parsed_networks()
        if not networks:
            return True
        try:
            caller = ip_address(address)
        except ValueError:
            return False
        return any(caller in network for network in networks)

    def as_json(self) -> dict[str, object]:
        """Return the state for the control API, without the password."""
        return {
            "username": self.username,
            "balances": dict(self.balances),
            "rate": self.flow.rate,
            "source": self.config.source_number,
            "signature_required": self.signature_required,
            "manual": self.manual,
            "report_address": self.report_address,
            "uplink_address": self.uplink_address,
        }
