"""How an account stands with the platform: what keeps it from sending, told as repairs that go away by themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_send

from ..client import Outcome, Reason, Receipt
from ..client.cmpp import Status
from ..const import (
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
from ..context import async_fire, is_automatic
from ..errors import language

# What a person has to mend at the platform or in the settings; for refused credentials there is reauthentication.
REPAIRS: Final = (Reason.IP, Reason.SIGNATURE, Reason.PRODUCT, Reason.PERMISSION, Reason.SUSPENDED)
STOPS_ALL: Final = (
    *REPAIRS,
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
# What a person has to mend so that the connection over CMPP comes about; a network that fails mends itself.
CONNECTION_REPAIRS: Final = {
    Reason.SUSPENDED: "connection_suspended",
    Reason.IP: "connection_ip",
    Reason.VERSION: "connection_version",
    Reason.MALFORMED: "connection_refused",
    Reason.LOGIN: "connection_refused",
    Reason.WRONG_ADDRESS: "connection_wrong_address",
}
_LOW_BALANCE: Final = "low_balance"
# The repairs that only an account with this way can have.
_OF_HTTP: Final = (_LOW_BALANCE, *(one.value for one in REPAIRS if one in _OF_THE_WAY - {Reason.SUSPENDED}))
_OF_CMPP: Final = (*CONNECTION_REPAIRS.values(), Reason.SUSPENDED.value)


class Standing:
    """The standing of one account.

    balance: None unknown. connection: how that over CMPP stands, None for an account without one.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self._hass = hass
        self._entry = entry
        self.balance: int | None = None
        self.connection = Status(connected=False) if CONF_CMPP in entry.data else None
        # By the way that it was met on. Repairs outlive a reload: what they tell still stands.
        first_way = CONF_HTTP if CONF_HTTP in entry.data else CONF_CMPP
        self._problems: dict[str, Reason | None] = {first_way: _repair_shown(hass, entry)}

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
    def record(self, receipt: Receipt, way: str = CONF_HTTP) -> None:
        """Take in what became of one number. way: that it went by."""
        if receipt.outcome in (Outcome.ACCEPTED, Outcome.HELD):
            self._settle(lambda met_on, problem: met_on == way or problem not in _OF_ONE_WAY)
        elif receipt.reason in STOPS_ALL and not (way == CONF_CMPP and self._is_of_connection(receipt.reason)):
            self._set(way, receipt.reason)
        if receipt.outcome is Outcome.HELD:
            self._tell_held(receipt)

    @callback
    def record_balance(self, balance: int | None) -> None:
        """Take in the balance; None where the account may not ask for it.

        The platform answered: only what the balance can't show, a missing signature or permission, may still be wrong.
        """
        self.balance = balance
        self._settle(lambda _, problem: problem not in _NOT_OF_THE_BALANCE)
        self.show_balance()

    @callback
    def show_balance(self) -> None:
        """Show whether the balance is low, by the threshold as it is now."""
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
            self._set(CONF_HTTP, reason)

    @callback
    def forget(self) -> None:
        """Forget what kept messages from the platform: settings have changed, and the next message will tell."""
        self._settle(lambda *_: True)

    @callback
    def record_connection(self, status: Status) -> None:
        """Take in how the connection over CMPP stands."""
        self.connection = status
        if status.reason is Reason.AUTHENTICATION:
            self._entry.async_start_reauth(self._hass, data={CONF_WAY: CONF_CMPP})
        shown = CONNECTION_REPAIRS.get(status.reason) if status.reason else None
        self._show_issues([shown] if shown else [], CONNECTION_REPAIRS.values())
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
            self._entry.async_start_reauth(self._hass, data={CONF_WAY: CONF_HTTP})
        if problem is self._problems.get(way):
            return
        self._problems[way] = problem
        shown = {f"problem_{one}" for one in self._problems.values() if one in REPAIRS}
        self._show_issues(shown, [f"problem_{one}" for one in REPAIRS])
        self._changed()

    def _settle(self, is_settled: Callable[[str, Reason], bool]) -> None:
        """Let go of the problems that are no more, told by their way and reason."""
        for way, problem in list(self._problems.items()):
            if problem is not None and is_settled(way, problem):
                self._set(way, None)

    def _show_issues(self, shown: Collection[str], among: Iterable[str]) -> None:
        """Show some of these repairs, and the others no more."""
        for key in among:
            if key not in shown:
                ir.async_delete_issue(self._hass, DOMAIN, self._issue_id(key))
                continue
            ir.async_create_issue(
                self._hass,
                DOMAIN,
                self._issue_id(key),
                is_fixable=False,
                severity=ir.IssueSeverity.ERROR,
                translation_key=key,
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
            "automatic": is_automatic(),
            "redelivered": False,
        }
        async_fire(self._hass, EVENT_DELIVERY_REPORT, data)
        async_dispatcher_send(self._hass, signal_report(self._entry.entry_id), data)


def _repair_shown(hass: HomeAssistant, entry: ConfigEntry[Any]) -> Reason | None:
    """Return what a repair of an account tells that it is to mend, if one does."""
    issues = ir.async_get(hass)
    for reason in REPAIRS:
        issue = issues.async_get_issue(DOMAIN, f"{reason}_{entry.entry_id}")
        if issue is not None and issue.active:
            return reason
    return None


@callback
def async_remove_issues(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Take back the repairs of an account that is no more."""
    _remove(hass, entry, (_LOW_BALANCE, *(reason.value for reason in REPAIRS), *_OF_CMPP))


@callback
def async_remove_left_over_issues(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Take back the repairs of a way that the account has no more."""
    for way, kinds in ((CONF_HTTP, _OF_HTTP), (CONF_CMPP, _OF_CMPP)):
        if way not in entry.data:
            _remove(hass, entry, kinds)


def _remove(hass: HomeAssistant, entry: ConfigEntry[Any], kinds: Iterable[str]) -> None:
    for kind in kinds:
        ir.async_delete_issue(hass, DOMAIN, f"{kind}_{entry.entry_id}")
