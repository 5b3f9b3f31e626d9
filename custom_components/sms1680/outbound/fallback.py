"""The fallback of a message that failed: another account, other entities, actions, in this order."""

import logging
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv, entity_registry as er
from homeassistant.helpers.script import Script, async_validate_actions_config
from homeassistant.util import dt as dt_util

from ..client import Outcome
from ..const import DOMAIN
from ..deferred.models import DONE, HANDLED, DeliveryResult
from ..deferred.policy import DeliveryPolicy, Fallback
from ..errors import language, validation_error
from ..recipients import Addressee
from .long_text import shorten_for
from .message import MessageOptions, check, text_to
from .policy_source import async_quiet_until, policy_for
from .recipients import addressee_of_entity
from .send import conclude, send_with_safe_text

_LOGGER = logging.getLogger(__name__)

_FAILED: Final = "failed"
_UNAVAILABLE: Final = "unavailable"
_QUIET: Final = "quiet_hours"
_ACTIONS: Final = "actions"
# Marks a possible duplicate.
_MAY_BE_A_REPEAT: Final = {"en": "(May be a repeat) ", "zh": "（可能重复）"}


@dataclass(frozen=True, repr=False)
class FailedMessage:
    """A message that failed for one addressee.

    why: its outcome, or the state from its delivery report. safe_text: replaces a text whose words are refused.
    may_have_arrived: the fallback marks its text as a possible repeat.
    """

    addressee: Addressee
    text: str
    why: str
    reason: str | None = None
    safe_text: str | None = None
    may_have_arrived: bool = False

    def __repr__(self) -> str:
        """Show neither number nor text."""
        return f"FailedMessage({self.why})"

    @classmethod
    def from_result(cls, result: DeliveryResult, text: str, safe_text: str | None) -> Self:
        """Return the message that has this result."""
        receipt = result.receipt
        reason = receipt.reason.value if receipt.reason else None
        unknown = receipt.outcome is Outcome.UNKNOWN
        return cls(result.addressee, text, receipt.outcome.value, reason, safe_text, unknown)


@dataclass(frozen=True)
class FallbackRunner:
    """Runs one fallback. options: of the failed messages. context: its user's permissions apply."""

    hass: HomeAssistant
    fallback: Fallback
    options: MessageOptions
    context: Context

    async def async_run(self, failed: Sequence[FailedMessage]) -> list[list[dict[str, str]]]:
        """Run the steps until one of them handles the message; return the steps that were run for each message.

        A step with an unknown outcome ends the fallback, unless duplicates are allowed.
        """
        steps: list[list[dict[str, str]]] = [[] for _ in failed]
        left = dict(enumerate(failed))

        def record(to: str, outcomes: Sequence[str]) -> None:
            for place, outcome in zip(list(left), outcomes, strict=True):
                steps[place].append({"to": to, "outcome": outcome})
                unknown = outcome == Outcome.UNKNOWN.value
                if outcome in HANDLED or (unknown and not allows_duplicates(self.fallback, self.options)):
                    del left[place]
                elif unknown:
                    left[place] = replace(left[place], may_have_arrived=True)

        if self.fallback.account:
            record(self.fallback.account, await self._send_by_account(self.fallback.account, list(left.values())))
        for entity_id in self.fallback.entities:
            if left:
                record(entity_id, [await self._send_to_entity(entity_id, list(left.values()))] * len(left))
        if left and self.fallback.actions:
            record(_ACTIONS, [await self._run_actions(list(left.values()))] * len(left))
        return steps

    async def _send_by_account(self, entry_id: str, failed: Sequence[FailedMessage]) -> list[str]:
        """Send each message to its own number through another account."""
        entry = self.hass.config_entries.async_get_entry(entry_id)
        if entry is None or entry.domain != DOMAIN or entry.state is not ConfigEntryState.LOADED:
            return [_UNAVAILABLE] * len(failed)
        outcomes = [_FAILED] * len(failed)
        texts: dict[str, list[int]] = {}
        for place, one in enumerate(failed):
            texts.setdefault(self._marked(one), []).append(place)
        for text, places in texts.items():
            addressees = [replace(failed[place].addressee, entry=entry, extension=None) for place in places]
            safe_texts = [self._safe_text([failed[place]]) for place in places]
            for place, outcome in zip(places, await self._send(addressees, text, safe_texts), strict=True):
                outcomes[place] = outcome
        return outcomes

    async def _send_to_entity(self, entity_id: str, failed: Sequence[FailedMessage]) -> str:
        """Send the failed messages to a notify entity, of one of our recipients or of another integration."""
        text = self._text(failed)
        try:
            found = addressee_of_entity(self.hass, entity_id)
        except ServiceValidationError:
            return _UNAVAILABLE  # its account is not running
        if found is not None:
            addressee = found[1]
            already = {(one.addressee.entry.entry_id, one.addressee.number) for one in failed}
            if (addressee.entry.entry_id, addressee.number) in already:
                return _FAILED  # the message has already failed for this addressee
            if self.options.priority == "normal" and await async_quiet_until(addressee, dt_util.utcnow()):
                return _QUIET
            return (await self._send([addressee], text, [self._safe_text(failed)]))[0]
        state = self.hass.states.get(entity_id)
        if state is None or state.state == STATE_UNAVAILABLE:
            return _UNAVAILABLE  # Home Assistant would drop the message without an error
        data = {"entity_id": entity_id, "message": text}
        return await self._outcome_of(
            self.hass.services.async_call("notify", "send_message", data, blocking=True, context=self.context),
            entity_id,
        )

    async def _run_actions(self, failed: Sequence[FailedMessage]) -> str:
        """Run a script sequence, with the message and its addressees as variables."""

        async def run() -> None:
            sequence = cv.SCRIPT_SCHEMA([dict(action) for action in self.fallback.actions])
            sequence = await async_validate_actions_config(self.hass, sequence)
            script = Script(self.hass, sequence, f"{DOMAIN} fallback", DOMAIN)
            variables: dict[str, Any] = {
                "message": self._text(failed),
                "recipients": [one.addressee.name for one in failed],
                "numbers": [one.addressee.number for one in failed],
                "outcomes": [one.why for one in failed],
                "reasons": [one.reason for one in failed],
            }
            await script.async_run(variables, self.context)

        return await self._outcome_of(run(), _ACTIONS)

    async def _send(self, addressees: Sequence[Addressee], text: str, safe_texts: Sequence[str | None]) -> list[str]:
        options = replace(self.options, at=None, extension=None)
        message = text_to(addressees, shorten_for(addressees, text))
        safe = [
            given or policy_for(addressee).safe_text for given, addressee in zip(safe_texts, addressees, strict=True)
        ]
        try:
            check(self.hass, addressees, message, options)
            results = await send_with_safe_text(self.hass, addressees, message, options, safe)
        except ServiceValidationError as error:
            _LOGGER.warning("The fallback of a message could not send it: %s", error.translation_key)
            return [_FAILED] * len(addressees)
        # The message is reported as a whole.
        conclude(result for result in results if result.receipt.outcome is not Outcome.ACCEPTED)
        return [result.receipt.outcome.value for result in results]

    async def _outcome_of(self, call: Awaitable[object], step: str) -> str:
        try:
            await call
        except Exception as error:  # noqa: BLE001 - the next step must run in any case
            # Only the type: the exception of another integration may quote the message.
            _LOGGER.warning("The fallback %s failed with %s", step, type(error).__name__)
            return _FAILED
        return DONE

    def _marked(self, failed: FailedMessage) -> str:
        return _MAY_BE_A_REPEAT[language(self.hass)] + failed.text if failed.may_have_arrived else failed.text

    def _text(self, failed: Sequence[FailedMessage]) -> str:
        """Return the texts of several messages, each distinct one once."""
        return "\n".join(dict.fromkeys(self._marked(one) for one in failed))

    def _safe_text(self, failed: Sequence[FailedMessage]) -> str | None:
        """Return the safe texts of several messages, each distinct one once."""
        safe = dict.fromkeys(self._marked(replace(one, text=one.safe_text)) for one in failed if one.safe_text)
        return "\n".join(safe) or None


