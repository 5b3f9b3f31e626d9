"""Hand the data of a bus event to the listeners of its account, and to those of its recipient only.

Home Assistant's dispatcher would do, but it takes as long as all the rest of an event. Its log of an error quotes what
the listeners were given, too.
"""

import logging
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from ..const import ATTR_CONFIG_ENTRY_ID, DOMAIN

_LOGGER = logging.getLogger(__name__)

type Listener = Callable[[dict[str, Any]], None]
type _Key = tuple[str, str, str | None]

_LISTENERS: HassKey[dict[_Key, tuple[Listener, ...]]] = HassKey(f"{DOMAIN}_listeners_of_events")


@callback
def async_listen(
    hass: HomeAssistant, event: str, listener: Listener, entry_id: str, subentry_id: str | None = None
) -> CALLBACK_TYPE:
    """Call a function with the data of each event of an account until the returned function is called.

    subentry_id: only those of this recipient, None for all. Each recipient has listeners of its own, so that the work
    does not depend on how many recipients there are.
    """
    listeners = hass.data.setdefault(_LISTENERS, {})
    key = (event, entry_id, subentry_id)
    listeners[key] = (*listeners.get(key, ()), listener)
    return partial(_remove, listeners, key, listener)


@callback
def async_signal(hass: HomeAssistant, event: str, data: dict[str, Any]) -> None:
    """Hand the data of a bus event to its listeners."""
    if (listeners := hass.data.get(_LISTENERS)) is None:
        return
    entry_id, subentry_id = data[ATTR_CONFIG_ENTRY_ID], data["subentry_id"]
    found = listeners.get((event, entry_id, None), ())
    if subentry_id is not None:
        found += listeners.get((event, entry_id, subentry_id), ())
    for listener in found:
        try:
            listener(data)
        except Exception as error:  # noqa: BLE001 - one listener must not affect the others
            _log(event, error)


def _remove(listeners: dict[_Key, tuple[Listener, ...]], key: _Key, listener: Listener) -> None:
    if left := tuple(one for one in listeners.get(key, ()) if one != listener):
        listeners[key] = left
    else:
        listeners.pop(key, None)


def _log(event: str, error: Exception) -> None:
    """Log where a listener failed, without the text of the error, which could quote a message."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    where = frame.f_code
    _LOGGER.error(
        "A listener of %s failed: %s in %s, line %s of %s",
        event,
        type(error).__name__,
        where.co_qualname,
        line,
        where.co_filename,
    )
