"""A text with words about the limits: those of a guard that sums up what it holds back."""

from dataclasses import dataclass

from ..text import MAX_LENGTH, Signature, add_words, estimate
from .digest import Notice


@dataclass(frozen=True, slots=True, repr=False)
class NoticedText:
    """A text that can carry a notice. signature: the account's, which the text does not have yet."""

    text: str
    signature: Signature | None = None

    @property
    def room(self) -> int:
        """The UTF-16 units of a text without its signature."""
        return MAX_LENGTH - (self.signature.length if self.signature else 0)

    def parts_of(self, notice: Notice) -> int:
        """Return the billed parts of the text with a notice. Raises InvalidMessageError."""
        return self._parts(self._with(notice, self.room))

    def fit(self, notice: Notice, parts: int) -> str:
        """Return the text with a notice, cut to so many parts. If the words alone need more, nothing is cut."""
        for room in range(self.room, 0, -1):
            if self._parts(noticed := self._with(notice, room)) <= parts:
                return noticed
        return self._with(notice, self.room)

    def _with(self, notice: Notice, room: int) -> str:
        if notice == Notice():
            return self.text
        return add_words(self.text, before=notice.before, after=notice.after, room=room, signature=self.signature)

    def _parts(self, text: str) -> int:
        if self.signature is None:
            return estimate(text).parts
        return estimate(text, signature=self.signature.setting, signature_place=self.signature.place).parts
