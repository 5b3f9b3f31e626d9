"""The options of an account: how it sends and receives, what it costs, the letter to the platform, and a test."""

from __future__ import annotations

from typing import Any

from homeassistant.config_entries import ConfigFlowResult, OptionsFlow


class Sms1680OptionsFlow(OptionsFlow):
    """The options' dialogs."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:  # noqa: ARG002
        """Choose what to set."""
        return self.async_show_menu(step_id="init", menu_options=[])
