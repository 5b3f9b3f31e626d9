"""Send a text to one recipient as an entity does: with the context of its call, and an error if nobody gets it."""

from homeassistant.core import Context, HomeAssistant

from ..account.journal import SendContext
from ..client.options import Priority
from ..errors import send_error
from ..recipients import Addressee
from .message import MessageOptions, text_to
from .pipeline import async_deliver
from .unsent import Unsent, reports_rejection


async def async_send_to(
    hass: HomeAssistant,
    addressee: Addressee,
    text: str,
    context: Context | None,
    *,
    priority: Priority = "normal",
    batched: bool = False,
) -> None:
    """Send a text to one recipient. context: of the call. batched: share a request with equal texts to others.

    Raises HomeAssistantError if the message was not sent, is held or may be lost, and nothing else handles it.
    """
    origin = SendContext.of_call(hass, context)
    options = MessageOptions(priority=priority, context=origin)
    with reports_rejection(hass, [Unsent.from_addressee(addressee)], priority, origin):
        (result,) = await async_deliver(
            hass, [addressee], text_to([addressee], text), options, context=context, batched=batched
        )
    if not result.is_handled and (error := send_error(hass, [(addressee.name, result.final_receipt)])):
        raise error
