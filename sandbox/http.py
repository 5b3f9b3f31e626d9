"""The four HTTP calls (docs/protocol.md, section 1), with the faults that were requested.

A method that a call does not support is answered with 405, as a Java servlet does. Parameter names are case-sensitive.
If a parameter occurs twice, the first value counts, and the URL comes before the body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from .accounts import AccountState
from .codes import answer
from .faults import Call, Cut, Fault
from .formats import (
    Pairs,
    TemplateError,
    fill_template,
    parse_pairs,
    parse_time,
    split_groups,
    split_numbers,
    split_pairs,
)
from .platform import Platform
from .verdicts import Result, Verdict

FIELDS_MAX = 50
BODY_MAX = 8 * 1024 * 1024
_FORM_TYPES = {"application/x-www-form-urlencoded", "text/plain", "application/octet-stream"}
_METHODS = {
    Call.SEND: ("GET", "POST"),
    Call.TEMPLATE: ("POST",),
    Call.BATCH: ("POST",),
    Call.BALANCE: ("GET",),
}
_REQUIRED = {
    Call.SEND: ("username", "password", "mobile", "content", "productid"),
    Call.TEMPLATE: ("username", "password", "productid", "params", "content"),
    Call.BATCH: ("username", "password", "productid", "content"),
    Call.BALANCE: ("username", "password", "productid"),
}


def parse_parameters(*forms: bytes) -> dict[str, str]:
    """Read URL-encoded forms. If a name occurs twice, the first value counts. Invalid UTF-8 becomes U+FFFD.

    Raises:
        ValueError: more than 50 fields.
    """
    parameters: dict[str, str] = {}
    for form in forms:
        # Latin-1 preserves every byte until the whole value can be decoded as UTF-8
        text = form.decode("latin-1")
        for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, encoding="latin-1"):
            parameters.setdefault(_utf8(name), _utf8(value))
    return parameters


def _utf8(octets: str) -> str:
    return octets.encode("latin-1").decode("utf-8", "replace")


class Gateway:
    """Answers the HTTP calls."""

    def __init__(self, platform: Platform) -> None:
        """Serve a platform."""
        self.platform = platform

    def routes(self, prefix: str = "") -> list[web.RouteDef]:
        """Return the routes of the four calls, below a path prefix."""
        return [web.route("*", f"{prefix}/{call.value}.do", self._handler(call)) for call in Call]

    def _handler(self, call: Call) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(call, request)

        return handle

    async def _handle(self, call: Call, request: web.Request) -> web.StreamResponse:
        if request.method not in _METHODS[call]:
            raise web.HTTPMethodNotAllowed(request.method, _METHODS[call])
        fault = self.platform.faults.next_for(call)
        if fault is None:
            fault = Fault()
        else:
            self.platform.changed()
        body = await request.read()
        if fault.stall_before:
            await asyncio.sleep(fault.stall_before)
        account: AccountState | None = None
        result = Result(fault.verdict or Verdict.FAILED)
        text = answer(call, result)
        if fault.accept and fault.verdict is None:
            account, result, text = self._run(call, request, body)
        try:
            await asyncio.sleep(fault.stall_after + self.platform.config.answer_delay)
        finally:
            if account is not None:
                self.platform.answered(account, result)
        return await _respond(request, fault, text)

    def _run(self, call: Call, request: web.Request, body: bytes) -> tuple[AccountState | None, Result, str]:
        """Process a call. The returned account is set if `Platform.answered` must be called with the answer."""
        try:
            parameters = parse_parameters(_query(request), _form(request, body))
        except ValueError:
            parameters = {}
        if any(name not in parameters for name in _REQUIRED[call]):
            return _refused(call, Verdict.PARAMETER)
        account = self.platform.authenticate(
            parameters["username"],
            parameters["password"],
            request.remote or "",
            for_balance=call is Call.BALANCE,
        )
        if isinstance(account, Verdict):
            return _refused(call, account)
        if call is Call.BALANCE:
            left = self.platform.balance(account, parameters["productid"])
            return _refused(call, left) if isinstance(left, Verdict) else (None, Result(Verdict.ACCEPTED), str(left))
        result = self._submit(call, account, parameters)
        return account, result, answer(call, result)

    def _submit(self, call: Call, account: AccountState, parameters: Mapping[str, str]) -> Result:
        try:
            at = parse_time(parameters.get("dstime", ""))
        except ValueError:
            return Result(Verdict.PARAMETER)
        pairs = _pairs(call, parameters, account.config.numbers_max)
        if isinstance(pairs, Verdict):
            return Result(pairs)
        extension = parameters.get("xh", "").strip()
        return self.platform.submit(account, parameters["productid"], pairs, extension=extension, at=at)


def _pairs(call: Call, parameters: Mapping[str, str], most: int) -> Pairs | Verdict:
    """Return the (number, text) pairs of a call, or a verdict if its format is wrong."""
    content = parameters["content"]
    if not content.strip():
        return Verdict.EMPTY
    if call is Call.SEND:
        return [(number, content) for number in split_numbers(parameters["mobile"])]
    pieces = split_groups(parameters["params"]) if call is Call.TEMPLATE else split_pairs(content)
    if len(pieces) > most:
        return Verdict.TOO_MANY
    if call is Call.BATCH:
        return parse_pairs(pieces)
    try:
        return fill_template(content, pieces)
    except TemplateError:
        return Verdict.VARIABLE


def _refused(call: Call, verdict: Verdict) -> tuple[None, Result, str]:
    result = Result(verdict)
    return None, result, answer(call, result)


def _query(request: web.Request) -> bytes:
    """Return the undecoded query string."""
    return request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")


def _form(request: web.Request, body: bytes) -> bytes:
    """Return the body if it is a form. The platform document's Objective-C example sends forms as text/plain."""
    return body if request.content_type in _FORM_TYPES else b""


async def _respond(request: web.Request, fault: Fault, text: str) -> web.StreamResponse:
    """Send the answer, with the fault."""
    body = (text if fault.body is None else fault.body.replace("{}", text)).encode()
    headers = {"Content-Type": fault.content_type}
    if fault.location is not None:
        headers["Location"] = fault.location
    if fault.length and fault.cut is None:
        return web.Response(status=fault.status, body=body, headers=headers)
    if fault.cut is not Cut.BEFORE_ANSWER:
        if fault.length:  # at least two, so that a body of one byte counts as cut
            headers["Content-Length"] = str(max(len(body), 2))
        if fault.cut is Cut.BEFORE_BODY:
            body = b""
        elif fault.cut is Cut.IN_BODY:
            body = body[: max(len(body) // 2, 1)]
        _write_raw(request, fault.status, headers, body)
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _write_raw(request: web.Request, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Write an answer without aiohttp, which cannot send one that is cut or has no length."""
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers.items()), "Connection: close"]
    if request.transport is not None:
        request.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
