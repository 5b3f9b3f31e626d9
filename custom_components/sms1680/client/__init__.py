"""A client for the enterprise SMS platform 1680: send messages, receive replies and delivery reports.

    account = sms1680.Account("user", "password", product_id="61341")
    with sms1680.Client(account, signature="某某科技") as sms:
        for receipt in sms.send(["13911000000", "13688888888"], "后门 22:41 打开"):
            print(receipt.outcome, receipt.message_id)

The outcome of each number is `accepted`, `held`, `refused`, `not_sent` (safe to send again) or `unknown` (never sent
again automatically). `AsyncClient` has the same methods, awaited. `sms1680.cmpp` is the client for CMPP 2.0.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .account import DEFAULT_GATEWAY, Account
from .errors import (
    AuthenticationError,
    BalanceError,
    InvalidMessageError,
    InvalidPushError,
    InvalidSettingError,
    NoAnswerError,
    NotSentError,
    RefusedError,
    SendError,
    SMS1680Error,
    UnknownOutcomeError,
)
from .http.client import AsyncClient, Client
from .limits.settings import Spending, SpendingLimits
from .masking import mask_number
from .numbers import normalise_number
from .outcomes import Outcome, Reason, Repeat
from .push import DeliveryReport, Reply, parse_push
from .receipts import Receipt
from .report_words import ReportState
from .text import Concern, Estimate, TextWarning, estimate

if TYPE_CHECKING:
    from . import cmpp

__all__ = [
    "DEFAULT_GATEWAY",
    "Account",
    "AsyncClient",
    "AuthenticationError",
    "BalanceError",
    "Client",
    "Concern",
    "DeliveryReport",
    "Estimate",
    "InvalidMessageError",
    "InvalidPushError",
    "InvalidSettingError",
    "NoAnswerError",
    "NotSentError",
    "Outcome",
    "Reason",
    "Receipt",
    "RefusedError",
    "Repeat",
    "Reply",
    "ReportState",
    "SMS1680Error",
    "SendError",
    "Spending",
    "SpendingLimits",
    "TextWarning",
    "UnknownOutcomeError",
    "cmpp",
    "estimate",
    "mask_number",
    "normalise_number",
    "parse_push",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import `sms1680.cmpp` on first use, because most programs use only HTTP."""
    if name == "cmpp":
        return import_module(f"{__name__}.cmpp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
