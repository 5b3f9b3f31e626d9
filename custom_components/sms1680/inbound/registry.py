"""Registry of the inbound processors of all accounts."""

from collections import Counter
from datetime import datetime

from homeassistant.core import CALLBACK_TYPE, CoreState, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.start import async_at_started
from homeassistant.util.hass_dict import HassKey

from ..const import DOMAIN
from ..coordinator import Sms1680ConfigEntry
from .receiver import InboundProcessor

_ARMING_TIME = 1.0  # seconds that Home Assistant needs after its start to attach the automations' triggers


class InboundRegistry:
    """Holds one inbound processor per account, and their shared state.

    processors: by config entry id. watched_extensions: the extensions that triggers filter by, with the number of
    triggers for each. automations_armed: whether automations already listen for events.
    """

    def __init__(self, hass: HomeAssistant) -> None:
        self.processors: dict[str, InboundProcessor] = {}
        self.watched_extensions: Counter[str] = Counter()
        self.automations_armed = hass.state is CoreState.running
        self._hass = hass
        if not self.automations_armed:
            async_at_started(hass, self._async_started)

    @callback
    def async_get(self, entry: Sms1680ConfigEntry) -> InboundProcessor:
        """Return the processor of an entry. Create it on the first call."""
        processor = self.processors.get(entry.entry_id)
        if processor is None:
            processor = self.processors[entry.entry_id] = InboundProcessor(
                self._hass, entry, lambda: self.automations_armed, lambda: self.watched_extensions
            )
        return processor

    @callback
    def async_watch_extensions(self, extensions: list[str]) -> CALLBACK_TYPE:
        """Recognise these extensions in uplinks until the returned function is called."""
        self.watched_extensions.update(extensions)

        @callback
        def unwatch() -> None:
            self.watched_extensions -= Counter(extensions)

        return unwatch

    @callback
    def _async_started(self, hass: HomeAssistant) -> None:
        async_call_later(hass, _ARMING_TIME, self._async_armed)

    @callback
    def _async_armed(self, _: datetime) -> None:
        self.automations_armed = True
        for processor in self.processors.values():
            processor.async_dispatch_pending()


_DATA_REGISTRY: HassKey[InboundRegistry] = HassKey(f"{DOMAIN}_inbound")


@callback
def async_get_registry(hass: HomeAssistant) -> InboundRegistry:
    """Return the registry. Create it on the first call."""
    if _DATA_REGISTRY not in hass.data:
        hass.data[_DATA_REGISTRY] = InboundRegistry(hass)
    return hass.data[_DATA_REGISTRY]
