"""The dialogs of fixable repairs."""

from typing import Any, override

from homeassistant.components import persistent_notification
from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir

from .const import DOMAIN
from .conversation.command_auth import async_unlock
from .flows.onboarding_letter import CONF_LETTER, letter_form
from .flows.own_port import async_open_own_port
from .issues import CRITICAL_FAILED, LOCKED_OUT, REFUSED_PUSH


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


class OwnPortFlow(ConfirmRepairFlow):
    """Gives the account a port of its own, which rejects no push."""

    @override
    async def async_step_confirm(self, user_input: dict[str, str] | None = None) -> Any:
        """Choose between the port and closing the issue."""
        issue = ir.async_get(self.hass).async_get_issue(DOMAIN, self.issue_id)
        placeholders = issue.translation_placeholders if issue else None
        options = ["own_port", "close"]
        return self.async_show_menu(step_id="confirm", menu_options=options, description_placeholders=placeholders)

    async def async_step_own_port(self, user_input: dict[str, str] | None = None) -> Any:  # noqa: ANN401
        """Open the port and show the letter with the new addresses."""
        entry_id = self.issue_id.removeprefix(REFUSED_PUSH.issue_id(None)).lstrip("_")
        entry = self.hass.config_entries.async_get_entry(entry_id)
        if user_input is not None or entry is None:
            return await self.async_step_close()
        shown = await async_open_own_port(self.hass, entry)
        form = letter_form(shown[CONF_LETTER])
        return self.async_show_form(step_id="own_port", data_schema=form, description_placeholders=shown)

    async def async_step_close(self, user_input: dict[str, str] | None = None) -> Any:  # noqa: ANN401, ARG002
        """Close the issue."""
        return self.async_create_entry(data={})


async def async_create_fix_flow(
    hass: HomeAssistant,  # noqa: ARG001 - Home Assistant's signature
    issue_id: str,
    data: dict[str, Any] | None,  # noqa: ARG001
) -> RepairsFlow:
    """Return the dialog of a repair."""
    if issue_id.startswith(LOCKED_OUT.issue_id(None)):
        return UnlockFlow()
    if issue_id.startswith(REFUSED_PUSH.issue_id(None)):
        return OwnPortFlow()
    return DismissFlow() if issue_id.startswith(CRITICAL_FAILED.issue_id(None)) else ConfirmRepairFlow()
