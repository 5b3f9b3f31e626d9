"""What a message may be given besides its text, by action and by YAML alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import voluptuous as vol
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util

from .delivery import Options

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
