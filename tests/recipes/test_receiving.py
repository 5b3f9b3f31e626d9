"""Receive through a small server: the recipes of docs/fixed-address.md with the real programs on loopback."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import yaml
from homeassistant.core import Event, HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import async_capture_events
from support.recipes import Programs, Server, program, recipe, start_caddy, start_nginx
from support.shared_server import free_port
from yarl import URL

from custom_components.sms1680 import const
from tests.home_assistant.helpers import REPORTS, UPLINKS, WEBHOOK, MakeEntry, set_up_entry

UPLINK = "mobile=13800000001&content=" + quote("好的") + "&xh=12;"
LINES = "mobile=13800000001&content=" + quote("1\n谢谢") + "&xh=12;"
GBK = b"mobile=13800000001&content=%BA%C3%B5%C4&xh=;".decode()
PLATFORM, STRANGER = "127.0.0.3", "127.0.0.4"

StartProxy = Callable[[Programs, int], tuple[int, int, Path]]
EACH = pytest.mark.parametrize("start", [start_nginx, start_caddy])


async def push(port: int, query: str, *, source: str = PLATFORM, path: str = UPLINKS, **more: Any) -> tuple[int, str]:
    """Push as the platform does; `tls` is a context for https."""
    tls: ssl.SSLContext | None = more.pop("tls", None)
    url = URL(f"{'https' if tls else 'http'}://localhost:{port}{path}?{query}", encoded=True)
    connector = aiohttp.TCPConnector(
        local_addr=(source, 0), ssl=tls or True, force_close=True, resolver=aiohttp.ThreadedResolver()
    )
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url, **more) as response:
        return response.status, await response.text()


@pytest.fixture
def messages(hass: HomeAssistant) -> list[Event]:
    """Return the events of received messages."""
    return async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)


async def set_up(hass: HomeAssistant, make_entry: MakeEntry, *, trusted: bool, networks: list[str]) -> int:
    """Set an account with a port of its own up; return the port."""
    if trusted:
        assert await async_setup_component(hass, "http", yaml.safe_load(recipe("home-assistant", {})))
    port = free_port()
    options = {const.CONF_LISTENER_PORT: port, const.CONF_NETWORKS: networks}
    await set_up_entry(hass, make_entry(options=options))
    return port


def open_tunnel(programs: Programs, to: int) -> int:
    """Open the reverse tunnel of the page to a port at home; return its port on the server."""
    port = free_port()
    server = Server(programs, {"127.0.0.1:18124": f"127.0.0.1:{port}"})
    # The far end listens, so the tunnel is ready when that port does.
    server.connect("ssh-reverse", {"127.0.0.1:18124:127.0.0.1:8124": f"127.0.0.1:{port}:127.0.0.1:{to}"}, port)
    return port


@EACH
async def test_pushes_arrive_through_the_reverse_proxy_and_the_tunnel(
    hass: HomeAssistant, make_entry: MakeEntry, programs: Programs, messages: list[Event], *, start: StartProxy
) -> None:
    own_port = await set_up(hass, make_entry, trusted=True, networks=[f"{PLATFORM}/32"])
    tunnel = await hass.async_add_executor_job(open_tunnel, programs, own_port)
    plain, secure, authority = await hass.async_add_executor_job(start, programs, tunnel)
    tls = await hass.async_add_executor_job(lambda: ssl.create_default_context(cafile=str(authority)))
    assert await push(plain, UPLINK) == (200, "0")
    assert await push(secure, LINES, tls=tls) == (200, "0")
    assert await push(plain, GBK, path=WEBHOOK) == (200, "0")
    assert await push(plain, "msgid=7&mobile=13800000001&status=0", path=REPORTS) == (200, "0")
    assert [event.data["content"] for event in messages] == ["好的", "1\n谢谢", "好的"]
    # A stranger, also with a forged header, and every other address.
    for headers in ({}, {"X-Forwarded-For": PLATFORM}):
        assert (await push(plain, UPLINK, source=STRANGER, headers=headers))[0] == 403
    assert (await push(plain, "", path="/"))[0] == 404
    assert (await push(plain, "", path="/auth/providers"))[0] == 404
    assert len(messages) == 3
    assert "13800000001" not in programs.logs()


@EACH
async def test_proxy_that_is_not_trusted_gets_400(
    hass: HomeAssistant, make_entry: MakeEntry, programs: Programs, messages: list[Event], *, start: StartProxy
) -> None:
    own_port = await set_up(hass, make_entry, trusted=False, networks=[])
    plain, *_ = await hass.async_add_executor_job(start, programs, own_port)
    assert (await push(plain, UPLINK))[0] == 400
    assert not messages


@EACH
async def test_broken_tunnel_acknowledges_nothing_and_logs_no_push(programs: Programs, start: StartProxy) -> None:
    plain, *_ = start(programs, free_port())
    status, text = await push(plain, UPLINK)
    assert (status, text == "0") == (502, False)
    assert "13800000001" not in programs.logs()


@pytest.mark.parametrize(("networks", "status"), [([f"{PLATFORM}/32"], 403), (["127.0.0.1/32"], 200), ([], 200)])
async def test_bare_tunnel_has_the_address_of_its_end(
    hass: HomeAssistant, make_entry: MakeEntry, programs: Programs, *, networks: list[str], status: int
) -> None:
    own_port = await set_up(hass, make_entry, trusted=True, networks=networks)
    tunnel = await hass.async_add_executor_job(open_tunnel, programs, own_port)
    assert (await push(tunnel, UPLINK))[0] == status


async def test_last_address_that_is_no_trusted_proxy_counts(
    hass: HomeAssistant, make_entry: MakeEntry, messages: list[Event]
) -> None:
    own_port = await set_up(hass, make_entry, trusted=True, networks=[f"{PLATFORM}/32"])
    for header, status in ((f"{STRANGER}, {PLATFORM}", 200), (f"{PLATFORM}, {STRANGER}", 403)):
        pushed = await push(own_port, UPLINK, source="127.0.0.1", headers={"X-Forwarded-For": header})
        assert pushed[0] == status
    assert len(messages) == 1


async def test_frp_carries_pushes(
    hass: HomeAssistant, make_entry: MakeEntry, programs: Programs, messages: list[Event]
) -> None:
    frps, frpc = program("frps"), program("frpc")
    own_port = await set_up(hass, make_entry, trusted=False, networks=["127.0.0.1/32"])
    port, remote = free_port(), free_port()
    server = recipe("frps", {"7000": port})
    home = {
        "server.example.com": "127.0.0.1",
        "7000": port,
        "18124": remote,
        "localPort = 8124": f"localPort = {own_port}",
    }
    client = recipe("frpc", home)

    def start() -> None:
        programs.start([frps, "-c", str(programs.write("frps.toml", server))], port)
        programs.start([frpc, "-c", str(programs.write("frpc.toml", client))], remote)

    await hass.async_add_executor_job(start)
    assert await push(remote, UPLINK) == (200, "0")
    assert len(messages) == 1


def test_wireguard_accepts_both_configurations(tmp_path: Path) -> None:
    wg, unshare = program("wg"), program("unshare")

    def key(private: str | None = None) -> str:
        command = [wg, "genkey"] if private is None else [wg, "pubkey"]
        return subprocess.run(command, input=private, capture_output=True, text=True, check=True).stdout.strip()

    server, home = key(), key()
    keys = {"server.example.com": "127.0.0.1", "HOME_PRIVATE_KEY": home, "SERVER_PUBLIC_KEY": key(server)}
    texts = {
        "server": recipe("wireguard-server", {"SERVER_PRIVATE_KEY": server, "HOME_PUBLIC_KEY": key(home)}),
        "home": recipe("wireguard-home", keys),
    }
    quick = program("wg-quick")
    for name, text in texts.items():
        path = tmp_path / "wgtest0.conf"
        path.write_text(text)
        path.chmod(0o600)
        stripped = subprocess.run([quick, "strip", str(path)], capture_output=True, text=True, check=True).stdout
        assert "Address" not in stripped
        (tmp_path / name).write_text(stripped)
    # In a network of its own, which ends with the shell.
    make = "ip link add wgtest0 type wireguard"
    if subprocess.run([unshare, "-rn", "sh", "-c", make], capture_output=True, check=False).returncode:
        pytest.skip("this machine cannot make a WireGuard interface")
    for name in texts:
        script = f"{make} && wg setconf wgtest0 {tmp_path / name} && wg show wgtest0"
        shown = subprocess.run([unshare, "-rn", "sh", "-c", script], capture_output=True, text=True, check=True).stdout
        assert "peer:" in shown
