"""Setting an account up."""

from __future__ import annotations

from homeassistant.config_entries import ConfigFlow

from .const import DOMAIN


class Sms1680ConfigFlow(ConfigFlow, domain=DOMAIN):
    """Sets an account up."""
