"""The three kinds of messages that the platform has a call for."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Self, override

from ..client import AsyncClient, Receipt
from ..client.cmpp import CMPPClient
from ..client.options import SendOptions
from ..client.plan import SendPlan, fill, plan_batch, plan_send, plan_template
from ..client.text import Signature
from ..store.db import comparable_number

type CoreClient = AsyncClient | CMPPClient


@dataclass(frozen=True, repr=False)
class OutgoingMessage(ABC):
    """A message to one or more numbers. Each number with its content is an item."""

    numbers: Sequence[str]

    @property
    @abstractmethod
    def texts(self) -> Sequence[str]:
        """The text of each item, without the signature."""

    @abstractmethod
    def items(self, signature: Signature | None) -> Sequence[Hashable]:
        """Return for each item what makes it distinct; the core sends those that are equal once."""

    @abstractmethod
    def select(self, places: Sequence[int]) -> Self:
        """Return a message with only the items at these places."""

    @abstractmethod
    def plan(self, signature: Signature | None) -> SendPlan:
        """Check the message as the core does. Raises InvalidMessageError."""

    @abstractmethod
    async def send_by(self, client: CoreClient, options: SendOptions) -> tuple[Receipt, ...]:
        """Send the message with one of the core's clients; return and raise as the core does."""

    @property
    def _comparable(self) -> list[str]:
        return [comparable_number(number) for number in self.numbers]

    def __repr__(self) -> str:
        """Show neither numbers nor texts."""
        return f"{type(self).__name__}({len(self.numbers)} numbers)"


@dataclass(frozen=True, repr=False)
class TextMessage(OutgoingMessage):
    """One text to all numbers (docs/protocol.md, section 1)."""

    text: str

    @property
    @override
    def texts(self) -> Sequence[str]:
        return [self.text] * len(self.numbers)

    @override
    def items(self, signature: Signature | None) -> Sequence[Hashable]:
        return self._comparable

    @override
    def select(self, places: Sequence[int]) -> Self:
        return replace(self, numbers=[self.numbers[place] for place in places])

    @override
    def plan(self, signature: Signature | None) -> SendPlan:
        return plan_send(self.numbers, self.text, signature=signature)

    @override
    async def send_by(self, client: CoreClient, options: SendOptions) -> tuple[Receipt, ...]:
        return await client.send(self.numbers, self.text, **options)


@dataclass(frozen=True, repr=False)
class TemplateMessage(OutgoingMessage):
    """A template, filled in with values for each number (docs/protocol.md, section 1)."""

    template: str
    values: Sequence[Sequence[str]]

    @property
    @override
    def texts(self) -> Sequence[str]:
        return [fill(self.template, number, values) for number, *values in self._rows]

    @override
    def items(self, signature: Signature | None) -> Sequence[Hashable]:
        return list(zip(self._comparable, map(tuple, self.values), strict=True))

    @override
    def select(self, places: Sequence[int]) -> Self:
        numbers = [self.numbers[place] for place in places]
        return replace(self, numbers=numbers, values=[self.values[place] for place in places])

    @override
    def plan(self, signature: Signature | None) -> SendPlan:
        return plan_template(self.template, self._rows, signature=signature)

    @override
    async def send_by(self, client: CoreClient, options: SendOptions) -> tuple[Receipt, ...]:
        return await client.send_template(self.template, self._rows, **options)

    @property
    def _rows(self) -> list[list[str]]:
        return [[number, *values] for number, values in zip(self.numbers, self.values, strict=True)]


@dataclass(frozen=True, repr=False)
class BatchMessage(OutgoingMessage):
    """A text of its own for each number (docs/protocol.md, section 1)."""

    contents: Sequence[str]

    @property
    @override
    def texts(self) -> Sequence[str]:
        return self.contents

    @override
    def items(self, signature: Signature | None) -> Sequence[Hashable]:
        written = [signature.write(text) if signature else text for text in self.contents]
        return list(zip(self._comparable, written, strict=True))

    @override
    def select(self, places: Sequence[int]) -> Self:
        numbers = [self.numbers[place] for place in places]
        return replace(self, numbers=numbers, contents=[self.contents[place] for place in places])

    @override
    def plan(self, signature: Signature | None) -> SendPlan:
        return plan_batch(self._pairs, signature=signature)

    @override
    async def send_by(self, client: CoreClient, options: SendOptions) -> tuple[Receipt, ...]:
        return await client.send_batch(self._pairs, **options)

    @property
    def _pairs(self) -> list[tuple[str, str]]:
        return list(zip(self.numbers, self.contents, strict=True))
