"""The dialogs of fixable repairs."""

from typing import Any, override

from homeassistant.components import persistent_notification
from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow
from homeassistant.core import HomeAssistant

from .conversation.command_auth import async_unlock
from .issues import CRITICAL_FAILED, LOCKED_OUT


class UnlockFlow(ConfirmRepairFlow):
    """Unlocks the commands of a recipient."""

    @override
    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> Any:
        """Ask for confirmation, then unlock."""
        if user_input is not None and self.data is not None:
            entry = self.hass.config_entries.async_get_entry(str(self.data["entry_id"]))
            if entry is not None:
                await async_unlock(self.hass, entry, str(self.data["subentry_id"]))
        return await super().async_step_confirm(user_input)


class DismissFlow(ConfirmRepairFlow):
    """Also removes the notification about an undelivered critical message."""

    @override
    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> Any:
        """Ask for confirmation, then remove the notification."""
        if user_input is not None:
            persistent_notification.async_dismiss(self.hass, self.issue_id)
        return await super().async_step_confirm(user_input)


async def async_create_fix_flow(
    hass: HomeAssistant,  # noqa: ARG001 - Home Assistant's signature
    issue_id: str,
    data: dict[str, Any] | None,  # noqa: ARG001
) -> RepairsFlow:
    """Return the dialog of a repair."""
    if issue_id.startswith(LOCKED_OUT.issue_id(None)):
        return UnlockFlow()
    return DismissFlow() if issue_id.startswith(CRITICAL_FAILED.issue_id(None)) else ConfirmRepairFlow()
