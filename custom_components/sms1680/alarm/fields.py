"""The fields of the action that sends by which a call says how much is to be done for its message."""

from __future__ import annotations

import json
from typing import Any, Final

import voluptuous as vol
from homeassistant.core import ServiceCall
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType

from ..const import (
    CONF_FALLBACK,
    CONF_FALLBACK_ACCOUNT,
    CONF_FALLBACK_ACTIONS,
    CONF_KEEP_TRYING,
    CONF_REPORT_WITHIN,
    CONF_SAFE_TEXT,
)
from ..targets import async_authorise
from .insistence import Fallback, Insistence, seconds


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


async def async_asked(call: ServiceCall) -> Insistence:
    """Return what a call asks for.

    Raises Unauthorized where the caller may not use what comes next: another account needs what raw numbers need.
    """
    data = call.data
    fallback = Fallback(
        data.get(CONF_FALLBACK_ACCOUNT),
        tuple(data.get(CONF_FALLBACK, ())),
        tuple(data.get(CONF_FALLBACK_ACTIONS, ())),
        seconds(data.get(CONF_REPORT_WITHIN)),
    )
    if fallback:
        await async_authorise(call, fallback.entities, raw_numbers=fallback.account is not None)
    return Insistence(seconds(data.get(CONF_KEEP_TRYING)), data.get(CONF_SAFE_TEXT), fallback)
