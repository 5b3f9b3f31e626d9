"""Reports how messages ended: an event for each send, and more if a message was not delivered.

A failed message fires an event once, whatever happens to it later. A critical one also creates a repair and a
persistent notification, which a later delivery to the same number removes. The journal notes which ends were
reported, so that the end of the program loses none.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.components import persistent_notification
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, Context, HassJob, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from ..client import DeliveryReport, Outcome, Receipt, Repeat, mask_number
from ..client.bounded import BoundedDict
from ..const import (
    ATTR_CONFIG_ENTRY_ID,
    DOMAIN,
    EVENT_MESSAGE_FAILED,
    EVENT_MESSAGE_SENT,
)
from ..errors import language
from ..events.context import async_fire, event_context
from ..events.signals import async_signal
from ..issues import CRITICAL_FAILED, without_markdown
from ..recipients import find_recipient
from ..store.db import DeliveryState, DeliveryUpdate, MessageStore, StartState, StoreError, comparable_number
from .failure import CAUSES, Failure, FailureCause, is_repeatable
from .models import DeliveryResult, QueuedMessage, digest_count, receipt_response

_LOGGER = logging.getLogger(__name__)

# An account receives delivery reports if the last one is not older than this.
_REPORTS_ARRIVE: Final = timedelta(days=7)
# How long after a call was cancelled its messages are checked; the platform has answered by then.
_SWEEP_DELAY: Final = 60.0  # seconds
# The rows of the messages that a call is busy with. A call can outlive a reload of its account.
_DATA_RUNNING: HassKey[set[int]] = HassKey(f"{DOMAIN}_running_messages")
# Failed reports that arrived while the call was still busy with the message, by its row.
_DATA_EARLY: HassKey[BoundedDict[int, DeliveryUpdate]] = HassKey(f"{DOMAIN}_early_reports")
_MAX_CONCLUDED: Final = 10_000  # rows whose mark in the journal may still be on its way
_TITLES: Final = ("Critical SMS not delivered", "紧急短信未送达")
_NOTICES: Final = (
    (
        "The critical SMS to {who} was not delivered.\n\n{problem}\n\nContact {who} in another way. "
        "A later delivery to {who} removes this notification."
    ),
    "发给{who}的紧急短信未送达。\n\n{problem}\n\n请用其他方式联系{who}。之后的短信送达{who}时，此通知会自动消失。",
)
_EXPIRED: Final = ("No delivery report came in time; it may still arrive.", "期限内没有收到状态报告，可能仍会送达。")


@callback
def async_fire_sent(
    hass: HomeAssistant, result: DeliveryResult, priority: str, caller: Context | None, *, automatic: bool = False
) -> None:
    """Fire the event of one send to one number, whatever its outcome. What happens after it has events of its own."""
    addressee, response = result.addressee, result.as_response()
    data = {
        ATTR_CONFIG_ENTRY_ID: addressee.entry.entry_id,
        **response,
        **_recipient(addressee.entry, addressee.number),
        "priority": priority,
        "repeatable": is_repeatable(result.receipt),
        "automatic": automatic,
        "digest": result.digest,
    }
    del data["trying_until"], data["fallback"]
    async_fire(hass, EVENT_MESSAGE_SENT, data, caller)


@callback
def async_report_receipt(
    hass: HomeAssistant,
    receipt: Receipt,
    priority: str,
    caller: Context | None,
    *,
    automatic: bool,
    long_text: str | None = None,
) -> None:
    """Fire the events of one send by the account of a YAML entry, which has neither a journal nor recipients."""
    origin = {ATTR_CONFIG_ENTRY_ID: None, "subentry_id": None, "long_text": long_text}
    kind = {"priority": priority, "repeatable": is_repeatable(receipt), "automatic": automatic, "digest": None}
    async_fire(hass, EVENT_MESSAGE_SENT, {**origin, **receipt_response(receipt, None), **kind}, caller)
    if receipt.outcome is not Outcome.ACCEPTED:
        failure = Failure.from_receipt(
            receipt, receipt.sentence(language(hass)), priority=priority, automatic=automatic
        )
        async_report(hass, None, failure, caller)


@callback
def async_report(
    hass: HomeAssistant, entry: ConfigEntry[Any] | None, failure: Failure, caller: Context | None = None
) -> None:
    """Report a message that was not delivered. entry: None for the account of a YAML entry."""
    data = failure.as_event(entry)
    with event_context(async_fire(hass, EVENT_MESSAGE_FAILED, data, caller)):
        if entry is not None:
            async_signal(hass, EVENT_MESSAGE_FAILED, data)
    if failure.priority != "critical":
        return
    zh = language(hass) == "zh"
    who = failure.name or mask_number(failure.number)
    subject = _subject(failure.number)
    CRITICAL_FAILED.async_create(
        hass,
        entry,
        subject,
        {"row": failure.row},
        who=who,
        problem=failure.problem,
        **({} if entry else {"account": "YAML"}),
    )
    persistent_notification.async_create(
        hass,
        _NOTICES[zh].format(who=without_markdown(who), problem=without_markdown(failure.problem)),
        _TITLES[zh],
        CRITICAL_FAILED.issue_id(entry, subject),
    )


class FailureReporter:
    """Reports the undelivered messages of one account. journal: has the states of sent messages."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], journal: MessageStore) -> None:
        self._hass = hass
        self._entry = entry
        self._journal = journal
        self._last_report: datetime | None = None
        self._concluded: BoundedDict[int, None] = BoundedDict(_MAX_CONCLUDED)
        self._running = hass.data.setdefault(_DATA_RUNNING, set())
        self._early = hass.data.setdefault(_DATA_EARLY, BoundedDict(_MAX_CONCLUDED))
        self._sweep_job = HassJob(self._async_sweep, f"{DOMAIN} sweep", cancel_on_shutdown=True)
        self._unsubscribe: list[CALLBACK_TYPE] = []

    @property
    def reports_arrive(self) -> bool:
        """Whether the account receives delivery reports: one came within the last seven days."""
        return self._last_report is not None and dt_util.utcnow() - self._last_report < _REPORTS_ARRIVE

    async def async_start(self, watched: Collection[int], state: StartState | None = None) -> None:
        """Report the messages that an earlier run left unreported.

        watched: rows whose fallback still waits. state: what the journal has just returned, None to read it.
        """
        if state is not None:
            self._last_report = state.last_report
            self._report_ends(state.unconcluded, watched)
            return
        with contextlib.suppress(StoreError):
            self._last_report = await asyncio.wrap_future(self._journal.last_report(self._entry.entry_id))
        await self._async_sweep(watched=watched)

    @callback
    def async_stop(self) -> None:
        """Cancel the check that waits."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe.clear()

    @callback
    def async_begin(self, rows: Iterable[int | None]) -> None:
        """Leave the ends of these messages to the call that is still busy with them."""
        self._running.update(row for row in rows if row is not None)

    @callback
    def async_release(self, rows: Collection[int]) -> None:
        """Report the messages of a call that has ended, if a failed report came and nobody has acted on it."""
        self._running.difference_update(rows)
        for row in rows:
            early = self._early.get(row)
            if early is not None and early.entry == self._entry.entry_id:
                del self._early[row]
                self.async_report_update(early)

    @callback
    def async_abandon(self, rows: Collection[int]) -> None:
        """Check the messages of a call that was cancelled, once the platform has answered."""
        self._running.difference_update(rows)
        for row in rows:
            self._early.pop(row, None)
        self._unsubscribe.append(async_call_later(self._hass, _SWEEP_DELAY, self._sweep_job))

    @callback
    def async_conclude(self, rows: Iterable[int | None]) -> None:
        """Note that the ends of these messages need no report any more."""
        found = [row for row in rows if row is not None]
        self._running.difference_update(found)
        new = [row for row in found if row not in self._concluded]
        if new:
            self._concluded.update(dict.fromkeys(new))
            self._journal.conclude(new)

    @callback
    def async_leave(self, row: int) -> None:
        """Leave the failed report of a message to its fallback."""
        self._running.discard(row)
        self._early.pop(row, None)

    @callback
    def async_end(self, result: DeliveryResult, priority: str, caller: Context | None, *, automatic: bool) -> None:
        """Report the end of a message, unless it waits for its delivery report, is still tried or was handled."""
        receipt = result.final_receipt
        if receipt.outcome is Outcome.ACCEPTED:
            self._running.discard(result.outgoing or 0)
            if (early := self._early.pop(result.outgoing or 0, None)) is not None:
                self.async_report_update(early)
            return
        if not result.is_handled and result.outgoing not in self._concluded:
            name = _recipient(self._entry, result.addressee.number)
            lang = language(self._hass)
            problem = result.drop_reason.sentence(lang) if result.drop_reason else receipt.sentence(lang)
            reason = result.drop_reason or receipt.reason
            failure = Failure.from_receipt(
                receipt,
                problem,
                name=name["recipient"],
                subentry_id=name["subentry_id"],
                reason=reason.value if reason else None,
                priority=priority,
                automatic=automatic,
                row=result.outgoing,
                fallback=result.fallback,
                digest=result.digest,
            )
            async_report(self._hass, self._entry, failure, caller)
        self.async_conclude([result.outgoing])

    @callback
    def async_report_message(
        self, message: QueuedMessage, cause: FailureCause, fallback: Collection[dict[str, str]]
    ) -> None:
        """Report a message whose fallback has run. It is not known by a row of the journal."""
        name, lang = _recipient(self._entry, message.number), language(self._hass)
        no_report = cause is FailureCause.NO_REPORT
        receipt = Receipt(message.number, Outcome.ACCEPTED if no_report else Outcome(cause.value))
        failure = Failure(
            cause,
            message.number,
            _EXPIRED[lang == "zh"] if no_report else receipt.sentence(lang),
            name=name["recipient"],
            subentry_id=name["subentry_id"],
            outcome=receipt.outcome,
            priority=message.priority,
            automatic=message.automatic,
            fallback=tuple(fallback),
        )
        async_report(self._hass, self._entry, failure)

    @callback
    def on_change(self, update: DeliveryUpdate) -> None:
        """Act on a new state of a message whose fallback does not wait."""
        if update.state in (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.PENDING):
            self._last_report = max(self._last_report or update.at, update.at)
        if update.state is DeliveryState.DELIVERED:
            self._clear(update)
        elif update.state in (DeliveryState.FAILED, DeliveryState.EXPIRED):
            if update.row in self._running:
                self._early[update.row] = update
            else:
                self.async_report_update(update)

    @callback
    def async_report_update(
        self, update: DeliveryUpdate, cause: FailureCause | None = None, fallback: Collection[dict[str, str]] = ()
    ) -> None:
        """Report a message by its state in the journal, unless it was reported already.

        cause: overrides the state, for a report that did not come in time.
        """
        if update.concluded or update.row in self._concluded or update.row in self._running:
            return
        if cause is None:
            cause = CAUSES.get(update.state)
            if cause is None or (cause is FailureCause.NO_REPORT and not self.reports_arrive):
                return
        name = _recipient(self._entry, update.number)
        outcome = Outcome.ACCEPTED if cause in (FailureCause.FAILED, FailureCause.NO_REPORT) else Outcome(cause.value)
        receipt = Receipt(update.number, outcome, update.message_id, update.reason, update.parts)
        lang, repeatable = language(self._hass), is_repeatable(receipt)
        problem = _EXPIRED[lang == "zh"] if cause is FailureCause.NO_REPORT else receipt.sentence(lang)
        if cause is FailureCause.FAILED:
            report = DeliveryReport("", update.number, update.status or "")
            problem, repeatable = report.sentence(lang), report.repeat is Repeat.YES
        failure = Failure(
            cause,
            update.number,
            problem,
            name=name["recipient"],
            subentry_id=name["subentry_id"],
            outcome=outcome,
            reason=update.reason.value if update.reason else None,
            status=update.status,
            message_id=update.message_id,
            parts=update.parts,
            priority=update.priority,
            repeatable=repeatable,
            automatic=update.automatic,
            row=update.row,
            fallback=tuple(fallback),
            digest=digest_count(update.attempt),
        )
        async_report(self._hass, self._entry, failure)
        self.async_conclude([update.row])

    async def _async_sweep(self, _: datetime | None = None, watched: Collection[int] = ()) -> None:
        """Report the ends that no running call will report."""
        try:
            updates = await asyncio.wrap_future(self._journal.unconcluded(self._entry.entry_id))
        except StoreError as error:
            _LOGGER.warning("Could not look for undelivered messages in the message store (%s)", error)
            return
        self._report_ends(updates, watched)

    def _report_ends(self, updates: Iterable[DeliveryUpdate], watched: Collection[int]) -> None:
        for update in updates:
            if update.row not in watched:
                self.async_report_update(update)

    @callback
    def _clear(self, update: DeliveryUpdate) -> None:
        """Remove the repair and the notification of an earlier message to this number."""
        issue_id = CRITICAL_FAILED.issue_id(self._entry, _subject(update.number))
        issue = ir.async_get(self._hass).async_get_issue(DOMAIN, issue_id)
        if issue is not None and update.row >= int((issue.data or {}).get("row") or 0):
            ir.async_delete_issue(self._hass, DOMAIN, issue_id)
            persistent_notification.async_dismiss(self._hass, issue_id)


def _subject(number: str) -> str:
    """Return an id for one number's repair that does not show the number."""
    return hashlib.sha256(comparable_number(number).encode()).hexdigest()[:12]


def _recipient(entry: ConfigEntry[Any], number: str) -> dict[str, str | None]:
    """Return the name and the subentry of the recipient with this number, None each for another number."""
    recipient = find_recipient(entry, comparable_number(number))
    return {
        "recipient": recipient.title if recipient else None,
        "subentry_id": recipient.subentry_id if recipient else None,
    }
