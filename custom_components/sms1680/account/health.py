"""How an account stands with the platform: what keeps it from sending, told as repairs that go away by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send

from ..client import Outcome, Reason, Receipt
from ..client.cmpp import Status
from ..const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_CMPP,
    CONF_HTTP,
    CONF_LOW_BALANCE,
    CONF_NUMBER,
    CONF_TRANSPORT,
    DEFAULT_LOW_BALANCE,
    EVENT_DELIVERY_REPORT,
    SUBENTRY_RECIPIENT,
    signal_health,
    signal_report,
)
from ..context import async_fire, is_automatic
from ..errors import language
from ..issues import CONNECTION_PROBLEMS, LOW_BALANCE, PROBLEMS, async_show_issues

STOPS_ALL: Final = (
    *PROBLEMS,
    Reason.AUTHENTICATION,
    Reason.BALANCE,
    Reason.USER,
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
# What a message that the other way took says nothing of.
_OF_ONE_WAY: Final = _OF_THE_WAY | {Reason.PRODUCT}
# What an answer to the question for the balance says nothing of.
_NOT_OF_THE_BALANCE: Final = (Reason.SIGNATURE, Reason.PERMISSION, Reason.PRODUCT)


class AccountHealth:
    """The health of one account.

    balance: None unknown. connection: how that over CMPP stands, None for an account without one.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self._hass = hass
        self._entry = entry
        self.balance: int | None = None
        self.connection = Status(connected=False) if CONF_CMPP in entry.data else None
        # By the way that it was met on. Repairs outlive a reload: what they tell still stands.
        first_way = CONF_HTTP if CONF_HTTP in entry.data else CONF_CMPP
        shown = next((reason for reason, repair in PROBLEMS.items() if repair.async_get(hass, entry)), None)
        self._problems: dict[str, Reason | None] = {first_way: shown}

    @property
    def problem(self) -> Reason | None:
        """What keeps messages from the platform, None where all is well, as far as is known."""
        connection = self.connection
        http, cmpp = self._problems.get(CONF_HTTP), self._problems.get(CONF_CMPP)
        if connection is None:
            return http
        if connection.connected:
            return cmpp or (None if http in _OF_ONE_WAY else http)
        if CONF_HTTP in self._entry.data:
            return http or (None if cmpp in _OF_ONE_WAY else cmpp)
        if connection.reason is None:
            return cmpp
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
    def on_receipt(self, receipt: Receipt, way: str = CONF_HTTP) -> None:
        """Take in what became of one number. way: that it went by."""
        if receipt.outcome.is_success:
            self._settle(lambda met_on, problem: met_on == way or problem not in _OF_ONE_WAY)
        elif receipt.reason in STOPS_ALL and not (way == CONF_CMPP and self._is_of_connection(receipt.reason)):
            self._set(way, receipt.reason)
        if receipt.outcome is Outcome.HELD:
            self._tell_held(receipt)

    @callback
    def on_balance(self, balance: int | None) -> None:
        """Take in the balance; None where the account may not ask for it.

        The platform answered: only what the balance can't show, a missing signature or permission, may still be wrong.
        """
        self.balance = balance
        self._settle(lambda _, problem: problem not in _NOT_OF_THE_BALANCE)
        self.update_low_balance_issue()

    @callback
    def update_low_balance_issue(self) -> None:
        """Show whether the balance is low, by the threshold as it is now."""
        if self.low_balance:
            LOW_BALANCE.async_create(self._hass, self._entry, threshold=str(self.threshold))
        else:
            LOW_BALANCE.async_delete(self._hass, self._entry)
        self._changed()

    @callback
    def on_refused(self, reason: Reason | None) -> None:
        """Take in why the balance was not told."""
        if reason in STOPS_ALL:
            self._set(CONF_HTTP, reason)

    @callback
    def reset(self) -> None:
        """Forget what kept messages from the platform: settings have changed, and the next message will tell."""
        self._settle(lambda *_: True)

    @callback
    def on_connection_status(self, status: Status) -> None:
        """Take in how the connection over CMPP stands."""
        self.connection = status
        if status.reason is Reason.AUTHENTICATION:
            self._entry.async_start_reauth(self._hass, data={CONF_TRANSPORT: CONF_CMPP})
        async_show_issues(self._hass, self._entry, CONNECTION_PROBLEMS, {status.reason})
        if status.connected:
            self._settle(lambda way, problem: way == CONF_CMPP and problem is Reason.SUSPENDED)
        self._changed()

    def _is_of_connection(self, reason: Reason) -> bool:
        """Tell whether what a message met over CMPP is only why there is no connection; that is told by itself."""
        suspended = reason is Reason.SUSPENDED and self.connection is not None and self.connection.connected
        return reason in _OF_THE_WAY and not suspended

    def _set(self, way: str, problem: Reason | None) -> None:
        """Take in what was met on a way."""
        if problem is Reason.AUTHENTICATION:
            self._entry.async_start_reauth(self._hass, data={CONF_TRANSPORT: CONF_HTTP})
        if problem is self._problems.get(way):
            return
        self._problems[way] = problem
        async_show_issues(self._hass, self._entry, PROBLEMS, {*self._problems.values()})
        self._changed()

    def _settle(self, is_settled: Callable[[str, Reason], bool]) -> None:
        """Let go of the problems that are no more, told by their way and reason."""
        for way, problem in list(self._problems.items()):
            if problem is not None and is_settled(way, problem):
                self._set(way, None)

    def _changed(self) -> None:
        async_dispatcher_send(self._hass, signal_health(self._entry.entry_id))

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
            "automatic": is_automatic(),
            "redelivered": False,
        }
        async_fire(self._hass, EVENT_DELIVERY_REPORT, data)
        async_dispatcher_send(self._hass, signal_report(self._entry.entry_id), data)
