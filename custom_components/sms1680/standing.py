"""How an account stands with the platform: what keeps it from sending, told as repairs that go away by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_send

from .client import Outcome, Reason, Receipt
from .client.cmpp import Status
from .const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_CMPP,
    CONF_HTTP,
    CONF_LOW_BALANCE,
    CONF_NUMBER,
    CONF_WAY,
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
# These are no fault of the account or the message: another way may be open.
_OF_THE_WAY: Final = frozenset(
    {
        Reason.AUTHENTICATION,
        Reason.IP,
        Reason.PERMISSION,
        Reason.SUSPENDED,
        Reason.WRONG_ADDRESS,
        Reason.NO_CONNECTION,
    }
)
# What a person has to mend so that the connection over CMPP comes about; a network that fails mends itself.
CONNECTION_REPAIRS: Final = {
    Reason.SUSPENDED: "connection_suspended",
    Reason.IP: "connection_ip",
    Reason.PARAMETER: "connection_version",
    Reason.MALFORMED: "connection_refused",
    Reason.FAILED: "connection_refused",
    Reason.WRONG_ADDRESS: "connection_wrong_address",
}
_LOW_BALANCE: Final = "low_balance"


class Standing:
    """The standing of one account.

    balance: None unknown. connection: how that over CMPP stands, None for an account without one.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self._hass = hass
        self._entry = entry
        self.balance: int | None = None
        self.connection = Status(connected=False) if CONF_CMPP in entry.data else None
        self._problem: Reason | None = None

    @property
    def problem(self) -> Reason | None:
        """What keeps messages from the platform, None where all is well, as far as is known."""
        connection, problem = self.connection, self._problem
        if connection is None:
            return problem
        if connection.connected:
            return None if problem in _OF_THE_WAY else problem
        if CONF_HTTP in self._entry.data or connection.reason is None:
            return problem
        return connection.reason if connection.reason in STOPS_ALL else Reason.NO_CONNECTION

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
    def record(self, receipt: Receipt, way: str = CONF_HTTP) -> None:
        """Take in what became of one number. way: that it went by."""
        if receipt.outcome in (Outcome.ACCEPTED, Outcome.HELD):
            self._set(None)
        elif receipt.reason in STOPS_ALL and not (way == CONF_CMPP and receipt.reason in _OF_THE_WAY):
            self._set(receipt.reason)
        if receipt.outcome is Outcome.HELD:
            self._tell_held(receipt)

    @callback
    def record_balance(self, balance: int | None) -> None:
        """Take in the balance; None where the account may not ask for it.

        The platform answered: only what the balance can't show, a missing signature or permission, may still be wrong.
        """
        self.balance = balance
        if self._problem not in (Reason.SIGNATURE, Reason.PERMISSION, Reason.PRODUCT):
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

    @callback
    def record_connection(self, status: Status) -> None:
        """Take in how the connection over CMPP stands."""
        self.connection = status
        if status.reason is Reason.AUTHENTICATION:
            self._entry.async_start_reauth(self._hass, data={CONF_WAY: CONF_CMPP})
        self._show_issue(CONNECTION_REPAIRS.get(status.reason) if status.reason else None, CONNECTION_REPAIRS.values())
        self._changed()

    def _set(self, problem: Reason | None) -> None:
        if problem is Reason.AUTHENTICATION:
            self._entry.async_start_reauth(self._hass, data={CONF_WAY: CONF_HTTP})
        if problem is self._problem:
            return
        self._problem = problem
        self._show_issue(f"problem_{problem}" if problem in REPAIRS else None, [f"problem_{one}" for one in REPAIRS])
        self._changed()

    def _show_issue(self, shown: str | None, among: Iterable[str]) -> None:
        """Show one of some repairs, or none of them."""
        for key in among:
            if key != shown:
                ir.async_delete_issue(self._hass, DOMAIN, self._issue_id(key))
        if shown is not None:
            ir.async_create_issue(
                self._hass,
                DOMAIN,
                self._issue_id(shown),
                is_fixable=False,
                severity=ir.IssueSeverity.ERROR,
                translation_key=shown,
                translation_placeholders={"account": self._entry.title},
            )

    def _issue_id(self, key: str) -> str:
        return f"{key.removeprefix('problem_')}_{self._entry.entry_id}"

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
    for kind in (_LOW_BALANCE, *(reason.value for reason in REPAIRS), *CONNECTION_REPAIRS.values()):
        ir.async_delete_issue(hass, DOMAIN, f"{kind}_{entry.entry_id}")
