"""How an account stands with the platform: what keeps it from sending, told as repairs that go away by themselves."""

from __future__ import annotations

from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_send

from .client import Outcome, Reason, Receipt
from .const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_LOW_BALANCE,
    CONF_NUMBER,
    DEFAULT_LOW_BALANCE,
    DOMAIN,
    EVENT_DELIVERY_REPORT,
    SUBENTRY_RECIPIENT,
    signal_report,
    signal_standing,
)
from .failures import language
from .origin import async_fire

# What a person has to mend at the platform or in the settings; for refused credentials there is reauthentication.
REPAIRS: Final = (Reason.IP, Reason.SIGNATURE, Reason.PRODUCT, Reason.PERMISSION)
STOPS_ALL: Final = (
    *REPAIRS,
    Reason.AUTHENTICATION,
    Reason.BALANCE,
    Reason.USER,
    Reason.SUSPENDED,
    Reason.WRONG_ADDRESS,
    Reason.NO_CONNECTION,
)
_LOW_BALANCE: Final = "low_balance"


class Standing:
    """The standing of one account.

    problem: what kept the last message or question from the platform, None where all is well. balance: None unknown.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self._hass = hass
        self._entry = entry
        self.problem: Reason | None = None
        self.balance: int | None = None

    @property
    def threshold(self) -> int:
        """The balance below which it is low, in parts."""
        return int(self._entry.options.get(CONF_LOW_BALANCE, DEFAULT_LOW_BALANCE))

    @property
    def low_balance(self) -> bool | None:
        """Whether the balance is low; None where it is unknown."""
        return None if self.balance is None else self.balance < self.threshold

    @property
    def can_send(self) -> bool:
        """Whether a message would go out, as far as is known."""
        return self.problem is None and self.balance != 0

    @callback
    def record(self, receipt: Receipt) -> None:
        """Take in what became of one number."""
        if receipt.outcome in (Outcome.ACCEPTED, Outcome.HELD):
            self._set(None)
        elif receipt.reason in STOPS_ALL:
            self._set(receipt.reason)
        if receipt.outcome is Outcome.HELD:
            self._tell_held(receipt)

    @callback
    def record_balance(self, balance: int | None) -> None:
        """Take in the balance; None where the account may not ask for it.

        The platform answered: only what the balance can't show, a missing signature or permission, may still be wrong.
        """
        self.balance = balance
        if self.problem not in (Reason.SIGNATURE, Reason.PERMISSION, Reason.PRODUCT):
            self._set(None)
        if self.low_balance:
            ir.async_create_issue(
                self._hass,
                DOMAIN,
                self._issue_id(_LOW_BALANCE),
                is_fixable=False,
                severity=ir.IssueSeverity.WARNING,
                translation_key=_LOW_BALANCE,
                translation_placeholders={"account": self._entry.title, "threshold": str(self.threshold)},
            )
        else:
            ir.async_delete_issue(self._hass, DOMAIN, self._issue_id(_LOW_BALANCE))
        self._changed()

    @callback
    def record_refusal(self, reason: Reason | None) -> None:
        """Take in why the balance was not told."""
        if reason in STOPS_ALL:
            self._set(reason)

    def _set(self, problem: Reason | None) -> None:
        if problem is Reason.AUTHENTICATION:
            self._entry.async_start_reauth(self._hass)
        if problem is self.problem:
            return
        self.problem = problem
        for reason in REPAIRS:
            if reason is problem:
                ir.async_create_issue(
                    self._hass,
                    DOMAIN,
                    self._issue_id(reason.value),
                    is_fixable=False,
                    severity=ir.IssueSeverity.ERROR,
                    translation_key=f"problem_{reason.value}",
                    translation_placeholders={"account": self._entry.title},
                )
            else:
                ir.async_delete_issue(self._hass, DOMAIN, self._issue_id(reason.value))
        self._changed()

    def _issue_id(self, kind: str) -> str:
        return f"{kind}_{self._entry.entry_id}"

    def _changed(self) -> None:
        async_dispatcher_send(self._hass, signal_standing(self._entry.entry_id))

    def _tell_held(self, receipt: Receipt) -> None:
        """Fire that a message waits for a person at the platform, as a delivery report that is not final."""
        recipient = next(
            (
                subentry
                for subentry in self._entry.subentries.values()
                if subentry.subentry_type == SUBENTRY_RECIPIENT and subentry.data[CONF_NUMBER] == receipt.number
            ),
            None,
        )
        data = {
            ATTR_CONFIG_ENTRY_ID: self._entry.entry_id,
            "message_id": receipt.message_id,
            "number": receipt.number,
            "recipient": recipient.title if recipient else None,
            "subentry_id": recipient.subentry_id if recipient else None,
            "status": receipt.outcome.value,
            "state": "pending",
            "settled": False,
            "reason": receipt.reason.sentence(language(self._hass)) if receipt.reason else None,
            "redelivered": False,
        }
        async_fire(self._hass, EVENT_DELIVERY_REPORT, data)
        async_dispatcher_send(self._hass, signal_report(self._entry.entry_id), data)


@callback
def async_remove_issues(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Take back the repairs of an account that is no more."""
    for kind in (_LOW_BALANCE, *(reason.value for reason in REPAIRS)):
        ir.async_delete_issue(hass, DOMAIN, f"{kind}_{entry.entry_id}")
