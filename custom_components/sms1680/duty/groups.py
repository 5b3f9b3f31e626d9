"""The duty groups of an account: their members, and how their alarms escalate."""

from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigSubentry

from ..const import (
    CONF_ALL_AFTER,
    CONF_MEMBERS,
    CONF_NEXT_AFTER,
    CONF_REPEAT_EVERY,
    CONF_REPEAT_FOR,
)
from ..recipients import recipients
from .engine import EscalationPlan


def member_names(entry: ConfigEntry[Any], group: ConfigSubentry) -> dict[str, str]:
    """Return the names of a group's members in order, without those that were removed from the account."""
    names = {subentry.subentry_id: subentry.title for subentry in recipients(entry)}
    return {member: names[member] for member in group.data[CONF_MEMBERS] if member in names}


def escalation_plan(entry: ConfigEntry[Any], group: ConfigSubentry) -> EscalationPlan:
    """Return how the alarms of a group escalate."""
    next_after, all_after, repeat_every, repeat_for = (
        group.data[name] * 60.0 for name in (CONF_NEXT_AFTER, CONF_ALL_AFTER, CONF_REPEAT_EVERY, CONF_REPEAT_FOR)
    )
    return EscalationPlan(tuple(member_names(entry, group)), next_after, all_after, repeat_every, repeat_for)
