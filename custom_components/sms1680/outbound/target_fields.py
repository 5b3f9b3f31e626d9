"""The fields of an action that name its targets."""

from typing import Any, Final

import voluptuous as vol
from homeassistant.const import (
    ATTR_AREA_ID,
    ATTR_DEVICE_ID,
    ATTR_ENTITY_ID,
    ATTR_FLOOR_ID,
    ATTR_LABEL_ID,
    ENTITY_MATCH_ALL,
    ENTITY_MATCH_NONE,
)
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType

MATCHES: Final = frozenset({ENTITY_MATCH_ALL, ENTITY_MATCH_NONE})


def _read_entity_ids(value: Any) -> list[str]:  # noqa: ANN401 - any user input
    """Return the entity ids of a call. An invalid one remains: it is the only wrong target.

    Raises vol.Invalid for `all` or `none` alone: no target means everybody.
    """
    given = value.split(",") if isinstance(value, str) else cv.ensure_list(value)
    entity_ids = [one.lower() for one in (cv.string(one).strip() for one in given) if one]
    if entity_ids and MATCHES.issuperset(entity_ids):
        raise vol.Invalid("a target must be named: no target means everybody")
    return entity_ids


_IDS: Final = vol.All(cv.ensure_list, [cv.string])
TARGET_FIELDS: Final[VolDictType] = {
    vol.Optional(ATTR_ENTITY_ID): _read_entity_ids,
    **{vol.Optional(name): _IDS for name in (ATTR_DEVICE_ID, ATTR_AREA_ID, ATTR_FLOOR_ID, ATTR_LABEL_ID)},
}
