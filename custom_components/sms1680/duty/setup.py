"""Sets up the alarms of an account."""

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send

from ..const import signal_group_added
from ..coordinator import Sms1680ConfigEntry
from ..recipients import groups
from .manager import AlarmManager, alarm_manager, async_set_alarm_manager
from .replies import AlarmReplyHandler


async def async_load_alarms(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Load the alarms, and let replies find them."""
    manager = AlarmManager(hass, entry)
    await manager.async_load()
    async_set_alarm_manager(hass, manager)
    entry.runtime_data.conversation.alarms = AlarmReplyHandler(hass, manager)


@callback
def async_start_alarms(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Go on with the alarms of earlier runs."""
    alarm_manager(hass, entry).async_start()


async def async_stop_alarms(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Stop acting on the alarms; they go on when the account is set up again."""
    await alarm_manager(hass, entry).async_stop()


@callback
def async_update_groups(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Apply added, changed and removed groups."""
    manager = alarm_manager(hass, entry)
    known = set(manager.rotas)
    manager.async_update_groups()
    for group in groups(entry):
        if group.subentry_id not in known:
            async_dispatcher_send(hass, signal_group_added(entry.entry_id), group)
