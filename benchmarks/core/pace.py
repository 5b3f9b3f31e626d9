"""Messages sent with a known rate and answers after 20 ms, compared with the limit of the flow rule."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import httpx

import sms1680
from sms1680.sandbox import Account, Config, SandboxThread, Verdict

RATE, ANSWER, SENDS, PROBES = 50.0, 0.02, 240, 20
ACCOUNT = sms1680.Account("demo", "demo1680", product_id="61341")


async def send(url: str, sends: int, tasks: int) -> list[float]:
    async with sms1680.AsyncClient(ACCOUNT, gateway=url, rate=RATE) as sms:
        if len(sys.argv) > 1:  # the programs start together: one that still imports takes the processor of the others
            print("ready", flush=True)
            sys.stdin.readline()
        began = time.monotonic()

        async def task(name: int) -> None:
            for turn in range(sends // tasks):
                await sms.send(f"139{os.getpid() % 10_000:04d}{name:02d}{turn % 100:02d}", f"{name} {turn}")

        await asyncio.gather(*(task(name) for name in range(tasks)))
        return [began, time.monotonic()]


def plain_answer(url: str) -> float:
    """Return the seconds until a plain httpx client has its answer: 20 ms at the platform, plus the transfer."""
    took = []
    with httpx.Client() as client:
        for turn in range(PROBES):
            form = {"username": "demo", "password": "demo1680", "productid": "61341", "mobile": "13800000000"}
            time.sleep(1 / RATE)
            began = time.monotonic()
            client.post(f"{url}/sendXSms.do", data=form | {"content": f"probe {turn}"}).raise_for_status()
            took.append(time.monotonic() - began)
    return statistics.median(took)


def measure(processes: int, tasks: int) -> None:
    os.environ["SMS1680_STATE_DIR"] = tempfile.mkdtemp()
    # The platform checks the rule strictly: a request that is slightly early is "too fast".
    platform = Account(rate=RATE, products={"61341": 10**6})
    with SandboxThread(Config(accounts=(platform,), answer_delay=ANSWER, repeat_limit=10**6)) as box:
        share = SENDS // processes
        if processes == 1:
            spans = [asyncio.run(send(box.url, share, tasks))]
        else:
            command = [sys.executable, __file__, box.url, str(share), str(tasks)]
            pipe = subprocess.PIPE
            started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(processes)]
            for process in started:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for process in started:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
            spans = [json.loads(process.communicate()[0]) for process in started]
        answer = plain_answer(box.url)
        sent = len(box.platform.messages) - PROBES
        too_fast = box.platform.verdicts[Verdict.TOO_FAST]
    took = max(end for _, end in spans) - min(began for began, _ in spans)
    ideal = sent * (1 / RATE + answer) - 1 / RATE
    result = f"{sent} sent, {too_fast} too fast, {ideal / took:.3f} of the limit"
    print(f"{processes} processes of {tasks} tasks: {result} (an answer takes {answer * 1e3:.1f} ms)")


if len(sys.argv) > 1:
    print(json.dumps(asyncio.run(send(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
else:
    for setting in ((1, 5), (2, 1), (8, 1)):
        measure(*setting)
