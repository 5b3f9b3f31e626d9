"""A sandbox for each test, and one blocking interface to both clients, so that each test runs with both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sms1680 import Account, AsyncClient, Client
from sms1680.sandbox import Config, SandboxThread
from sms1680.sandbox.config import DEMO_PASSWORD, DEMO_PRODUCT, DEMO_USERNAME

try:
    import uvloop
except ImportError:  # there is none for this platform
    uvloop = None


class Blocking:
    """The blocking client as it is."""

    kind = "blocking"

    def __init__(self, account: Account, **settings: Any) -> None:
        self.client = Client(account, **settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


class Looping:
    """The asyncio client, each call run to its end in a loop of its own thread of execution."""

    kind = "asyncio"
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None

    def __init__(self, account: Account, **settings: Any) -> None:
        self._runner = asyncio.Runner(loop_factory=self.loop_factory)
        if sleep := settings.pop("sleep", None):

            async def slept(seconds: float) -> None:
                sleep(seconds)

            settings["sleep"] = slept
        self.client = AsyncClient(account, **settings)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if not asyncio.iscoroutinefunction(found):
            return found
        return lambda *given, **named: self._runner.run(found(*given, **named))

    def close(self) -> None:
        self._runner.run(self.client.close())
        self._runner.close()


Make = Callable[..., Any]


@pytest.fixture
def account() -> Account:
    return Account(DEMO_USERNAME, DEMO_PASSWORD, product_id=DEMO_PRODUCT)


@pytest.fixture
def make_box() -> Iterator[Callable[..., SandboxThread]]:
    """Starts sandboxes with the given configuration."""
    with contextlib.ExitStack() as stack:
        yield lambda config=None: stack.enter_context(SandboxThread(config or Config()))


@pytest.fixture
def box(make_box: Callable[..., SandboxThread]) -> SandboxThread:
    return make_box()


class LoopingOnUvloop(Looping):
    """The same on uvloop."""

    loop_factory = None if uvloop is None else staticmethod(uvloop.new_event_loop)


@pytest.fixture(
    params=[Blocking, Looping, LoopingOnUvloop][: 2 if uvloop is None else 3], ids=lambda kind: kind.__name__
)
def make(request: pytest.FixtureRequest, account: Account) -> Iterator[Make]:
    """Makes clients of either kind, `make(gateway, **settings)`, and closes them."""
    with contextlib.ExitStack() as stack:

        def made(gateway: str, account: Account = account, **settings: Any) -> Any:
            client = request.param(account, gateway=gateway, **settings)
            stack.callback(client.close)
            return client

        yield made
