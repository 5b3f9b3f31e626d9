"""The addressees of a call: recipients by entity, person, device, area or label, and numbers; and the permissions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import (
    ATTR_ENTITY_ID,
    Platform,
)
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.exceptions import ServiceValidationError, Unauthorized, UnknownUser
from homeassistant.helpers import entity_registry as er

from ..client import InvalidMessageError, Outcome, normalise_number
from ..client.numbers import split_numbers
from ..const import ATTR_CONFIG_ENTRY_ID, CONF_PERSON, DOMAIN, SUBENTRY_RECIPIENT
from ..errors import invalid_message_error, validation_error
from ..recipients import Addressee, find_recipient, recipients
from ..store.turns import in_turns
from .target_fields import MATCHES, TARGET_FIELDS

ATTR_NUMBER: Final = "number"


@dataclass(frozen=True, repr=False)
class WrongTarget:
    """A target of a call that cannot receive the message, while others can.

    written: as the call names it. reason: `number`, `recipient`, or why the account or the entity cannot be used.
    """

    written: str
    reason: str = "recipient"

    @property
    def outcome(self) -> Outcome:
        """Refused if the target itself is wrong; otherwise it can receive the message later."""
        return Outcome.REFUSED if self.reason in ("number", "recipient") else Outcome.NOT_SENT

    @classmethod
    def from_error(cls, written: str, error: ServiceValidationError) -> Self:
        """Return the target whose use raised this error."""
        return cls(written, _REASONS.get(error.translation_key or "", "recipient"))

    def as_response(self) -> dict[str, Any]:
        """Return the response of an action."""
        is_number = self.reason == "number"
        return {
            "number": self.written if is_number else None,
            "recipient": None if is_number else self.written,
            "outcome": self.outcome.value,
            "message_id": None,
            "parts": 0,
            "reason": self.reason,
        }


# The errors about one target, which can also be raised for a whole call.
_REASONS: Final = {
    "invalid_message": "number",
    "account_not_loaded": "account_not_loaded",
    "account_disabled": "account_disabled",
    "entity_disabled": "recipient_disabled",
}


class Selected(Protocol):
    """The entities that a target refers to, as Home Assistant returns them."""

    referenced: set[str]
    indirectly_referenced: set[str]
    missing_devices: set[str]
    missing_areas: set[str]
    missing_floors: set[str]
    missing_labels: set[str]


def find_entry(hass: HomeAssistant, entry_id: str | None) -> ConfigEntry[Any]:
    """Return the account with this entry id, or the only one. Raises ServiceValidationError that lists the accounts."""
    entries: list[ConfigEntry[Any]] = hass.config_entries.async_entries(DOMAIN)
    if entry_id is None:
        # An account that is being reloaded counts: another one must not send its messages.
        enabled = [entry for entry in entries if entry.disabled_by is None]
        if not entries:
            raise validation_error("no_account")
        if not enabled:
            several = validation_error("accounts_disabled", accounts=_listed(entries))
            raise not_loaded_error(entries[0]) if len(entries) == 1 else several
        if len(enabled) > 1:
            raise validation_error("several_accounts", accounts=_listed(enabled))
        entry_id = enabled[0].entry_id
    entry = next((entry for entry in entries if entry.entry_id == entry_id), None)
    if entry is None:
        raise validation_error("account_not_found", account=entry_id, accounts=_listed(entries))
    if entry.state is not ConfigEntryState.LOADED:
        raise not_loaded_error(entry)
    return entry


def check_loaded(addressees: Iterable[Addressee]) -> None:
    """Raise ServiceValidationError if an account of these addressees was unloaded since they were found."""
    for entry in {addressee.entry.entry_id: addressee.entry for addressee in addressees}.values():
        if entry.state is not ConfigEntryState.LOADED:
            raise not_loaded_error(entry)


def not_loaded_error(entry: ConfigEntry[Any]) -> ServiceValidationError:
    """Return the error for an account that is not loaded, for example because it is disabled."""
    key = "account_not_loaded" if entry.disabled_by is None else "account_disabled"
    return validation_error(key, account=entry.title)


async def async_target_addressees(call: ServiceCall) -> tuple[list[Addressee], list[WrongTarget]]:
    """Return the addressees of a call's target and numbers, each number once, in the order given; and wrong targets.

    Raises ServiceValidationError if no target can receive the message, or if none is given (there is no default).
    Raises Unauthorized if the caller lacks the permission.
    """
    hass = call.hass
    found, wrong, error = _recipients_of(hass, call)
    numbers = call.data.get(ATTR_NUMBER, [])
    await async_authorise(call, [entity_id for entity_id, _ in found], raw_numbers=bool(numbers))
    addressees = [addressee for _, addressee in found]
    wanted = call.data.get(ATTR_CONFIG_ENTRY_ID)
    _same_account(hass, wanted, addressees)
    if numbers:
        try:
            entry = find_entry(hass, wanted)
        except ServiceValidationError as no_account:
            raise error or no_account from None
        named, wrong_numbers, number_error = await async_addressees_of_numbers(hass, entry, numbers)
        check_loaded([*addressees, *named])
        addressees += named
        wrong += wrong_numbers
        error = error or number_error
    if not addressees:
        raise error or validation_error("no_target")
    return without_duplicates(addressees), wrong


def without_duplicates(addressees: Iterable[Addressee]) -> list[Addressee]:
    """Return each number of an account once, in order; a recipient replaces the number without a name."""
    once: dict[tuple[str, str], Addressee] = {}
    for addressee in addressees:
        key = (addressee.entry.entry_id, addressee.number)
        if key not in once or once[key].subentry_id is None:
            once[key] = addressee
    return list(once.values())


async def async_row_addressees(call: ServiceCall, rows: Sequence[Mapping[str, Any]]) -> list[Addressee | WrongTarget]:
    """Return the addressee of each row: an `entity_id` or a `number`. Raises as `async_target_addressees` does."""
    hass = call.hass
    wanted = call.data.get(ATTR_CONFIG_ENTRY_ID)
    named: dict[str, Addressee | WrongTarget] = {}
    first_error: ServiceValidationError | None = None
    for entity_id in (row[ATTR_ENTITY_ID] for row in rows if ATTR_ENTITY_ID in row):
        try:
            named[entity_id] = _one_recipient(hass, entity_id)
        except ServiceValidationError as error:
            named[entity_id] = WrongTarget.from_error(entity_id, error)
            first_error = first_error or error
    right = {entity_id: one for entity_id, one in named.items() if isinstance(one, Addressee)}
    numbers = [row[ATTR_NUMBER] for row in rows if ATTR_NUMBER in row]
    await async_authorise(call, right, raw_numbers=bool(numbers))
    _same_account(hass, wanted, right.values())
    entry = find_entry(hass, wanted) if numbers else None
    found: list[Addressee | WrongTarget] = []
    async for row in in_turns(rows):
        if entry is None or ATTR_NUMBER not in row:
            found.append(named[row[ATTR_ENTITY_ID]])
            continue
        try:
            found.append(_of_number(hass, entry, row[ATTR_NUMBER]))
        except ServiceValidationError as error:
            found.append(WrongTarget(row[ATTR_NUMBER], "number"))
            first_error = first_error or error
    addressees = [one for one in found if isinstance(one, Addressee)]
    if first_error is not None and not addressees:
        raise first_error
    check_loaded(addressees)
    return found


def _one_recipient(hass: HomeAssistant, entity_id: str) -> Addressee:
    """Return the recipient of a notify entity. Raises ServiceValidationError."""
    found = addressee_of_entity(hass, entity_id)
    if found is None:
        _check_enabled(hass, entity_id)
        raise validation_error("not_a_recipient", targets=entity_id)
    return found[1]


async def async_addressees_of_numbers(
    hass: HomeAssistant, entry: ConfigEntry[Any], written: Iterable[str]
) -> tuple[list[Addressee], list[WrongTarget], ServiceValidationError | None]:
    """Return the addressees of raw numbers, those that are not numbers, and the error if all were like these.

    A text can hold several numbers. An addressee has the name of a recipient that has the number.
    """
    found: list[Addressee] = []
    wrong: list[WrongTarget] = []
    first_error: ServiceValidationError | None = None
    async for place, (number, piece) in in_turns(enumerate(split_numbers(list(written)), 1)):
        if number is not None:
            found.append(_of_number(hass, entry, number))
            continue
        wrong.append(WrongTarget(piece, "number"))
        try:
            _of_number(hass, entry, piece, place)
        except ServiceValidationError as error:
            first_error = first_error or error
    return found, wrong, first_error


def _of_number(hass: HomeAssistant, entry: ConfigEntry[Any], written: str, place: int = 1) -> Addressee:
    """Return the addressee of a raw number. Raises ServiceValidationError."""
    try:
        number = normalise_number(written, f"number {place}", f"第 {place} 个号码")
    except InvalidMessageError as error:
        raise invalid_message_error(hass, error) from None
    recipient = find_recipient(entry, number)
    return Addressee(entry, number, recipient.title if recipient else None)


def accepts_critical(hass: HomeAssistant, addressee: Addressee) -> bool:
    """Return whether a recipient's notify entity for critical messages is enabled."""
    entities = er.async_get(hass)
    unique_id = f"{addressee.entry.entry_id}_{addressee.subentry_id}_notify_critical"
    entity = entities.async_get(entities.async_get_entity_id(Platform.NOTIFY, DOMAIN, unique_id) or "")
    return entity is not None and not entity.disabled


