"""Send the data of a bus event to the listeners of its account, and to those of its recipient only."""

from typing import Any, Protocol

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send

from ..const import ATTR_CONFIG_ENTRY_ID


class Signal(Protocol):
    """A function of `const` that returns the name of a dispatcher signal."""

    def __call__(self, entry_id: str, subentry_id: str | None = None) -> str:
        """Return the signal of an account, or of one of its recipients."""


@callback
def async_signal(hass: HomeAssistant, signal: Signal, data: dict[str, Any]) -> None:
    """Send the data of a bus event.

    Each recipient has a signal of its own, so that the work does not depend on how many recipients there are.
    """
    entry_id, subentry_id = data[ATTR_CONFIG_ENTRY_ID], data["subentry_id"]
    async_dispatcher_send(hass, signal(entry_id), data)
    if subentry_id is not None:
        async_dispatcher_send(hass, signal(entry_id, subentry_id), data)
