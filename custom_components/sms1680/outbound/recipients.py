"""The addressees of a call: recipients by entity, person, device, area or label, and numbers; and the permissions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import voluptuous as vol
from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import (
    ATTR_AREA_ID,
    ATTR_DEVICE_ID,
    ATTR_ENTITY_ID,
    ATTR_FLOOR_ID,
    ATTR_LABEL_ID,
    Platform,
)
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.exceptions import Unauthorized, UnknownUser
from homeassistant.helpers import config_validation as cv, entity_registry as er
from homeassistant.helpers.typing import VolDictType

from ..client import InvalidMessageError, normalise_number
from ..const import ATTR_CONFIG_ENTRY_ID, CONF_NUMBER, CONF_PERSON, DOMAIN
from ..errors import invalid_message_error, validation_error
from ..recipients import Addressee, recipients

ATTR_NUMBER: Final = "number"

_IDS: Final = vol.All(cv.ensure_list, [cv.string])
TARGET_FIELDS: Final[VolDictType] = {
    vol.Optional(ATTR_ENTITY_ID): cv.entity_ids,
    **{vol.Optional(name): _IDS for name in (ATTR_DEVICE_ID, ATTR_AREA_ID, ATTR_FLOOR_ID, ATTR_LABEL_ID)},
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
        if not enabled:
            raise validation_error("no_account")
        if len(enabled) > 1:
            raise validation_error("several_accounts", accounts=_listed(enabled))
        entry_id = enabled[0].entry_id
    entry = next((entry for entry in entries if entry.entry_id == entry_id), None)
    if entry is None:
        raise validation_error("account_not_found", account=entry_id, accounts=_listed(entries))
    if entry.state is not ConfigEntryState.LOADED:
        raise validation_error("account_not_loaded", account=entry.title)
    return entry


async def async_target_addressees(call: ServiceCall) -> list[Addressee]:
    """Return the addressees of a call's target and numbers, each number once, in the order given.

    Raises ServiceValidationError if a target is not a recipient, or if no target is given (there is no default). Raises
    Unauthorized if the caller lacks the permission.
    """
    hass = call.hass
    found = _recipients_of(hass, call)
    numbers = call.data.get(ATTR_NUMBER, [])
    await async_authorise(call, [entity_id for entity_id, _ in found], raw_numbers=bool(numbers))
    addressees = [addressee for _, addressee in found]
    wanted = call.data.get(ATTR_CONFIG_ENTRY_ID)
    _same_account(hass, wanted, addressees)
    if numbers:
        addressees += addressees_of_numbers(hass, find_entry(hass, wanted), numbers)
    if not addressees:
        raise validation_error("no_target")
    return without_duplicates(addressees)


def without_duplicates(addressees: Iterable[Addressee]) -> list[Addressee]:
    """Return each number of an account once, in order; a recipient replaces the number without a name."""
    once: dict[tuple[str, str], Addressee] = {}
    for addressee in addressees:
        key = (addressee.entry.entry_id, addressee.number)
        if key not in once or once[key].subentry_id is None:
            once[key] = addressee
    return list(once.values())


async def async_row_addressees(call: ServiceCall, rows: Sequence[Mapping[str, Any]]) -> list[Addressee]:
    """Return the addressee of each row: an `entity_id` or a `number`. Raises as `async_target_addressees` does."""
    hass = call.hass
    numbers = [row[ATTR_NUMBER] for row in rows if ATTR_NUMBER in row]
    wanted = call.data.get(ATTR_CONFIG_ENTRY_ID)
    named: dict[str, Addressee] = {}
    for entity_id in (row[ATTR_ENTITY_ID] for row in rows if ATTR_ENTITY_ID in row):
        found = addressee_of_entity(hass, entity_id)
        if found is None:
            _check_enabled(hass, entity_id)
            raise validation_error("not_a_recipient", targets=entity_id)
        named[entity_id] = found[1]
    await async_authorise(call, named, raw_numbers=bool(numbers))
    _same_account(hass, wanted, named.values())
    raw = iter(addressees_of_numbers(hass, find_entry(hass, wanted), numbers) if numbers else ())
    return [named[row[ATTR_ENTITY_ID]] if ATTR_ENTITY_ID in row else next(raw) for row in rows]


def addressees_of_numbers(hass: HomeAssistant, entry: ConfigEntry[Any], numbers: Iterable[str]) -> list[Addressee]:
    """Return the addressees of raw numbers, with the name of a recipient that has the number.

    Raises ServiceValidationError.
    """
    known = {subentry.data[CONF_NUMBER]: subentry.title for subentry in recipients(entry)}
    found = []
    for place, given in enumerate(numbers, 1):
        try:
            number = normalise_number(given, f"number {place}", f"第 {place} 个号码")
        except InvalidMessageError as error:
            raise invalid_message_error(hass, error) from None
        found.append(Addressee(entry, number, known.get(number)))
    return found


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
        raise validation_error("account_not_loaded", account=found.entry.title)
    return entity_id, found


def registered_recipient(hass: HomeAssistant, entity_id: str) -> Addressee | None:
    """Return the recipient of a notify entity, whether it can be used now or not; None if it is not one of ours."""
    entity = er.async_get(hass).async_get(entity_id)
    if entity is None or entity.platform != DOMAIN or entity.domain != Platform.NOTIFY:
        return None
    entry = hass.config_entries.async_get_entry(entity.config_entry_id or "")
    subentry = entry.subentries.get(entity.config_subentry_id or "") if entry else None
    return Addressee.from_subentry(entry, subentry) if entry and subentry else None


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


def _recipients_of(hass: HomeAssistant, call: ServiceCall) -> list[tuple[str, Addressee]]:
    """Return the recipients of a call's target; of areas, devices and labels only the recipients among their entities.

    Raises ServiceValidationError if an entity that is named directly is not a recipient.
    """
    if not any(call.data.get(str(name)) for name in TARGET_FIELDS):
        return []
    selected = select(hass, call)
    missing = [
        *sorted(selected.missing_devices),
        *sorted(selected.missing_areas),
        *sorted(selected.missing_floors),
        *sorted(selected.missing_labels),
    ]
    found: list[tuple[str, Addressee]] = []
    for entity_id in _in_order(selected.referenced, call.data.get(ATTR_ENTITY_ID)):
        ours = _named(hass, entity_id)
        found += ours
        if not ours:
            _check_enabled(hass, entity_id)
            missing.append(entity_id)
    if missing:
        raise validation_error("not_a_recipient", targets=", ".join(missing))
    for entity_id in sorted(selected.indirectly_referenced):
        if entity_id.startswith(f"{Platform.NOTIFY}.") and (one := addressee_of_entity(hass, entity_id)):
            found.append(one)
    return found


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


def _in_order(entity_ids: set[str], given: Any) -> list[str]:  # noqa: ANN401 - as the schema leaves it
    """Return entity ids in the order given, the members of groups last."""
    order = {entity_id: place for place, entity_id in enumerate(given or [])}
    return sorted(entity_ids, key=lambda entity_id: (order.get(entity_id, len(order)), entity_id))


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
