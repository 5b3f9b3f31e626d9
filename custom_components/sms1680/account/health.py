"""The current problems of an account, shown as repairs that disappear by themselves."""

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
    CONF_TRANSPORT,
    DEFAULT_LOW_BALANCE,
    EVENT_DELIVERY_REPORT,
    signal_health,
)
from ..errors import language
from ..events.context import async_fire
from ..events.signals import async_signal
from ..issues import CONNECTION_PROBLEMS, LOW_BALANCE, PROBLEMS, async_show_issues
from ..recipients import find_recipient
from .journal import context_of

STOPS_ALL: Final = (
    *PROBLEMS,
    Reason.AUTHENTICATION,
    Reason.BALANCE,
    Reason.USER,
    Reason.WRONG_ADDRESS,
    Reason.NO_CONNECTION,
)
# These concern the transport, not the account or the message: the other transport may work.
_TRANSPORT_PROBLEMS: Final = frozenset(
    {
        Reason.AUTHENTICATION,
        Reason.IP,
        Reason.PERMISSION,
        Reason.SUSPENDED,
        Reason.WRONG_ADDRESS,
        Reason.NO_CONNECTION,
    }
)
# A message accepted over the other transport does not disprove these.
_PER_TRANSPORT: Final = _TRANSPORT_PROBLEMS | {Reason.PRODUCT}
# A successful balance query does not disprove these.
_NOT_SEEN_BY_BALANCE: Final = (Reason.SIGNATURE, Reason.PERMISSION, Reason.PRODUCT)


class AccountHealth:
    """The health of one account.

    balance: None if unknown. connection: the state of the CMPP connection, None for an account without CMPP.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self._hass = hass
        self._entry = entry
        self.balance: int | None = None
        self.connection = Status(connected=False) if CONF_CMPP in entry.data else None
        # By transport. Repairs outlive a reload, and so does the problem that they describe.
        first_transport = CONF_HTTP if CONF_HTTP in entry.data else CONF_CMPP
        shown = next((reason for reason, repair in PROBLEMS.items() if repair.async_get(hass, entry)), None)
        self._problems: dict[str, Reason | None] = {first_transport: shown}

    @property
    def problem(self) -> Reason | None:
        """The problem that prevents messages from reaching the platform, None if no problem is known."""
        connection = self.connection
        http, cmpp = self._problems.get(CONF_HTTP), self._problems.get(CONF_CMPP)
        if connection is None:
            return http
        if connection.connected:
            return cmpp or (None if http in _PER_TRANSPORT else http)
        if CONF_HTTP in self._entry.data:
            return http or (None if cmpp in _PER_TRANSPORT else cmpp)
        if connection.reason is None:
            return cmpp
        return connection.reason if connection.reason in STOPS_ALL else Reason.NO_CONNECTION

    @property
    def threshold(self) -> int:
        """The balance in parts below which it counts as low."""
        return int(self._entry.options.get(CONF_LOW_BALANCE, DEFAULT_LOW_BALANCE))

    @property
    def low_balance(self) -> bool | None:
        """Whether the balance is low, None if it is unknown."""
        return None if self.balance is None else self.balance < self.threshold

    @property
    def can_send(self) -> bool:
        """Whether no known problem prevents sending."""
        return self.problem is None and self.balance != 0

    @callback
    def on_receipt(self, receipt: Receipt, transport: str = CONF_HTTP) -> None:
        """Update the health from the outcome of one number over a transport."""
        if receipt.outcome in (Outcome.ACCEPTED, Outcome.HELD):
            self._resolve(lambda met_on, problem: met_on == transport or problem not in _PER_TRANSPORT)
        elif receipt.reason in STOPS_ALL and not self._is_connection_problem(transport, receipt.reason):
            self._set_problem(transport, receipt.reason)
        if receipt.outcome is Outcome.HELD:
            self._fire_held(receipt)

    @callback
    def on_balance(self, balance: int | None) -> None:
        """Update the balance; None if the account has no permission to query it.

        The platform responded, so only problems that a balance query cannot detect may remain.
        """
        self.balance = balance
        self._resolve(lambda _, problem: problem not in _NOT_SEEN_BY_BALANCE)
        self.update_low_balance_issue()

    @callback
    def update_low_balance_issue(self) -> None:
        """Create or delete the repair of a low balance, by the current threshold."""
        if self.low_balance:
            LOW_BALANCE.async_create(self._hass, self._entry, threshold=str(self.threshold))
        else:
            LOW_BALANCE.async_delete(self._hass, self._entry)
        self._changed()

    @callback
    def on_refused(self, reason: Reason | None) -> None:
        """Update the health from a refused balance query."""
        if reason in STOPS_ALL:
            self._set_problem(CONF_HTTP, reason)

    @callback
    def reset(self) -> None:
        """Forget all problems: the settings changed, so the next message shows which of them remain."""
        self._resolve(lambda *_: True)

    @callback
    def on_connection_status(self, status: Status) -> None:
        """Update the state of the CMPP connection."""
        self.connection = status
        if status.reason is Reason.AUTHENTICATION:
            self._entry.async_start_reauth(self._hass, data={CONF_TRANSPORT: CONF_CMPP})
        async_show_issues(self._hass, self._entry, CONNECTION_PROBLEMS, {status.reason})
        if status.connected:
            self._resolve(lambda transport, problem: transport == CONF_CMPP and problem is Reason.SUSPENDED)
        self._changed()

    def _is_connection_problem(self, transport: str, reason: Reason) -> bool:
        """Return whether a message over CMPP failed only because the connection, which has its own repair, is down."""
        suspended = reason is Reason.SUSPENDED and self.connection is not None and self.connection.connected
        return transport == CONF_CMPP and reason in _TRANSPORT_PROBLEMS and not suspended

    def _set_problem(self, transport: str, problem: Reason | None) -> None:
        if problem is Reason.AUTHENTICATION:
            self._entry.async_start_reauth(self._hass, data={CONF_TRANSPORT: CONF_HTTP})
        if problem is self._problems.get(transport):
            return
        self._problems[transport] = problem
        async_show_issues(self._hass, self._entry, PROBLEMS, {*self._problems.values()})
        self._changed()

    def _resolve(self, is_resolved: Callable[[str, Reason], bool]) -> None:
        """Clear the problems for which `is_resolved` returns true, given their transport and reason."""
        for transport, problem in list(self._problems.items()):
            if problem is not None and is_resolved(transport, problem):
                self._set_problem(transport, None)

    def _changed(self) -> None:
        async_dispatcher_send(self._hass, signal_health(self._entry.entry_id))

    def _fire_held(self, receipt: Receipt) -> None:
        """Report a message that waits for manual review at the platform as a delivery report that is not final."""
        recipient = find_recipient(self._entry, receipt.number)
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
            "automatic": context_of(receipt).automatic,
            "redelivered": False,
        }
        async_fire(self._hass, EVENT_DELIVERY_REPORT, data)
        async_signal(self._hass, EVENT_DELIVERY_REPORT, data)