def _same_account(hass: HomeAssistant, wanted: str | None, addressees: Iterable[Addressee]) -> None:
    """Raise ServiceValidationError if the call names an account and a recipient belongs to another one."""
    if wanted is None:
        return
    entry = find_entry(hass, wanted)
    others = [addressee.name or "" for addressee in addressees if addressee.entry is not entry]
    if others:
        raise validation_error("other_account", recipients=", ".join(others), account=entry.title)


def addressee_of_entity(hass: HomeAssistant, entity_id: str) -> tuple[str, Addressee] | None:
    """Return a notify entity's id with its recipient, None if the entity does not belong to this integration."""
    entity = er.async_get(hass).async_get(entity_id)
    found = registered_recipient(hass, entity_id)
    if entity is None or entity.disabled or found is None:
        return None
    if found.entry.state is not ConfigEntryState.LOADED:
        raise not_loaded_error(found.entry)
    return entity_id, found


def registered_recipient(hass: HomeAssistant, entity_id: str) -> Addressee | None:
    """Return the recipient of a notify entity, whether it can be used now or not; None if it is not one of ours."""
    entity = er.async_get(hass).async_get(entity_id)
    if entity is None or entity.platform != DOMAIN or entity.domain != Platform.NOTIFY:
        return None
    entry = hass.config_entries.async_get_entry(entity.config_entry_id or "")
    subentry = entry.subentries.get(entity.config_subentry_id or "") if entry else None
    if entry is None or subentry is None or subentry.subentry_type != SUBENTRY_RECIPIENT:
        return None
    return Addressee.from_subentry(entry, subentry)


