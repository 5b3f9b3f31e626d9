"""What a message may be given besides its text, by action and by YAML alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import voluptuous as vol
from homeassistant.core import ServiceCall
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util

from ..const import (
    CONF_FALLBACK,
    CONF_FALLBACK_ACCOUNT,
    CONF_FALLBACK_ACTIONS,
    CONF_KEEP_TRYING,
    CONF_REPORT_WITHIN,
    CONF_SAFE_TEXT,
)
from ..deferred.policy import DeliveryPolicy, Fallback, to_seconds
from ..outbound.message import Options
from ..outbound.recipients import async_authorise

ATTR_AT: Final = "at"
ATTR_EXTENSION: Final = "extension"
ATTR_PRIORITY: Final = "priority"

PRIORITY: Final[VolDictType] = {vol.Optional(ATTR_PRIORITY, default="normal"): vol.In(["normal", "critical"])}
MESSAGE_OPTIONS: Final[VolDictType] = {
    vol.Optional(ATTR_AT): cv.datetime,
    # An integer is let in here for the core to refuse it in words: YAML reads 012 as 10.
    vol.Optional(ATTR_EXTENSION): vol.Any(str, int),
    **PRIORITY,
}


def options_of(data: Mapping[str, Any]) -> Options:
    """Return the options that were given; a time without a zone is Home Assistant's own."""
    at = data.get(ATTR_AT)
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=dt_util.get_default_time_zone())
    return Options(at, data.get(ATTR_EXTENSION), data[ATTR_PRIORITY])


def actions(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - whatever a person has written
    """Check a sequence of actions and return it as it was written, so that it can be kept."""
    given: list[dict[str, Any]] = cv.ensure_list(value)
    cv.SCRIPT_SCHEMA(given)
    try:
        json.dumps(given)
    except (TypeError, ValueError):
        raise vol.Invalid("These actions hold something that can't be kept; put dates and times in quotes") from None
    return given


SAFE_TEXT: Final[VolDictType] = {vol.Optional(CONF_SAFE_TEXT): cv.string}
INSISTENCE: Final[VolDictType] = {
    **SAFE_TEXT,
    vol.Optional(CONF_KEEP_TRYING): cv.positive_time_period,
    vol.Optional(CONF_FALLBACK_ACCOUNT): cv.string,
    vol.Optional(CONF_FALLBACK): cv.entities_domain("notify"),
    vol.Optional(CONF_FALLBACK_ACTIONS): actions,
    vol.Optional(CONF_REPORT_WITHIN): cv.positive_time_period,
}


async def async_asked(call: ServiceCall) -> DeliveryPolicy:
    """Return what a call asks for.

    Raises Unauthorized where the caller may not use what comes next: another account needs what raw numbers need.
    """
    data = call.data
    fallback = Fallback(
        data.get(CONF_FALLBACK_ACCOUNT),
        tuple(data.get(CONF_FALLBACK, ())),
        tuple(data.get(CONF_FALLBACK_ACTIONS, ())),
        to_seconds(data.get(CONF_REPORT_WITHIN)),
    )
    if fallback:
        await async_authorise(call, fallback.entities, raw_numbers=fallback.account is not None)
    return DeliveryPolicy(to_seconds(data.get(CONF_KEEP_TRYING)), data.get(CONF_SAFE_TEXT), fallback)
