"""One account on three machines that share a Valkey or Redis server: its rate, and the cost of a turn."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import httpx

import sms1680
from sms1680.limits.rate import RateLimiter, Slot
from sms1680.limits.server_address import ServerAddress, read_address
from sms1680.sandbox import Account, Config, SandboxThread, Verdict

RATE, ANSWER, SENDS, PROBES, TURNS = 50.0, 0.02, 300, 20, 500
ACCOUNT = sms1680.Account("demo", "demo1680", product_id="61341")


@contextlib.contextmanager
def shared_server() -> Iterator[str]:
    """Run a server on a free port."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        sys.exit("needs the program valkey-server or redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--save", "", "--dir", tempfile.mkdtemp()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        yield f"redis://127.0.0.1:{port}/0"
        server.terminate()


def send(url: str, sends: int) -> None:
    with sms1680.Client(ACCOUNT, gateway=url, rate=RATE) as sms:
        sms.balance()
        time.sleep(1)
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.monotonic()
        for turn in range(sends):
            sms.send(f"139{os.getpid() % 10_000:04d}{turn:04d}", f"{turn}")
        print(json.dumps([began, time.monotonic()]))


def plain_answer(url: str) -> float:
    """Return the seconds until a plain httpx client has its answer."""
    took = []
    with httpx.Client() as client:
        for turn in range(PROBES):
            form = {"username": "demo", "password": "demo1680", "productid": "61341", "mobile": "13800000000"}
            time.sleep(1 / RATE)
            began = time.monotonic()
            client.post(f"{url}/sendXSms.do", data=form | {"content": f"probe {turn}"}).raise_for_status()
            took.append(time.monotonic() - began)
    return statistics.median(took)


def storm(state: str | None, machines: int) -> None:
    """Send from several processes: on machines of their own with a server, otherwise on one machine."""
    one = tempfile.mkdtemp()
    environments = [
        {"SMS1680_STATE_DIR": tempfile.mkdtemp(), "SMS1680_STATE": state} if state else {"SMS1680_STATE_DIR": one}
        for _ in range(machines)
    ]
    platform = Account(rate=RATE, products={"61341": 10**6})
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with SandboxThread(Config(accounts=(platform,), answer_delay=ANSWER, repeat_limit=10**6)) as box:
        command = [sys.executable, __file__, box.url, str(SENDS // machines)]
        started = [
            subprocess.Popen(  # type: ignore[call-overload]
                command, env={**os.environ, **environment}, **pipes
            )
            for environment in environments
        ]
        for process in started:
            process.stdout.readline()
        for process in started:
            process.stdin.write("\n")
            process.stdin.flush()
        spans = [json.loads(process.communicate()[0]) for process in started]
        answer = plain_answer(box.url)
        sent = len(box.platform.messages) - PROBES
        too_fast = box.platform.verdicts[Verdict.TOO_FAST]
    took = max(end for _, end in spans) - min(began for began, _ in spans)
    ideal = sent * (1 / RATE + answer) - 1 / RATE
    where = "machines with a server" if state else "processes with the files"
    print(f"{machines} {where}: {sent} sent, {too_fast} too fast, {ideal / took:.3f} of the limit")


def turn_cost(server: ServerAddress | None) -> float:
    """Return the median of the seconds of a turn without a wait, from the request for a slot to its release."""
    limiter = RateLimiter(f"turns {server}", 1e6, time.monotonic, tempfile.mkdtemp(), server)
    took = []
    for _ in range(TURNS):
        began = time.perf_counter()
        turn = limiter.acquire(1, "normal", None)
        try:
            while True:
                time.sleep(next(turn))
        except StopIteration as stop:
            slot: Slot = stop.value
        limiter.release(slot)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


if len(sys.argv) > 1:
    send(sys.argv[1], int(sys.argv[2]))
else:
    with shared_server() as address:
        storm(None, 3)
        storm(address, 3)
        files, shared = turn_cost(None), turn_cost(read_address(address))
        print(f"a turn: {shared * 1e3:.2f} ms with the server, {files * 1e3:.2f} ms with the files")
