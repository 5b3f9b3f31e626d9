"""The errors of the core. Each has a sentence in English and Chinese: the problem, its effect, and the remedy."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from .outcomes import Language, Outcome, Reason
from .receipts import Receipt


class SMS1680Error(Exception):
    """The base of all errors. receipts: the receipt of each number; empty if the call sends nothing."""

    receipts: tuple[Receipt, ...] = ()
    reason: Reason | None = None

    def __init__(self, en: str, zh: str | None = None) -> None:
        super().__init__(en)
        self._sentences = {"en": en, "zh": zh or en}

    def sentence(self, language: Language = "en") -> str:
        """Return the sentence in the given language. It never contains a secret, a whole number or a text."""
        return self._sentences[language]


class InvalidMessageError(SMS1680Error, ValueError):
    """The arguments of the call are invalid; nothing was sent."""


class InvalidSettingError(InvalidMessageError):
    """The settings of an account or a client are invalid."""


class InvalidPushError(SMS1680Error, ValueError):
    """A push from the platform is neither an uplink nor a delivery report."""


class NoAnswerError(SMS1680Error):
    """A query (balance, login) got no connection, no answer, or an answer that was not understood.

    reason: no_connection, lost or not_understood. detail: the answer, masked. sentences: the English and the Chinese
    one, by default from the reason and the detail.
    """

    def __init__(self, reason: Reason, detail: str | None = None, sentences: tuple[str, str] | None = None) -> None:
        en, zh = _NO_ANSWER[reason]
        made = (f"{en} ({detail})", f"{zh}（{detail}）") if detail else (en, zh)
        super().__init__(*(sentences or made))
        self.reason = reason
        self.detail = detail


_NO_ANSWER = {
    Reason.NO_CONNECTION: (
        "Could not connect to the platform. Check the network and the gateway's address.",
        "无法连接平台，请检查网络和平台地址。",
    ),
    Reason.LOST: ("The platform did not answer in time. Try again.", "平台未及时应答，请重试。"),
    Reason.NOT_UNDERSTOOD: (
        "The platform's response was not understood. Check the gateway's address.",
        "无法识别平台的应答，请检查平台地址。",
    ),
}


class SendError(SMS1680Error):
    """At least one number was neither accepted nor held.

    receipts: of all numbers, in the order of the call. sentences: the English and the Chinese one, by default from the
    receipts and the reason.
    """

    _effect: ClassVar[tuple[str, str]] = ("", "")

    def __init__(self, receipts: Sequence[Receipt], reason: Reason, sentences: tuple[str, str] | None = None) -> None:
        self.receipts = tuple(receipts)
        self.reason = reason
        en, zh = self._effect
        made = en + _summary(self.receipts, reason, "en"), zh + _summary(self.receipts, reason, "zh")
        super().__init__(*(sentences or made))

    def __reduce__(self) -> "tuple[type[SendError], tuple[Any, ...]]":
        """Support pickling, without the caller's context, which can be any object."""
        receipts = tuple([replace(receipt, context=None) for receipt in self.receipts])
        return type(self), (receipts, self.reason, (self.sentence("en"), self.sentence("zh")))


class UnknownOutcomeError(SendError):
    """For at least one number it is unknown whether the message was sent; it is not repeated automatically."""

    _effect = ("The message may have been sent. ", "短信可能已发出。")


class RefusedError(SendError):
    """The platform refused the message for at least one number."""


class AuthenticationError(RefusedError):
    """The user name or the password is wrong."""


class BalanceError(RefusedError):
    """The balance is too low."""


class NotSentError(SendError):
    """For at least one number the message was certainly not sent; it is safe to send it there again."""

    _effect = ("The message was not sent. ", "短信没有发出。")


_SPECIAL: dict[Reason, type[RefusedError]] = {
    Reason.AUTHENTICATION: AuthenticationError,
    Reason.BALANCE: BalanceError,
}


def refusal(receipts: Sequence[Receipt], reason: Reason) -> RefusedError:
    """Return the error of a certain refusal. receipts: empty for a refused login."""
    return _SPECIAL.get(reason, RefusedError)(receipts, reason)


def refused_query(reason: Reason) -> RefusedError:
    """Return the error of a refused balance query."""
    return _SPECIAL.get(reason, RefusedError)((), reason, BALANCE_SENTENCES.get(reason))


BALANCE_SENTENCES: dict[Reason, tuple[str, str]] = {
    Reason.FAILED: (
        "The platform could not query the balance. Check the product ID, and ask the platform if this persists.",
        "平台查询剩余条数失败。请检查产品 ID；若一直如此，请联系平台。",
    ),
    Reason.TOO_FAST: (
        "The balance was queried too often. Query it less often.",
        "查询剩余条数过于频繁，请降低查询频率。",
    ),
    Reason.PERMISSION: (
        "The account has no permission to query the balance. Ask the platform for it. Sending may still work.",
        "账户没有查询剩余条数的权限，请联系平台开通。发送短信可能不受影响。",
    ),
}
"""What these reasons say of a balance query, which sends nothing."""


# The most serious one first.
_BY_OUTCOME: dict[Outcome, Callable[[Sequence[Receipt], Reason], SendError]] = {
    Outcome.UNKNOWN: UnknownOutcomeError,
    Outcome.REFUSED: refusal,
    Outcome.NOT_SENT: NotSentError,
}


def error_of(receipts: Sequence[Receipt]) -> SendError | None:
    """Return the error that a call with these receipts raises, or None.

    Unknown outcomes go before refusals, and these before numbers that were not sent.
    """
    for receipt in receipts:
        if receipt.reason is not None:
            break
    else:
        return None
    reasons = {receipt.outcome: receipt.reason for receipt in reversed(receipts) if receipt.reason is not None}
    for outcome, make in _BY_OUTCOME.items():
        if (reason := reasons.get(outcome)) is not None:
            return make(receipts, reason)
    return None


def _summary(receipts: Sequence[Receipt], reason: Reason, language: Language) -> str:
    sentence = reason.sentence(language)
    if len(receipts) < 2:
        return sentence
    counts = Counter(receipt.outcome for receipt in receipts).items()
    if language == "zh":
        return f"{sentence}（{'，'.join(f'{outcome.zh} {count} 个' for outcome, count in counts)}）"
    return f"{sentence} ({', '.join(f'{outcome.value} {count}' for outcome, count in counts)})"
