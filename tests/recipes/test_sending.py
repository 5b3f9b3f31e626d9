"""Send through a small server: the recipes of docs/fixed-address.md with the real programs on loopback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from support.recipes import Programs, Server, start_squid, start_tinyproxy
from support.shared_server import free_port

from sms1680 import Account, AsyncClient, NoAnswerError, Outcome, Reason, RefusedError, UnknownOutcomeError
from sms1680.cmpp import CMPPClient
from sms1680.cmpp.proxy import NoTunnelError, ProxyProblem
from sms1680.sandbox import Config, Sandbox
from tests.home_assistant.helpers import (
    BOTH,
    PASSWORD,
    PRODUCT,
    SOURCE_NUMBER,
    SP_ID,
    USERNAME,
    MakeEntry,
    SetUp,
    Until,
    send_to_alice,
)

NUMBER = "13800138000"
OWN = "127.0.0.2"
USERINFO = "sms1680:change-this-password@"

Start = Callable[[Programs, Mapping[str, object]], int]


def tinyproxy(programs: Programs, ports: tuple[int, int]) -> str:
    """Start tinyproxy for the ports of the platform; return its address."""
    port = start_tinyproxy(programs, {"ConnectPort 443": f"ConnectPort {ports[0]}", "7890": ports[1]})
    return f"http://{USERINFO}127.0.0.1:{port}"


def squid(programs: Programs, ports: tuple[int, int]) -> str:
    """Start Squid for the ports of the platform; return its address."""
    return f"http://127.0.0.1:{start_squid(programs, {'443': ports[0], '7890': ports[1]})}"


EACH = pytest.mark.parametrize("start", [tinyproxy, squid])


@pytest.fixture
def sandbox_config(sandbox_config: Config) -> Config:
    """A platform that authorizes only the address of the small server."""
    home, *others = sandbox_config.accounts
    return replace(sandbox_config, accounts=(replace(home, networks=(OWN,)), *others))


@pytest.fixture
def ports(sandbox: Sandbox) -> tuple[int, int]:
    """The ports of the platform, for HTTP and CMPP."""
    return int(sandbox.url.rpartition(":")[2]), sandbox.cmpp.port


def http(sandbox: Sandbox, proxy: str | None, **settings: Any) -> AsyncClient:
    account = Account(USERNAME, PASSWORD, product_id=PRODUCT)
    return AsyncClient(account, gateway=sandbox.url, signature="某某科技", proxy=proxy, **settings)


def cmpp(port: int, proxy: str | None) -> CMPPClient:
    settings: dict[str, Any] = {"secret": PASSWORD, "source_number": SOURCE_NUMBER, "signature": "某某科技"}
    return CMPPClient("127.0.0.1", port, sp_id=SP_ID, proxy=proxy, connect_timeout=60, **settings)


async def accepted(client: AsyncClient | CMPPClient) -> None:
    async with client:
        [receipt] = await client.send(NUMBER, "后门 22:41 打开", patience=60)
    assert receipt.outcome is Outcome.ACCEPTED


async def problem_of(port: int, proxy: str) -> ProxyProblem:
    with pytest.raises(NoTunnelError) as caught:
        await cmpp(port, proxy).try_login()
    return caught.value.problem


@EACH
async def test_platform_sees_the_address_of_the_proxy_only(
    sandbox: Sandbox, programs: Programs, ports: tuple[int, int], start: Callable[..., str]
) -> None:
    for client in (http(sandbox, None), cmpp(ports[1], None)):
        async with client:
            with pytest.raises(RefusedError) as caught:
                await client.send(NUMBER, "x")
            assert caught.value.reason is Reason.IP
    proxy = start(programs, ports)
    await accepted(http(sandbox, proxy))
    await accepted(cmpp(ports[1], proxy))
    assert [message.number for message in sandbox.platform.messages] == [NUMBER] * 2
    assert NUMBER not in programs.logs()
    assert "change-this-password" not in programs.logs()


@EACH
async def test_answers_of_the_proxy_are_named(
    sandbox: Sandbox, programs: Programs, ports: tuple[int, int], start: Callable[..., str]
) -> None:
    closed = free_port()
    proxy = start(programs, (closed, ports[1]))
    assert await problem_of(closed, proxy) is ProxyProblem.NO_GATEWAY
    assert await problem_of(free_port(), proxy) is ProxyProblem.FORBIDDEN
    assert not sandbox.platform.messages
    if start is tinyproxy:
        wrong = proxy.replace("change-this", "wrong")
        assert await problem_of(ports[1], wrong) is ProxyProblem.CREDENTIALS
        async with http(sandbox, wrong) as client:
            # The proxy does not read the whole request, so its answer can be lost with the connection.
            with pytest.raises((RefusedError, UnknownOutcomeError)) as caught:
                await client.send(NUMBER, "x")
        assert caught.value.reason in {Reason.WRONG_ADDRESS, Reason.LOST}


@EACH
async def test_missing_http_gateway_is_unknown_and_over_https_not_sent(
    sandbox: Sandbox, programs: Programs, ports: tuple[int, int], start: Callable[..., str]
) -> None:
    closed = free_port()
    proxy = start(programs, (closed, ports[1]))
    account = Account(USERNAME, PASSWORD, product_id=PRODUCT)
    async with AsyncClient(account, gateway=f"http://127.0.0.1:{closed}", proxy=proxy, signature="x") as client:
        with pytest.raises(UnknownOutcomeError):
            await client.send(NUMBER, "x")
    async with AsyncClient(account, gateway=f"https://127.0.0.1:{closed}", proxy=proxy, signature="x") as client:
        with pytest.raises(NoAnswerError) as caught:
            await client.balance()
    assert caught.value.reason is Reason.NO_CONNECTION
    assert not sandbox.platform.messages


async def test_home_assistant_sends_through_the_tunnel_and_the_proxy(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    sandbox: Sandbox,
    *,
    programs: Programs,
    ports: tuple[int, int],
    until: Until,
) -> None:
    port = int(tinyproxy(programs, ports).rpartition(":")[2])
    server = Server(programs, {'permitopen="127.0.0.1:8888"': f'permitopen="127.0.0.1:{port}"'})
    at_home = free_port()
    server.connect("ssh-forward", {"127.0.0.1:8888:127.0.0.1:8888": f"127.0.0.1:{at_home}:127.0.0.1:{port}"}, at_home)
    entry = make_entry(ways=BOTH, options={"proxy": f"http://{USERINFO}127.0.0.1:{at_home}"})
    await set_up(entry)
    await until(lambda: entry.runtime_data.health.connection.connected)
    assert (await send_to_alice(hass))["outcome"] == "accepted"
    assert len(sandbox.platform.messages) == 1


class TestWithoutAProxy:
    """The tunnels that need no proxy. sshd has no address of its own here."""

    @pytest.fixture
    def sandbox_config(self, sandbox_config: Config) -> Config:
        home, *others = sandbox_config.accounts
        return replace(sandbox_config, accounts=(replace(home, networks=()), *others))

    @pytest.mark.skipif(find_spec("socksio") is None, reason="needs the Python package socksio")
    async def test_http_goes_through_ssh_as_socks(self, sandbox: Sandbox, programs: Programs) -> None:
        server = Server(programs, {'permitopen="127.0.0.1:8888",': ""})
        at_home = free_port()
        server.connect("ssh-socks", {"127.0.0.1:1080": f"127.0.0.1:{at_home}"}, at_home)
        await accepted(http(sandbox, f"socks5://127.0.0.1:{at_home}"))

    async def test_cmpp_goes_through_a_forwarded_port(self, programs: Programs, ports: tuple[int, int]) -> None:
        server = Server(programs, {'permitopen="127.0.0.1:8888"': f'permitopen="127.0.0.1:{ports[1]}"'})
        at_home = free_port()
        to = {"127.0.0.1:7890:cmpp.example.com:7890": f"127.0.0.1:{at_home}:127.0.0.1:{ports[1]}"}
        server.connect("ssh-cmpp", to, at_home)
        await accepted(cmpp(at_home, None))