def allows_duplicates(fallback: Fallback | None, options: MessageOptions) -> bool:
    """Return whether the fallback may send a possible duplicate."""
    return options.is_critical and fallback is not None and fallback.report_within is not None


def check_fallback(hass: HomeAssistant, policy: DeliveryPolicy) -> None:
    """Check that the steps of the fallback exist, before anything is sent. Raises ServiceValidationError."""
    fallback = policy.fallback
    if not fallback:
        return
    entities = er.async_get(hass)
    missing = [
        entity_id
        for entity_id in fallback.entities
        if hass.states.get(entity_id) is None and entities.async_get(entity_id) is None
    ]
    accounts = {entry.entry_id for entry in hass.config_entries.async_entries(DOMAIN)}
    if fallback.account and fallback.account not in accounts:
        missing.append(fallback.account)
    if missing:
        raise validation_error("unknown_fallback", fallback=", ".join(missing))


def check_not_self(hass: HomeAssistant, policy: DeliveryPolicy, addressees: Iterable[Addressee]) -> None:
    """Check that a fallback leads to anybody but the addressees themselves. Raises ServiceValidationError.

    With several addressees, one of them can be the fallback of the others.
    """
    fallback = policy.fallback
    if not fallback or fallback.actions:
        return
    failed = {(addressee.entry.entry_id, addressee.number) for addressee in addressees}
    steps = {entity_id: _addressee_key(hass, entity_id) for entity_id in fallback.entities}
    accounts = {entry_id for entry_id, _ in failed}
    helps = any(key is None or len(failed - {key}) > 0 for key in steps.values())
    if not helps and (fallback.account is None or accounts == {fallback.account}):
        account = hass.config_entries.async_get_entry(fallback.account) if fallback.account else None
        raise validation_error("fallback_is_self", fallback=", ".join([*([account.title] if account else []), *steps]))


def _addressee_key(hass: HomeAssistant, entity_id: str) -> tuple[str, str] | None:
    """Return the account and the number of a notify entity of this integration, None for others."""
    try:
        found = addressee_of_entity(hass, entity_id)
    except ServiceValidationError:
        return None  # its account is not running, so it is another one
    return (found[1].entry.entry_id, found[1].number) if found is not None else None