def persons_recipients(hass: HomeAssistant, entity_id: str) -> list[Addressee]:
    """Return the recipients that belong to a person, whether their accounts are loaded or not."""
    return [
        Addressee.from_subentry(entry, subentry)
        for entry in hass.config_entries.async_entries(DOMAIN)
        for subentry in recipients(entry)
        if subentry.data.get(CONF_PERSON) == entity_id
    ]


def _check_enabled(hass: HomeAssistant, entity_id: str) -> None:
    """Raise ServiceValidationError if a notify entity of this integration is disabled, or its account is."""
    entity = er.async_get(hass).async_get(entity_id)
    if entity is None or entity.platform != DOMAIN or entity.domain != Platform.NOTIFY or not entity.disabled:
        return
    entry = hass.config_entries.async_get_entry(entity.config_entry_id or "")
    if entry is not None and entry.disabled_by is not None:
        raise validation_error("account_disabled", account=entry.title)
    raise validation_error("entity_disabled", entity=entity_id)


async def async_authorise(call: ServiceCall, entity_ids: Iterable[str], *, raw_numbers: bool) -> None:
    """Check that the caller may control these entities. Only administrators and automations may use raw numbers.

    Raises Unauthorized.
    """
    user_id = call.context.user_id
    if user_id is None:
        return
    user = await call.hass.auth.async_get_user(user_id)
    if user is None:
        raise UnknownUser(context=call.context, permission=POLICY_CONTROL)
    if raw_numbers and not user.is_admin:
        raise Unauthorized(context=call.context, permission=POLICY_CONTROL)
    for entity_id in entity_ids:
        if not user.permissions.check_entity(entity_id, POLICY_CONTROL):
            raise Unauthorized(context=call.context, entity_id=entity_id, permission=POLICY_CONTROL)


