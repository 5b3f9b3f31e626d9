"""Sends per second of `Client` and `AsyncClient`, without a rate, compared with a plain httpx client."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time

import httpx
from _measuring import alternate, bare_server, median_ratio

import sms1680

ROUNDS, SENDS = 9, 1000
ACCOUNT = sms1680.Account("user", "password", product_id="61341")
NUMBER, TEXT, SIGNATURE = "13911000000", "后门 22:41 打开", "某某科技"
FORM = {
    "username": "user",
    "password": ACCOUNT.password,
    "productid": "61341",
    "mobile": NUMBER,
    "content": f"【{SIGNATURE}】{TEXT}",
}


def main() -> None:
    os.environ["SMS1680_STATE_DIR"] = tempfile.mkdtemp()
    with bare_server() as url:

        def bare() -> float:
            with httpx.Client() as client:
                began = time.perf_counter()
                for _ in range(SENDS):
                    client.post(f"{url}/sendXSms.do", data=FORM).raise_for_status()
                return SENDS / (time.perf_counter() - began)

        def ours() -> float:
            with sms1680.Client(ACCOUNT, gateway=url, signature=SIGNATURE) as sms:
                began = time.perf_counter()
                for _ in range(SENDS):
                    sms.send(NUMBER, TEXT)
                return SENDS / (time.perf_counter() - began)

        async def bare_async() -> float:
            async with httpx.AsyncClient() as client:
                began = time.perf_counter()
                for _ in range(SENDS):
                    (await client.post(f"{url}/sendXSms.do", data=FORM)).raise_for_status()
                return SENDS / (time.perf_counter() - began)

        async def ours_async() -> float:
            async with sms1680.AsyncClient(ACCOUNT, gateway=url, signature=SIGNATURE) as sms:
                began = time.perf_counter()
                for _ in range(SENDS):
                    await sms.send(NUMBER, TEXT)
                return SENDS / (time.perf_counter() - began)

        measures = (bare, ours, lambda: asyncio.run(bare_async()), lambda: asyncio.run(ours_async()))
        b, o, ab, ao = alternate(ROUNDS, *measures)
    for name, mine, theirs in (("Client", o, b), ("AsyncClient", ao, ab)):
        rates = f"{statistics.median(mine):.0f}/s against {statistics.median(theirs):.0f}/s of plain httpx"
        print(f"{name}.send: {rates}, ratio {median_ratio(mine, theirs):.2f}")


main()
