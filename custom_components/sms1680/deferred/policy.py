"""The delivery policy of a message, from the data of an action or the settings of a recipient."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Final, Self

from ..const import (
    CONF_FALLBACK,
    CONF_FALLBACK_ACCOUNT,
    CONF_FALLBACK_ACTIONS,
    CONF_KEEP_TRYING,
    CONF_REPEAT,
    CONF_REPORT_WITHIN,
)


@dataclass(frozen=True, slots=True)
class Fallback:
    """The steps to run, in this order, until one of them handles the message.

    account: the config entry of another account, for the same numbers. entities: notify entities, of this or any other
    integration. actions: a script sequence. report_within: seconds. With it, a critical message also falls back if its
    outcome is unknown, if it was not delivered, or if no delivery report arrived in time; the recipient may then get it
    twice. None: a message with a possible delivery never falls back.
    """

    account: str | None = None
    entities: tuple[str, ...] = ()
    actions: tuple[dict[str, Any], ...] = ()
    report_within: float | None = None

    def __bool__(self) -> bool:
        """Return whether there is any step."""
        return bool(self.account or self.entities or self.actions)

    def as_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the stored form."""
        return cls(stored["account"], tuple(stored["entities"]), tuple(stored["actions"]), stored["report_within"])


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How hard to try to deliver one message.

    keep_trying: seconds during which a message that was certainly not sent is tried again. safe_text: replaces a text
    that the platform refuses for its words. fallback: None for no fallback. repeat: whether a critical message whose
    arrival is uncertain is sent once more; None for the default, which is yes.
    """

    keep_trying: float | None = None
    safe_text: str | None = None
    fallback: Fallback | None = None
    repeat: bool | None = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], safe_text: str | None) -> Self:
        """Return the policy in the data of an action or of a recipient."""
        fallback = Fallback(
            settings.get(CONF_FALLBACK_ACCOUNT),
            tuple(settings.get(CONF_FALLBACK, ())),
            tuple(settings.get(CONF_FALLBACK_ACTIONS, ())),
            to_seconds(settings.get(CONF_REPORT_WITHIN)),
        )
        return cls(to_seconds(settings.get(CONF_KEEP_TRYING)), safe_text, fallback, settings.get(CONF_REPEAT))

    def with_defaults(self, defaults: "DeliveryPolicy") -> "DeliveryPolicy":
        """Return this policy, completed from another one."""
        fallback = self.fallback
        if not fallback:
            # A report time without any step of its own applies to the default steps.
            within = fallback.report_within if fallback is not None else None
            fallback = defaults.fallback
            if within is not None:
                fallback = replace(fallback or Fallback(), report_within=within)
        return DeliveryPolicy(
            defaults.keep_trying if self.keep_trying is None else self.keep_trying,
            defaults.safe_text if self.safe_text is None else self.safe_text,
            fallback,
            defaults.repeat if self.repeat is None else self.repeat,
        )


NO_POLICY: Final = DeliveryPolicy()


def to_seconds(duration: timedelta | Mapping[str, float] | None) -> float | None:
    """Return a duration from an action or a dialog in seconds; None for no duration, or for one of zero."""
    if duration is None:
        return None
    if not isinstance(duration, timedelta):
        duration = timedelta(**duration)
    return duration.total_seconds() or None
