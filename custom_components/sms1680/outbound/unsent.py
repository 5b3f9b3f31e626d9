"""Reports the messages of a call that is rejected before anything is sent.

The caller receives an error. An alarm's caller can be an automation at night, whose error is only a line in the log.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant, ServiceCall, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized

from ..account.journal import SendContext
from ..client import InvalidMessageError, Outcome, Reason, Receipt, normalise_number
from ..client.options import Priority
from ..const import ATTR_CONFIG_ENTRY_ID, DOMAIN, EVENT_MESSAGE_SENT
from ..deferred.failure import Failure, is_repeatable
from ..deferred.failures import async_report
from ..deferred.models import receipt_response
from ..errors import DropReason, language
from ..events.context import async_fire
from ..recipients import Addressee, find_recipient, recipients_named
from .recipients import ATTR_NUMBER, WrongTarget, async_authorise, persons_recipients, registered_recipient, select

# The errors whose cause is not the message. It was not sent, and can be sent once the cause is removed.
_CAUSES: Final = {
    "no_account": DropReason.ACCOUNT_NOT_FOUND,
    "account_not_found": DropReason.ACCOUNT_NOT_FOUND,
    "several_accounts": DropReason.ACCOUNT_AMBIGUOUS,
    "accounts_of_one_name": DropReason.ACCOUNT_AMBIGUOUS,
    "account_not_loaded": DropReason.ACCOUNT_NOT_LOADED,
    "account_disabled": DropReason.ACCOUNT_DISABLED,
    "accounts_disabled": DropReason.ACCOUNT_DISABLED,
    "entity_disabled": DropReason.RECIPIENT_DISABLED,
}


@dataclass(frozen=True, repr=False)
class Unsent:
    """The addressee of a message that no account could send.

    entry: the account, None if it is not found. number: empty if only the name is known.
    """

    entry: ConfigEntry[Any] | None
    number: str
    name: str | None = None
    subentry_id: str | None = None

    @classmethod
    def from_addressee(cls, addressee: Addressee) -> Self:
        """Return an addressee whose message was not sent."""
        return cls(addressee.entry, addressee.number, addressee.name, addressee.subentry_id)

    @classmethod
    def from_target(cls, entry: ConfigEntry[Any] | None, target: str) -> Self:
        """Return the addressee that a recipient's name or a number refers to, as far as it is known."""
        named = next(iter(recipients_named(entry, target)), None) if entry else None
        if named is None:
            try:
                number = normalise_number(target)
            except InvalidMessageError:
                return cls(entry, "", target)
            named = find_recipient(entry, number) if entry else None
            if named is None:
                return cls(entry, number)
        assert entry is not None  # noqa: S101 - it has the recipient
        addressee = Addressee.from_subentry(entry, named)
        return cls.from_addressee(addressee)


@callback
def async_report_unsent(
    hass: HomeAssistant, unsent: Unsent, cause: DropReason, priority: Priority, context: SendContext
) -> None:
    """Report a message that was not sent because its account cannot send."""
    receipt = Receipt(unsent.number, Outcome.NOT_SENT)
    _report(hass, unsent, receipt, cause.value, cause.sentence(language(hass)), priority, context)


@callback
def async_report_wrong(
    hass: HomeAssistant,
    entry: ConfigEntry[Any] | None,
    wrong: Iterable[WrongTarget],
    priority: Priority,
    context: SendContext,
) -> None:
    """Report the targets of a call that could not receive its message, while others did."""
    for one in wrong:
        is_number = one.reason == "number"
        unsent = Unsent(entry, one.written if is_number else "", None if is_number else one.written)
        receipt = Receipt(unsent.number, one.outcome, reason=Reason.NUMBER if is_number else None)
        sentence = DropReason(one.reason).sentence(language(hass))
        _report(hass, unsent, receipt, one.reason, sentence, priority, context)