def _recipients_of(
    hass: HomeAssistant, call: ServiceCall
) -> tuple[list[tuple[str, Addressee]], list[WrongTarget], ServiceValidationError | None]:
    """Return the recipients of a call's target, the targets that are none, and the error if all were like these.

    Of areas, devices and labels, only the recipients among their entities count.
    """
    if not any(call.data.get(str(name)) for name in TARGET_FIELDS):
        return [], [], None
    selected = select(hass, call)
    missing = [
        *sorted(selected.missing_devices),
        *sorted(selected.missing_areas),
        *sorted(selected.missing_floors),
        *sorted(selected.missing_labels),
    ]
    wrong = [WrongTarget(written) for written in missing]
    first_error: ServiceValidationError | None = None
    found: list[tuple[str, Addressee]] = []
    given = call.data.get(ATTR_ENTITY_ID) or []
    matches = MATCHES.intersection(given)  # Home Assistant leaves them out
    for entity_id in _in_order(selected.referenced | matches, given):
        try:
            ours = _named(hass, entity_id)
            if not ours:
                _check_enabled(hass, entity_id)
                missing.append(entity_id)
                wrong.append(WrongTarget(entity_id))
            found += ours
        except ServiceValidationError as error:
            first_error = first_error or error
            wrong.append(WrongTarget.from_error(entity_id, error))
    for entity_id in sorted(selected.indirectly_referenced):
        try:
            if entity_id.startswith(f"{Platform.NOTIFY}.") and (one := addressee_of_entity(hass, entity_id)):
                found.append(one)
        except ServiceValidationError as error:
            first_error = first_error or error
            wrong.append(WrongTarget.from_error(entity_id, error))
    if missing:
        first_error = first_error or validation_error("not_a_recipient", targets=", ".join(missing))
    return found, wrong, first_error


def _named(hass: HomeAssistant, entity_id: str) -> list[tuple[str, Addressee]]:
    """Return the recipient of a notify entity, or the recipients that belong to a person."""
    if not entity_id.startswith("person."):
        one = addressee_of_entity(hass, entity_id)
        return [one] if one else []
    entities = er.async_get(hass)
    persons = []
    for addressee in persons_recipients(hass, entity_id):
        unique_id = f"{addressee.entry.entry_id}_{addressee.subentry_id}_notify"
        own = entities.async_get_entity_id(Platform.NOTIFY, DOMAIN, unique_id)
        one = addressee_of_entity(hass, own) if own else None
        persons += [one] if one else []
    return persons


def _in_order(found: set[str], given: Sequence[str]) -> list[str]:
    """Return entity ids in the order given, the members of groups last."""
    order = {entity_id: place for place, entity_id in enumerate(given)}
    return sorted(found, key=lambda entity_id: (order.get(entity_id, len(order)), entity_id))


def select(hass: HomeAssistant, call: ServiceCall) -> Selected:
    """Return all entities that a call's target refers to, including those of other integrations."""
    selected: Selected
    try:
        from homeassistant.helpers.target import (  # noqa: PLC0415 - 2025.8 and later
            TargetSelection,
            async_extract_referenced_entity_ids,
        )
    except ImportError:
        from homeassistant.helpers import service  # noqa: PLC0415

        selected = service.async_extract_referenced_entity_ids(hass, call)  # type: ignore[attr-defined]
    else:
        selected = async_extract_referenced_entity_ids(hass, TargetSelection(dict(call.data)))
    return selected


def _listed(entries: Iterable[ConfigEntry[Any]]) -> str:
    return ", ".join(f"{entry.title} ({entry.entry_id})" for entry in entries)
