"""The call of the request hook before one HTTP request, and the asyncio transport that makes it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..options import RequestHook
from .transport import Request, Response, TransportError

_LOGGER = logging.getLogger(__name__)


class NotAnnouncedError(Exception):
    """The request must not leave: its hook failed, or its caller has gone."""


@dataclass(eq=False, slots=True)
class Announcement:
    """Calls the request hook before a request may leave.

    indexes: of the request's items. is_abandoned: returns whether the caller has gone. made: the hook has returned.
    failure: why the request must not leave.
    """

    hook: RequestHook
    indexes: tuple[int, ...]
    is_abandoned: Callable[[], bool]
    made: bool = False
    failure: str | None = None

    async def make(self) -> None:
        """Call the hook and await its result. Raise NotAnnouncedError if the request must not leave."""
        try:
            if not self.is_abandoned() and (result := self.hook.before(self.indexes)) is not None:
                await result
        except Exception as error:  # noqa: BLE001 - nothing leaves, whatever the error is
            raise self._failed(error) from None
        if self.is_abandoned():
            self.failure = "cancelled"
            raise NotAnnouncedError
        self.made = True

    def make_at_once(self) -> TransportError | None:
        """Call the hook for a blocking client. Return an error if the request must not leave."""
        try:
            if self.hook.before(self.indexes) is not None:
                raise TypeError("a blocking client cannot await its request hook")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            return TransportError(begun=False, detail=self.failure or "")
        self.made = True
        return None

    def undo(self) -> None:
        """Call the hook after a request that certainly submitted nothing, if the hook was called before it."""
        if self.made:
            self.hook.undo(self.indexes)

    def _failed(self, error: Exception) -> NotAnnouncedError:
        self.failure = type(error).__name__  # the type only: its text could quote the message
        _LOGGER.warning("The request hook failed with %s; the request is not sent", self.failure)
        return NotAnnouncedError()


class Beginning:
    """Whether an asyncio request has begun. announcement: is made before the first octet of the request."""

    def __init__(self, announcement: Announcement | None) -> None:
        self.begun = False
        self._announcement = announcement

    async def begin(self) -> None:
        """Make the announcement once. Raises NotAnnouncedError."""
        if self._announcement is not None and not self._announcement.made:
            await self._announcement.make()
        self.begun = True


class AsyncHTTPTransport(Protocol):
    """An asyncio HTTP transport, with the promises of `HTTPTransport`."""

    async def exchange(self, request: Request, announcement: Announcement | None = None) -> Response | TransportError:
        """Return the response or the error; never raise.

        announcement: is made once the request has its connection, before its first octet is written. If that raises,
        the request is not sent.
        """

    async def aclose(self) -> None:
        """Close all connections."""
