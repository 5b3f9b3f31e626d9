"""What comes next where a message does not get through: another account, other entities, actions, in this order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv, entity_registry as er
from homeassistant.helpers.script import Script, async_validate_actions_config
from homeassistant.util import dt as dt_util

from ..client import Outcome, Receipt
from ..const import DOMAIN
from ..deferred.models import DONE, HANDLED
from ..deferred.policy import DeliveryPolicy, Fallback
from ..errors import language, validation_error
from ..recipients import Addressee
from .message import Options, one_text
from .policy_source import async_quiet_until, policy_for
from .recipients import addressee_of_entity
from .send import send_with_safe_text

_LOGGER = logging.getLogger(__name__)

_FAILED: Final = "failed"
_UNAVAILABLE: Final = "unavailable"
_QUIET: Final = "quiet_hours"
_ACTIONS: Final = "actions"
# A copy of a message that may have arrived says so itself.
_MAY_BE_A_REPEAT: Final = {"en": "(May be a repeat) ", "zh": "（可能重复）"}


@dataclass(frozen=True, repr=False)
class Missed:
    """A message that did not get through to one addressee.

    why: its outcome, or what was reported of it. safe_text: goes out instead of refused words. doubtful: it may have
    arrived.
    """

    addressee: Addressee
    text: str
    why: str
    reason: str | None = None
    safe_text: str | None = None
    doubtful: bool = False

    def __repr__(self) -> str:
        """Show neither number nor text."""
        return f"Missed({self.why})"

    @classmethod
    def of(cls, addressee: Addressee, receipt: Receipt, text: str, safe_text: str | None) -> Missed:
        """Return what a receipt tells of."""
        reason = receipt.reason.value if receipt.reason else None
        doubtful = receipt.outcome is Outcome.UNKNOWN
        return cls(addressee, text, receipt.outcome.value, reason, safe_text, doubtful)


@dataclass(frozen=True)
class Next:
    """Runs one fallback. options: of the message. context: for whose rights it runs."""

    hass: HomeAssistant
    fallback: Fallback
    options: Options
    context: Context

    async def async_run(self, missed: Sequence[Missed]) -> list[list[dict[str, str]]]:
        """Go on with messages until something takes them; returns for each the steps that were taken for it.

        A step whose outcome is unknown ends it, for its message may have arrived, unless a repeat is allowed.
        """
        steps: list[list[dict[str, str]]] = [[] for _ in missed]
        left = dict(enumerate(missed))

        def note(to: str, outcomes: Sequence[str]) -> None:
            for place, outcome in zip(list(left), outcomes, strict=True):
                steps[place].append({"to": to, "outcome": outcome})
                unknown = outcome == Outcome.UNKNOWN.value
                if outcome in HANDLED or (unknown and not allows_duplicates(self.fallback, self.options)):
                    del left[place]
                elif unknown:
                    left[place] = replace(left[place], doubtful=True)

        if self.fallback.account:
            note(self.fallback.account, await self._by_account(self.fallback.account, list(left.values())))
        for entity_id in self.fallback.entities:
            if left:
                note(entity_id, [await self._to_entity(entity_id, list(left.values()))] * len(left))
        if left and self.fallback.actions:
            note(_ACTIONS, [await self._by_actions(list(left.values()))] * len(left))
        return steps

    async def _by_account(self, entry_id: str, missed: Sequence[Missed]) -> list[str]:
        """Send each message to its own number through another account."""
        entry = self.hass.config_entries.async_get_entry(entry_id)
        if entry is None or entry.domain != DOMAIN or entry.state is not ConfigEntryState.LOADED:
            return [_UNAVAILABLE] * len(missed)
        outcomes = [_FAILED] * len(missed)
        texts: dict[str, list[int]] = {}
        for place, one in enumerate(missed):
            texts.setdefault(self._marked(one), []).append(place)
        for text, places in texts.items():
            addressees = [replace(missed[place].addressee, entry=entry, extension=None) for place in places]
            safe_texts = [self._safe_text([missed[place]]) for place in places]
            for place, outcome in zip(places, await self._send(addressees, text, safe_texts), strict=True):
                outcomes[place] = outcome
        return outcomes

    async def _to_entity(self, entity_id: str, missed: Sequence[Missed]) -> str:
        """Send what was missed to a notify entity: a recipient of ours, or any other integration's."""
        text = self._text(missed)
        try:
            found = addressee_of_entity(self.hass, entity_id)
        except ServiceValidationError:
            return _UNAVAILABLE  # its account is not running
        if found is not None:
            addressee = found[1]
            if any(
                (one.addressee.entry, one.addressee.number) == (addressee.entry, addressee.number) for one in missed
            ):
                return _FAILED  # it is the one that was missed
            if self.options.priority == "normal" and await async_quiet_until(addressee, dt_util.utcnow()):
                return _QUIET
            return (await self._send([addressee], text, [self._safe_text(missed)]))[0]
        state = self.hass.states.get(entity_id)
        if state is None or state.state == STATE_UNAVAILABLE:
            return _UNAVAILABLE  # Home Assistant would take the message and let it vanish
        data = {"entity_id": entity_id, "message": text}
        return await self._call(
            self.hass.services.async_call("notify", "send_message", data, blocking=True, context=self.context),
            entity_id,
        )

    async def _by_actions(self, missed: Sequence[Missed]) -> str:
        """Run a sequence of actions, with the message and whom it missed as variables."""

        async def run() -> None:
            sequence = cv.SCRIPT_SCHEMA([dict(action) for action in self.fallback.actions])
            sequence = await async_validate_actions_config(self.hass, sequence)
            script = Script(self.hass, sequence, f"{DOMAIN} fallback", DOMAIN)
            variables: dict[str, Any] = {
                "message": self._text(missed),
                "recipients": [one.addressee.name for one in missed],
                "numbers": [one.addressee.number for one in missed],
                "outcomes": [one.why for one in missed],
                "reasons": [one.reason for one in missed],
            }
            await script.async_run(variables, self.context)

        return await self._call(run(), _ACTIONS)

    async def _send(self, addressees: Sequence[Addressee], text: str, safe_texts: Sequence[str | None]) -> list[str]:
        options = replace(self.options, at=None, extension=None)
        safe = [
            given or policy_for(addressee).safe_text for given, addressee in zip(safe_texts, addressees, strict=True)
        ]
        items = [(addressee, None) for addressee in addressees]
        try:
            sent = await send_with_safe_text(self.hass, items, one_text(text), options, safe)
        except ServiceValidationError as error:
            _LOGGER.warning("A message could not go on to its fallback: %s", error.translation_key)
            return [_FAILED] * len(addressees)
        return [one.receipt.outcome.value for one in sent]

    async def _call(self, calling: Any, what: str) -> str:  # noqa: ANN401 - an awaitable of whatever
        try:
            await calling
        except Exception as error:  # noqa: BLE001 - whatever it is, the next one has its turn
            # Its kind only: what others raise may quote the message.
            _LOGGER.warning("The fallback %s failed with %s", what, type(error).__name__)
            return _FAILED
        return DONE

    def _marked(self, missed: Missed) -> str:
        return _MAY_BE_A_REPEAT[language(self.hass)] + missed.text if missed.doubtful else missed.text

    def _text(self, missed: Sequence[Missed]) -> str:
        """Return what several messages say, once where they say the same."""
        return "\n".join(dict.fromkeys(self._marked(one) for one in missed))

    def _safe_text(self, missed: Sequence[Missed]) -> str | None:
        """Return what goes out in place of refused words, where the messages have that."""
        safe = dict.fromkeys(self._marked(replace(one, text=one.safe_text)) for one in missed if one.safe_text)
        return "\n".join(safe) or None


def allows_duplicates(fallback: Fallback | None, options: Options) -> bool:
    """Tell whether what comes next may go on with a message that may have arrived."""
    return options.priority == "critical" and fallback is not None and fallback.report_within is not None


def check_fallback(hass: HomeAssistant, policy: DeliveryPolicy) -> None:
    """Look before anything is sent whether what was named can come next. Raises ServiceValidationError."""
    fallback = policy.fallback
    if not fallback:
        return
    entities = er.async_get(hass)
    missing = [
        entity_id
        for entity_id in fallback.entities
        if hass.states.get(entity_id) is None and entities.async_get(entity_id) is None
    ]
    if fallback.account and not _is_account(hass, fallback.account):
        missing.append(fallback.account)
    if missing:
        raise validation_error("unknown_fallback", fallback=", ".join(missing))


def _is_account(hass: HomeAssistant, entry_id: str) -> bool:
    entry = hass.config_entries.async_get_entry(entry_id)
    return entry is not None and entry.domain == DOMAIN
