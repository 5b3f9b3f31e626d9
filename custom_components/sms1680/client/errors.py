"""The errors of the core. Each says what happened, what it means for the message, and what to do, in two languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .outcomes import Language, Outcome, Reason, Receipt


class SMS1680Error(Exception):
    """The root. `receipts` tells what became of each number; it is empty where nothing was to be sent."""

    receipts: tuple[Receipt, ...] = ()
    reason: Reason | None = None

    def __init__(self, en: str, zh: str | None = None) -> None:
        """Keep the sentence in both languages; neither ever holds a secret, a whole number or a text."""
        super().__init__(en)
        self._sentences = {"en": en, "zh": zh or en}

    def sentence(self, language: Language = "en") -> str:
        """Return what happened, in one of the two languages."""
        return self._sentences[language]


class InvalidMessageError(SMS1680Error, ValueError):
    """The call can't be made as it stands; nothing was sent."""


class InvalidSettingError(InvalidMessageError):
    """An account or a client can't be made with these settings; nothing can be sent with them."""


class InvalidPushError(SMS1680Error, ValueError):
    """What came in is neither an uplink nor a delivery report of the platform."""


class NoAnswerError(SMS1680Error):
    """A question to the platform (the balance) found no connection, no answer, or none that could be understood."""

    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        """Take the reason (no_connection, lost or not_understood) and what came instead, masked."""
        en, zh = _NO_ANSWER[reason]
        tail = f" ({detail})" if detail else ""
        super().__init__(en + tail, zh + tail)
        self.reason = reason
        self.detail = detail


_NO_ANSWER = {
    Reason.NO_CONNECTION: (
        "No connection to the platform. Check the network and the gateway's address.",
        "无法连接平台，请检查网络和平台地址。",
    ),
    Reason.LOST: ("The platform did not answer in time. Try again.", "平台未及时应答，请重试。"),
    Reason.NOT_UNDERSTOOD: (
        "The platform's answer was not understood. Check the gateway's address.",
        "无法识别平台的应答，请检查平台地址。",
    ),
}


class SendError(SMS1680Error):
    """A send in which some number was neither accepted nor held; `receipts` has all of them, in the order given."""

    def __init__(self, receipts: Sequence[Receipt], reason: Reason) -> None:
        """Take the receipts of the whole call and the reason that names the error."""
        self.receipts = tuple(receipts)
        self.reason = reason
        super().__init__(_summary(self.receipts, reason, "en"), _summary(self.receipts, reason, "zh"))

    def __reduce__(self) -> tuple[type[SendError], tuple[tuple[Receipt, ...], Reason | None]]:
        """Support pickling, without the caller's context: it may hold anything."""
        return type(self), (tuple([replace(receipt, context=None) for receipt in self.receipts]), self.reason)


class UnknownOutcomeError(SendError):
    """Some number may have been sent to, or not: never repeated by itself."""


class RefusedError(SendError):
    """The platform surely refused some number."""


class AuthenticationError(RefusedError):
    """The user name or the password is wrong."""


class BalanceError(RefusedError):
    """The balance is too low."""


class NotSentError(SendError):
    """Some number was certainly not sent to: safe to send again to those with `not_sent`."""


_SPECIAL: dict[Reason, type[RefusedError]] = {
    Reason.AUTHENTICATION: AuthenticationError,
    Reason.BALANCE: BalanceError,
}


def refusal(receipts: Sequence[Receipt], reason: Reason) -> RefusedError:
    """Return the error of a sure refusal; `receipts` may be empty (a balance that may not be asked)."""
    return _SPECIAL.get(reason, RefusedError)(receipts, reason)


def error_of(receipts: Sequence[Receipt]) -> SendError | None:
    """Return the error that a call with these receipts raises: unknown before refused before not sent, or None."""
    for outcome in (Outcome.UNKNOWN, Outcome.REFUSED, Outcome.NOT_SENT):
        for receipt in receipts:
            if receipt.outcome is outcome and receipt.reason is not None:
                if outcome is Outcome.UNKNOWN:
                    return UnknownOutcomeError(receipts, receipt.reason)
                if outcome is Outcome.REFUSED:
                    return refusal(receipts, receipt.reason)
                return NotSentError(receipts, receipt.reason)
    return None


def _summary(receipts: Sequence[Receipt], reason: Reason, language: Language) -> str:
    sentence = reason.sentence(language)
    if len(receipts) < 2:
        return sentence
    counts: dict[Outcome, int] = {}
    for receipt in receipts:
        counts[receipt.outcome] = counts.get(receipt.outcome, 0) + 1
    told = ", ".join(f"{outcome.value} {count}" for outcome, count in counts.items())
    return f"{sentence} ({told})"
