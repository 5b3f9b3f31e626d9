"""The actions `raise_alarm`, `acknowledge` and `resolve_alarm`."""

from collections.abc import Iterable
from typing import Any, Final

import voluptuous as vol
from homeassistant.config_entries import ConfigEntry, ConfigEntryState, ConfigSubentry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse
from homeassistant.helpers import config_validation as cv, device_registry as dr, entity_registry as er

from ..const import DOMAIN
from ..errors import validation_error
from ..events.context import is_automatic
from ..outbound.recipients import async_authorise
from ..recipients import groups
from .engine import DutyAlarm
from .manager import AlarmManager, alarm_manager

ATTR_GROUP: Final = "group"
ATTR_MESSAGE: Final = "message"
ATTR_KEY: Final = "key"
ATTR_ALARM: Final = "alarm"
ATTR_BY: Final = "by"

_TEXT: Final = vol.All(cv.string, vol.Length(min=1, msg="must not be empty"))
RAISE_ALARM: Final = vol.Schema(
    {vol.Required(ATTR_GROUP): cv.string, vol.Required(ATTR_MESSAGE): _TEXT, vol.Optional(ATTR_KEY): _TEXT}
)
CHANGE_ALARM: Final = vol.Schema(
    {
        vol.Optional(ATTR_GROUP): cv.string,
        vol.Optional(ATTR_KEY): _TEXT,
        vol.Optional(ATTR_ALARM): cv.string,
        vol.Optional(ATTR_BY): _TEXT,
    }
)


async def async_raise_alarm(call: ServiceCall) -> ServiceResponse:
    """Raise an alarm in a group, or add to an open one."""
    hass, data = call.hass, call.data
    entry, group = _find_group(hass, data[ATTR_GROUP])
    await _async_authorise(call, [(entry, group.subentry_id)])
    if entry.state is not ConfigEntryState.LOADED:
        raise validation_error("account_not_loaded", account=entry.title)
    automatic = is_automatic(hass, call.context)
    manager = alarm_manager(hass, entry)
    alarm = await manager.async_raise(group, data[ATTR_MESSAGE], data.get(ATTR_KEY), call.context, automatic=automatic)
    return _as_response(alarm)


async def async_acknowledge(call: ServiceCall) -> ServiceResponse:
    """Acknowledge open alarms."""
    selected, by = await _async_select(call)
    for manager, alarms in selected:
        await manager.async_acknowledge(alarms, by, call.context)
    return {"alarms": [_as_response(alarm) for _, alarms in selected for alarm in alarms]}


async def async_resolve_alarm(call: ServiceCall) -> ServiceResponse:
    """Close open alarms."""
    selected, by = await _async_select(call)
    for manager, alarms in selected:
        await manager.async_resolve(alarms, by, call.context)
    return {"alarms": [_as_response(alarm) for _, alarms in selected for alarm in alarms]}


def _find_group(hass: HomeAssistant, given: str) -> tuple[ConfigEntry[Any], ConfigSubentry]:
    """Return a group by its name, its device or its notify entity. Raises ServiceValidationError."""
    device, entity = dr.async_get(hass).async_get(given), er.async_get(hass).async_get(given)
    found = [
        (entry, group)
        for entry in hass.config_entries.async_entries(DOMAIN)
        for group in groups(entry)
        if given == group.title
        or (entity is not None and entity.config_subentry_id == group.subentry_id)
        or (device is not None and (DOMAIN, f"{entry.entry_id}_{group.subentry_id}") in device.identifiers)
    ]
    if not found:
        raise validation_error("no_such_group", group=given)
    if len(found) > 1:
        raise validation_error("several_groups", group=given)
    return found[0]


async def _async_select(call: ServiceCall) -> tuple[list[tuple[AlarmManager, list[DutyAlarm]]], str | None]:
    """Return the open alarms that a call names, by account, and the name of the person who calls."""
    hass, data = call.hass, call.data
    account, group_id = None, None
    if not {ATTR_GROUP, ATTR_KEY, ATTR_ALARM} & data.keys():
        raise validation_error("no_alarm_selected")
    if ATTR_GROUP in data:
        account, group = _find_group(hass, data[ATTR_GROUP])
        group_id = group.subentry_id
    selected = []
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        manager = alarm_manager(hass, entry)
        alarms = [
            alarm
            for alarm in manager.open_alarms(group_id)
            if data.get(ATTR_KEY, alarm.key) == alarm.key and data.get(ATTR_ALARM, alarm.id) == alarm.id
        ]
        await _async_authorise(call, {(entry, alarm.group) for alarm in alarms})
        selected.append((manager, alarms))
    if not any(alarms for _, alarms in selected):
        # The alarm can be one of an account that will go on with it later.
        for entry in hass.config_entries.async_entries(DOMAIN, include_disabled=False):
            if entry.state is not ConfigEntryState.LOADED and groups(entry) and account in (None, entry):
                raise validation_error("account_not_loaded", account=entry.title)
    by = data.get(ATTR_BY)
    if by is None and call.context.user_id is not None:
        user = await hass.auth.async_get_user(call.context.user_id)
        by = user.name if user else None
    return selected, by


async def _async_authorise(call: ServiceCall, wanted: Iterable[tuple[ConfigEntry[Any], str]]) -> None:
    """Check that the caller may control the notify entities of these groups. Raises Unauthorized."""
    registry = er.async_get(call.hass)
    entity_ids = [
        registry.async_get_entity_id(Platform.NOTIFY, DOMAIN, f"{entry.entry_id}_{group_id}_group")
        for entry, group_id in wanted
    ]
    await async_authorise(call, [one or "notify" for one in entity_ids], raw_numbers=False)


def _as_response(alarm: DutyAlarm) -> dict[str, Any]:
    """Return an alarm in the response of an action."""
    return {
        "alarm": alarm.id,
        "number": alarm.number,
        "key": alarm.key,
        "state": alarm.state.value,
        "count": alarm.count,
        "by": alarm.by,
    }
