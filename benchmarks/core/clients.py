"""Sends per second of both HTTP clients over each carrier, without a rate, compared with the bare library.

Prints the ratios of the elapsed time and of this process's CPU time, as the median and the quartiles of the rounds.
The row over aiohttp needs an environment with Home Assistant, and this repository on PYTHONPATH.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from urllib.parse import urlencode, urlsplit

import aiohttp
import httpx
from _measuring import bare_server

import sms1680
from sms1680.http.standard_transport import StandardTransport

ROUNDS, SENDS = 15, 300
ACCOUNT = sms1680.Account("user", "password", product_id="61341")
NUMBER, TEXT, SIGNATURE = "13911000000", "后门 22:41 打开", "某某科技"
FORM = {
    "username": "user",
    "password": ACCOUNT.password,
    "productid": "61341",
    "mobile": NUMBER,
    "content": f"【{SIGNATURE}】{TEXT}",
}
HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
Seconds = tuple[float, float]  # elapsed, and of CPU time


def repeat(send: Callable[[], object]) -> Seconds:
    began, used = time.perf_counter(), time.process_time()
    for _ in range(SENDS):
        send()
    return time.perf_counter() - began, time.process_time() - used


async def repeat_async(send: Callable[[], Awaitable[object]]) -> Seconds:
    began, used = time.perf_counter(), time.process_time()
    for _ in range(SENDS):
        await send()
    return time.perf_counter() - began, time.process_time() - used


def plain_httpx(url: str) -> Seconds:
    with httpx.Client() as client:
        return repeat(lambda: client.post(f"{url}/sendXSms.do", data=FORM).raise_for_status())


def plain_http_client(url: str) -> Seconds:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def send() -> None:
        connection.request("POST", "/sendXSms.do", urlencode(FORM), HEADERS)
        connection.getresponse().read()

    seconds = repeat(send)
    connection.close()
    return seconds


def client(url: str) -> Seconds:
    with sms1680.Client(ACCOUNT, gateway=url, signature=SIGNATURE) as sms:
        return repeat(lambda: sms.send(NUMBER, TEXT))


def client_over_http_client(url: str) -> Seconds:
    with sms1680.Client(ACCOUNT, gateway=url, signature=SIGNATURE, carrier=StandardTransport()) as sms:
        return repeat(lambda: sms.send(NUMBER, TEXT))


async def plain_async_httpx(url: str) -> Seconds:
    async with httpx.AsyncClient() as client:
        return await repeat_async(lambda: client.post(f"{url}/sendXSms.do", data=FORM))


async def plain_aiohttp(url: str) -> Seconds:
    async with aiohttp.ClientSession() as session:

        async def send() -> None:
            async with session.post(f"{url}/sendXSms.do", data=FORM) as response:
                await response.read()

        return await repeat_async(send)


async def async_client(url: str) -> Seconds:
    async with sms1680.AsyncClient(ACCOUNT, gateway=url, signature=SIGNATURE) as sms:
        return await repeat_async(lambda: sms.send(NUMBER, TEXT))


async def async_client_over_aiohttp(url: str) -> Seconds:
    carriers = import_module("custom_components.sms1680.account.aiohttp_transport")  # needs Home Assistant
    core = import_module("custom_components.sms1680.client")
    account = core.Account("user", "password", product_id="61341")
    async with aiohttp.ClientSession() as shared, carriers.make_session(shared.connector) as session:
        carrier = carriers.AiohttpTransport(session)
        async with core.AsyncClient(account, gateway=url, signature=SIGNATURE, carrier=carrier) as sms:
            return await repeat_async(lambda: sms.send(NUMBER, TEXT))


def main() -> None:
    os.environ["SMS1680_STATE_DIR"] = tempfile.mkdtemp()
    with bare_server() as url:
        blocking = (plain_httpx, plain_http_client, client, client_over_http_client)
        looping = [plain_async_httpx, plain_aiohttp, async_client]
        if find_spec("homeassistant") is not None:
            looping.append(async_client_over_aiohttp)
        results: dict[str, list[Seconds]] = {measure.__name__: [] for measure in (*blocking, *looping)}
        for _ in range(ROUNDS):
            for measure in blocking:
                results[measure.__name__].append(measure(url))
            for measure in looping:
                results[measure.__name__].append(asyncio.run(measure(url)))
    show(results, "client", "plain_httpx")
    show(results, "client_over_http_client", "plain_http_client", "plain_httpx")
    show(results, "plain_http_client", "plain_httpx")
    show(results, "async_client", "plain_async_httpx")
    show(results, "async_client_over_aiohttp", "plain_aiohttp", "plain_async_httpx")
    show(results, "plain_aiohttp", "plain_async_httpx")


def show(results: dict[str, list[Seconds]], name: str, *peers: str) -> None:
    """Print a row for each peer."""
    for peer in peers if name in results else ():
        pairs = list(zip(results[peer], results[name], strict=True))
        elapsed, used = ([theirs[kind] / ours[kind] for theirs, ours in pairs] for kind in (0, 1))
        rate = SENDS / statistics.median(elapsed_seconds for elapsed_seconds, _ in results[name])
        print(f"{name} against {peer}: {spread(elapsed)}, by CPU time {spread(used)} ({rate:.0f} per second)")


def spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


main()
