"""The receipt of a message for one number."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from .masking import mask_number
from .outcomes import OWN_LIMITS, Language, Outcome, Reason, Repeat

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of one message for one number.

    number: eleven digits. message_id: the platform's id; None if the response had none (template and batch sends).
    reason: None if accepted. parts: the billed parts for this number. detail: more words of the platform (forbidden
    words, or a response that was not understood), masked, at most 200 characters; for a partly accepted message, the
    number of accepted segments and the reason for the others.
    message_ids: the ids of all segments of a long message (CMPP), otherwise only `message_id`. segments: the number
    of submitted segments, each with its own delivery report; always 1 over HTTP.
    context: the `context` option of the call. index: the position of this item among the distinct items of the call,
    in order of first appearance. An item is a number (`send`), a number with its values (`send_template`) or a number
    with its text (`send_batch`). Neither is printed or compared.
    """

    number: str
    outcome: Outcome
    message_id: str | None = None
    reason: Reason | None = None
    parts: int = 1
    detail: str | None = None
    message_ids: tuple[str, ...] = ()
    segments: int = 1
    context: object = field(default=None, repr=False, compare=False)
    index: int = field(default=0, repr=False, compare=False)

    @property
    def repeat(self) -> Repeat:
        """Whether this message can be sent to this number again: never if it was accepted."""
        return self.reason.repeat if self.reason is not None else Repeat.NO

    @property
    def is_repeatable(self) -> bool:
        """Whether the message can be sent again without a risk, by anybody and unchanged."""
        return self.outcome is Outcome.NOT_SENT or (self.outcome.is_failure and self.repeat is Repeat.YES)

    def sentence(self, language: Language = "en") -> str:
        """Return the result for this number, masked, in the given language."""
        reason = self.reason.sentence(language) if self.reason else ""
        if language == "zh":
            return f"{mask_number(self.number)}：{self.result(language)}。{reason}"
        return f"{mask_number(self.number)}: {self.result(language)}. {reason}".rstrip()

    def result(self, language: Language = "en") -> str:
        """Return a short phrase for the outcome. A message that our own guard held back was not refused elsewhere."""
        return ("refused", "被拒绝")[language == "zh"] if self.reason in OWN_LIMITS else self.outcome.sentence(language)

    def __repr__(self) -> str:
        reason = f", reason={self.reason.value}" if self.reason else ""
        shown = f"{mask_number(self.number)}, {self.outcome.value}{reason}"
        return f"Receipt({shown}, message_id={self.message_id}, parts={self.parts})"

    __str__ = __repr__


# The result of several messages is that of the most serious outcome.
_SEVERITY = (Outcome.UNKNOWN, Outcome.REFUSED, Outcome.NOT_SENT, Outcome.HELD, Outcome.ACCEPTED)


def combine(receipts: Sequence[Receipt]) -> Receipt:
    """Return one receipt for the messages that one text was split into: the most serious one, with all parts."""
    worst = min(receipts, key=lambda receipt: _SEVERITY.index(receipt.outcome))
    return replace(worst, parts=sum(receipt.parts or 0 for receipt in receipts))


OnReceipt = Callable[[Receipt], object]


def call_hook(on_receipt: OnReceipt, receipt: Receipt) -> None:
    """Pass a receipt to the caller's hook. An error of the hook must not lose the other receipts."""
    try:
        on_receipt(receipt)
    except Exception as error:  # noqa: BLE001
        # Log the type only: a traceback could quote the number.
        _LOGGER.error("The on_receipt hook failed with %s; sending continues", type(error).__name__)  # noqa: TRY400