@contextmanager
def reports_rejection(
    hass: HomeAssistant, unsent: Iterable[Unsent], priority: Priority, context: SendContext
) -> Iterator[None]:
    """Report the messages to these addressees if a ServiceValidationError is raised."""
    try:
        yield
    except ServiceValidationError as error:
        async_report_rejected(hass, unsent, error, priority, context)
        raise


@callback
def async_report_rejected(
    hass: HomeAssistant, unsent: Iterable[Unsent], error: HomeAssistantError, priority: Priority, context: SendContext
) -> None:
    """Report the messages of a call that was rejected with this error before anything was sent."""
    cause = _CAUSES.get(error.translation_key or "")
    for one in dict.fromkeys(unsent):
        if cause is DropReason.ACCOUNT_NOT_LOADED and one.entry is not None and one.entry.disabled_by is not None:
            async_report_unsent(hass, one, DropReason.ACCOUNT_DISABLED, priority, context)
        elif cause is not None:
            async_report_unsent(hass, one, cause, priority, context)
        else:
            problem = (error.translation_placeholders or {}).get("problem")
            receipt = Receipt(one.number, Outcome.REFUSED, reason=Reason.PARAMETER)
            sentence = problem or DropReason.INVALID_CALL.sentence(language(hass))
            _report(hass, one, receipt, Reason.PARAMETER.value, sentence, priority, context)


async def async_report_rejected_call(
    call: ServiceCall, rows: Iterable[Mapping[str, Any]], error: HomeAssistantError, context: SendContext
) -> None:
    """Report the messages of an action whose addressees could not be used. rows: with a number or an entity id each."""
    hass, wanted = call.hass, call.data.get(ATTR_CONFIG_ENTRY_ID)
    entries = [entry for entry in hass.config_entries.async_entries(DOMAIN) if wanted in (None, entry.entry_id)]
    entry = entries[0] if len(entries) == 1 else None
    given = [*call.data.get(ATTR_NUMBER, []), *(row[ATTR_NUMBER] for row in rows if ATTR_NUMBER in row)]
    selected = select(hass, call)
    entity_ids = [*(row[ATTR_ENTITY_ID] for row in rows if ATTR_ENTITY_ID in row)]
    entity_ids += sorted(selected.referenced | selected.indirectly_referenced)
    named: dict[str, list[Unsent]] = {}
    for entity_id in entity_ids:
        found = persons_recipients(hass, entity_id)
        if not found and (one := registered_recipient(hass, entity_id)) is not None:
            found = [one]
        named[entity_id] = [Unsent.from_addressee(addressee) for addressee in found]
    with suppress(Unauthorized):
        await async_authorise(call, [entity_id for entity_id, found in named.items() if found], raw_numbers=bool(given))
        unsent = [one for found in named.values() for one in found]
        numbered = (Unsent.from_target(entry, number) for number in given)
        unsent += [one for one in numbered if one.number]
        async_report_rejected(hass, unsent, error, call.data["priority"], context)


def _report(  # noqa: PLR0917 - the fields of one event
    hass: HomeAssistant,
    unsent: Unsent,
    receipt: Receipt,
    reason: str,
    problem: str,
    priority: Priority,
    context: SendContext,
) -> None:
    """Fire the event of a send, and report the failure."""
    data = {
        ATTR_CONFIG_ENTRY_ID: unsent.entry.entry_id if unsent.entry else None,
        **receipt_response(receipt, unsent.name),
        "subentry_id": unsent.subentry_id,
        "reason": reason,
        "safe_text": False,
        "repeated": False,
        "long_text": None,
        "delayed_until": None,
        "priority": priority,
        "repeatable": is_repeatable(receipt),
        "automatic": context.automatic,
        "digest": None,
    }
    async_fire(hass, EVENT_MESSAGE_SENT, data, context.caller)
    failure = Failure.from_receipt(
        receipt,
        problem,
        name=unsent.name,
        subentry_id=unsent.subentry_id,
        reason=reason,
        priority=priority,
        automatic=context.automatic,
    )
    async_report(hass, unsent.entry, failure, context.caller)
