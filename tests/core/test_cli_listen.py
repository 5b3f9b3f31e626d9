"""`sms1680 listen` in a process of its own: pushes of the sandbox and of raw sockets, and CMPP."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sms1680.sandbox import Account, Config, SandboxThread

A, B = "13911000000", "13688888888"
SECRET = "push-secret-of-the-tests"
REPLY = f"mobile={A}&content=%E5%85%B3%E9%97%AD%0A1&xh=12;"
REPORT = f"msgid=171029000012&mobile={A}&status=KX:4000"


class Listening:
    """A running `sms1680 listen`."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sms1680", "listen", "--json", *arguments],
            env={**os.environ, "LANG": "C.UTF-8", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready = self.line()
        assert ready["type"] == "listening"
        self.address: str = ready["address"]
        self.port = int(self.address.rpartition(":")[2].partition("/")[0])

    def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        read: dict[str, Any] = json.loads(self.process.stdout.readline())
        return read

    def ask(self, request: bytes) -> bytes:
        """Return the answer to a raw request, empty if the connection is cut."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(4096), b""))
        return b""

    def push(self, query: str, path: str = f"/{SECRET}") -> bytes:
        return self.ask(f"GET {path}?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Return the exit code and the rest of the output."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        assert "Traceback" not in err
        return self.process.returncode, out, err


Listen = Callable[..., Listening]


@pytest.fixture
def listen() -> Iterator[Listen]:
    running: list[Listening] = []

    def started(*arguments: str, **variables: str) -> Listening:
        running.append(Listening(*arguments, **{"SMS1680_LISTEN_SECRET": SECRET, **variables}))
        return running[-1]

    yield started
    for one in running:
        one.process.kill()
        one.process.communicate()


def without_time(line: dict[str, Any]) -> dict[str, Any]:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("received_at"))
    return line


def test_reply_and_report_are_printed_and_acknowledged(listen: Listen) -> None:
    listening = listen("--port", "0")
    answer = listening.push(REPLY)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n0")
    reply = without_time(listening.line())
    assert len(reply.pop("id")) == 16
    kept = {"content": "关闭\n1", "extension": "12", "incomplete": False, "number": A, "via": "listener"}
    assert reply == {"type": "message_received", **kept}
    assert listening.push(REPORT, f"/{SECRET}/1603/mr").endswith(b"0")
    report = without_time(listening.line())
    assert (report["type"], report["message_id"], report["number"]) == ("delivery_report", "171029000012", A)
    assert (report["status"], report["state"], report["settled"]) == ("KX:4000", "failed", True)
    assert report["reason"]
    assert listening.end() == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(listen: Listen, number: signal.Signals) -> None:
    assert listen("--port", "0").end(number) == (0, "", "")


def test_repeated_push_is_acknowledged_and_not_printed(listen: Listen) -> None:
    listening = listen("--port", "0")
    for query in (REPORT, REPORT, REPORT.replace("000012", "000013")):
        assert listening.push(query).endswith(b"0")
    assert [listening.line()["message_id"] for _ in range(2)] == ["171029000012", "171029000013"]
    assert listening.end() == (0, "", "")


def test_post_and_raw_octets_are_read(listen: Listen) -> None:
    listening = listen("--port", "0")
    body = f"mobile={A}&content=POST&xh=1".encode()
    head = f"POST /{SECRET}/mo HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert listening.ask(head + body).endswith(b"0")
    assert listening.line()["content"] == "POST"
    raw = f"GET /{SECRET}?mobile={A}&content=".encode() + "关 闭".encode("gb18030") + b"&xh=1; HTTP/1.1\r\n\r\n"
    assert listening.ask(raw).endswith(b"0")
    assert listening.line()["content"] == "关 闭"


REFUSED = {
    "another secret": (f"GET /{SECRET[:-1]}x?{REPLY} HTTP/1.1\r\n\r\n", b"404"),
    "a longer path": (f"GET /{SECRET}/a/b/c?{REPLY} HTTP/1.1\r\n\r\n", b"404"),
    "no secret": (f"GET /?{REPLY} HTTP/1.1\r\n\r\n", b"404"),
    "another method": (f"PUT /{SECRET}?{REPLY} HTTP/1.1\r\n\r\n", b"400"),
    "no push": (f"GET /{SECRET}?a=b HTTP/1.1\r\n\r\n", b"400"),
    "too large": (f"POST /{SECRET} HTTP/1.1\r\nContent-Length: 16385\r\n\r\n", b"413"),
    "chunks": (f"POST /{SECRET} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
    "no HTTP": ("hello\r\n\r\n", b"400"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_requests_are_refused(listen: Listen, case: str) -> None:
    request, status = REFUSED[case]
    listening = listen("--port", "0")
    assert listening.ask(request.encode()).startswith(b"HTTP/1.1 " + status)
    code, out, err = listening.end()
    assert (code, out) == (0, "")
    assert SECRET not in err


def test_endless_head_is_cut(listen: Listen) -> None:
    listening = listen("--port", "0")
    assert listening.ask(b"GET /" + b"x" * 200_000) == b""
    assert listening.push(REPORT).endswith(b"0")


def test_idle_connections_do_not_keep_a_push_out(listen: Listen) -> None:
    listening = listen("--port", "0")
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", listening.port), timeout=60))
        assert listening.push(REPORT).endswith(b"0")
    assert listening.line()["message_id"] == "171029000012"


def test_other_networks_are_cut_with_one_warning(listen: Listen) -> None:
    listening = listen("--port", "0", "--network", "203.0.113.0/24")
    assert [listening.push(REPORT) for _ in range(3)] == [b""] * 3
    code, out, err = listening.end()
    assert (code, out, err.count("\n")) == (0, "", 1)
    assert "--network does not allow" in err


def test_item_is_not_acknowledged_if_its_reader_is_gone(listen: Listen) -> None:
    listening = listen("--port", "0")
    assert listening.process.stdout is not None
    listening.process.stdout.close()
    assert not listening.push(REPORT).endswith(b"\r\n\r\n0")
    assert listening.process.stderr is not None
    err = listening.process.stderr.read()
    assert listening.process.wait(60) == 1
    assert "output cannot be written" in err
    assert "Traceback" not in err
    assert "Exception" not in err


def test_address_has_a_random_secret_by_default(listen: Listen) -> None:
    first, second = (listen("--port", "0", SMS1680_LISTEN_SECRET="") for _ in range(2))
    paths = {one.address.partition(f":{one.port}/")[2] for one in (first, second)}
    assert len(paths) == 2
    assert all(len(path) >= 32 for path in paths)
    assert first.push(REPORT, "/" + first.address.rpartition("/")[2]).endswith(b"0")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--secret", "a/b"], "letters, digits"),
        (["--network", "nonsense"], "must be a network"),
        (["--port", "70000"], "between 0 and 65535"),
        (["--host", "203.0.113.1"], "port cannot be opened"),
        (["--cmpp", "nowhere"], "HOST:PORT"),
        (["--cmpp", "127.0.0.1:9", "--sp-id", "901680", "--source-number", "1069"], "must not be empty"),
    ],
)
def test_invalid_options_are_explained(arguments: list[str], says: str) -> None:
    environment = {**os.environ, "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "sms1680", "listen", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_pushes_of_the_platform_arrive(listen: Listen, make_box: Callable[..., SandboxThread]) -> None:
    listening = listen("--port", "0")
    address = f"http://127.0.0.1:{listening.port}/{SECRET}/mo"
    box = make_box(Config(accounts=(Account(uplink_address=address),)))
    box.call(lambda platform: platform.reply(A, "1", username="demo"))
    assert listening.line()["content"] == "1"
    box.wait_for(lambda now: now.pushes.delivered == 1, timeout=60)


def test_replies_over_cmpp_are_printed(listen: Listen, make_box: Callable[..., SandboxThread]) -> None:
    box = make_box(Config(cmpp_port=0))
    account = ["--sp-id", "901680", "--source-number", "106900001680"]
    cmpp = f"127.0.0.1:{box._sandbox.cmpp.port}"
    listening = listen("--cmpp", cmpp, *account, SMS1680_CMPP_PASSWORD="demo1680")
    assert listening.address == cmpp
    box.call(lambda platform: platform.reply(B, "2", username="demo"))
    reply = without_time(listening.line())
    assert (reply["number"], reply["content"], reply["via"]) == (B, "2", "cmpp")
    assert listening.end() == (0, "", "")


def test_refused_login_ends_it(make_box: Callable[..., SandboxThread]) -> None:
    box = make_box(Config(cmpp_port=0))
    environment = {**os.environ, "LANG": "C.UTF-8", "SMS1680_CMPP_PASSWORD": "wrong"}
    account = ["--sp-id", "901680", "--source-number", "106900001680"]
    command = [sys.executable, "-m", "sms1680", "listen", "--cmpp", f"127.0.0.1:{box._sandbox.cmpp.port}", *account]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "password" in done.stderr
