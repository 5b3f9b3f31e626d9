"""Registers the actions of the integration."""

from functools import partial

from homeassistant.core import HomeAssistant, SupportsResponse, callback

from .actions.ask_question import ASK_QUESTION, async_ask_question
from .actions.cancel import CANCEL_MESSAGE, async_cancel_message
from .actions.costs import ESTIMATE, GET_BALANCE, async_estimate, async_get_balance
from .actions.history import GET_MESSAGES, PURGE_MESSAGES, async_get_messages, async_purge_messages
from .actions.send import (
    SEND_BATCH,
    SEND_MESSAGE,
    SEND_TEMPLATE,
    async_send_batch,
    async_send_message,
    async_send_template,
)
from .const import DOMAIN
from .duty.actions import (
    CHANGE_ALARM,
    RAISE_ALARM,
    async_acknowledge,
    async_raise_alarm,
    async_resolve_alarm,
)
from .duty.manager import async_purge_alarms


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions once, for all accounts."""
    optional, only = SupportsResponse.OPTIONAL, SupportsResponse.ONLY
    for name, handler, schema, response in (
        ("send_message", async_send_message, SEND_MESSAGE, optional),
        ("send_template", async_send_template, SEND_TEMPLATE, optional),
        ("send_batch", async_send_batch, SEND_BATCH, optional),
        ("ask_question", async_ask_question, ASK_QUESTION, only),
        ("get_balance", async_get_balance, GET_BALANCE, only),
        ("estimate", async_estimate, ESTIMATE, only),
        ("get_messages", async_get_messages, GET_MESSAGES, only),
        ("cancel_message", async_cancel_message, CANCEL_MESSAGE, optional),
        ("purge_messages", partial(async_purge_messages, purge_alarms=async_purge_alarms), PURGE_MESSAGES, optional),
        ("raise_alarm", async_raise_alarm, RAISE_ALARM, optional),
        ("acknowledge", async_acknowledge, CHANGE_ALARM, optional),
        ("resolve_alarm", async_resolve_alarm, CHANGE_ALARM, optional),
    ):
        hass.services.async_register(DOMAIN, name, handler, schema, supports_response=response)
