"""100,000 numbers in one call with packets of 1000: requests, CPU time and memory per number."""

from __future__ import annotations

import os
import tempfile
import time
import tracemalloc
from urllib.parse import urlencode

import httpx
from _measuring import bare_server

import sms1680

COUNT, PACKET = 100_000, 1000
ACCOUNT = sms1680.Account("user", "password", product_id="61341")


def main() -> None:
    os.environ["SMS1680_STATE_DIR"] = tempfile.mkdtemp()
    tracemalloc.start()
    numbers = [f"139{place:08d}" for place in range(COUNT)]
    list_size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    began = time.process_time()
    for start in range(0, COUNT, PACKET):
        fields = {"username": "user", "password": ACCOUNT.password, "productid": "61341", "content": "【某某】测试"}
        urlencode(fields | {"mobile": ",".join(numbers[start : start + PACKET])}).encode()
    encoding = time.process_time() - began

    with bare_server() as url:
        settings = {"gateway": url, "packet_size": PACKET, "signature": "某某"}
        with sms1680.Client(ACCOUNT, **settings) as sms:
            sms.send(numbers[0], "测试")
            before = int(httpx.get(f"{url}/count").text)
            began = time.process_time()
            receipts = sms.send(numbers, "测试")
            ours = time.process_time() - began
            requests = int(httpx.get(f"{url}/count").text) - before
            del receipts
            tracemalloc.start()
            receipts = sms.send(numbers, "测试")
            held, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert len(receipts) == COUNT
    print(f"{requests} requests for {COUNT} numbers")
    print(f"CPU time: {ours / COUNT * 1e6:.2f} µs per number, {ours / encoding:.1f} times urlencode of the same forms")
    print(f"memory: receipts {held / list_size:.1f} times the list of numbers, peak {peak / list_size:.1f} times")


main()
