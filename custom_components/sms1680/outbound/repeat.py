"""Sends a critical message once more if its arrival is uncertain: somebody prefers an alarm twice to none."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError

from ..account.journal import signature_of
from ..client.text import MAX_LENGTH, mark_repeat, units
from ..deferred.models import DeliveryResult
from ..deferred.policy import DeliveryPolicy
from ..recipients import Addressee
from .message import MessageOptions, check, text_to
from .send import send_with_safe_text

# Seconds until a missing delivery report makes the arrival uncertain.
REPORT_WITHIN: Final = 90.0

type BeforeRepeat = Callable[[], Awaitable[str | None]]


def repeats(policy: DeliveryPolicy, options: MessageOptions) -> bool:
    """Return whether a message may be sent once more: a critical one, unless its policy forbids it."""
    return options.is_critical and policy.repeat is not False


def marked(addressee: Addressee, text: str) -> str:
    """Return a text with the mark of a repetition."""
    signature = signature_of(addressee.entry)
    room = MAX_LENGTH - (units(signature.write("x")) - 1 if signature else 0)
    return mark_repeat(text, room, signature)


async def async_repeat(  # noqa: PLR0917 - the parts of one message
    hass: HomeAssistant,
    addressee: Addressee,
    text: str,
    options: MessageOptions,
    transport: str | None,
    before: BeforeRepeat | None = None,
) -> DeliveryResult | None:
    """Send a text once more, marked; return its result, None if the marked text cannot be sent.

    transport: that submitted the first message. The other one is used if the account has it. before: is awaited before
    anything is sent, and returns the name of the attempt, or None for that of the options.
    """
    message = text_to([addressee], marked(addressee, text))
    context = replace(options.context, avoid=transport)
    try:
        check(hass, [addressee], message, options)
        if before is not None and (attempt := await before()) is not None:
            context = replace(context, attempt_id=attempt)
        options = replace(options, context=context)
        no_safe_text: Sequence[str | None] = [None]
        (result,) = await send_with_safe_text(hass, [addressee], message, options, no_safe_text)
    except ServiceValidationError:
        return None
    return result
