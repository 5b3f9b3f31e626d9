"""The JSON control API under /api/, for the phone page, demonstrations and tests.

It is not part of the 1680 platform. In a browser, only the sandbox's own pages may use it: the Host header must name
this machine (which prevents DNS rebinding), and a POST must be JSON from the same origin.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from .broadcast import Broadcaster
from .cmpp import CMPPServer
from .faults import PLAIN, Cut, Fault
from .fields import Fields
from .formats import is_number
from .platform import Platform
from .push_queue import report_url
from .records import DELIVERED, Message, Uplink
from .story import Link, Step, StepState
from .verdicts import Verdict

_KEEP_ALIVE = 15.0
_BATCH_DELAY = 0.2  # changes during this time are sent together
_LISTED = 500
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_local(host: str, extra: str) -> bool:
    """Return True if a Host header names this machine.

    That is localhost, a loopback address, or `extra`, the address that the server is bound to.
    """
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost") or name == extra:
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or is_unspecified(extra)


def is_unspecified(host: str) -> bool:
    """Return True for the bind address of all interfaces. The Host may then be any IP address, but not a name."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


class Control:
    """The handlers of the control API."""

    def __init__(self, platform: Platform, broadcaster: Broadcaster, cmpp: CMPPServer | None = None) -> None:
        """Serve a platform, and its CMPP side if it has a port."""
        self.platform = platform
        self.cmpp = cmpp
        self.broadcaster = broadcaster

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        posts: dict[str, Callable[[Fields], object]] = {
            "reply": self._reply,
            "account": self._account,
            "faults": self._faults,
            "pushes": self._pushes,
            "phone": self._phone,
            "held": self._held,
            "report": self._report,
            "words": self._words,
            "story": self._story,
            "reset": self._reset,
        }
        return [
            web.get("/api/state", self._get(lambda _: self.state())),
            web.get("/api/messages", self._get(self._messages)),
            web.get("/api/events", self._events),
            *(web.post(f"/api/{name}", self._post(action)) for name, action in posts.items()),
        ]

    def _guard(self, request: web.Request) -> None:
        if not is_local(request.host, self.platform.config.host):
            raise web.HTTPForbidden(text="unknown host name")

    def _get(self, action: Callable[[Mapping[str, str]], object]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._guard(request)
            return _json(action(request.query))

        return handle

    def _post(self, action: Callable[[Fields], object]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._guard(request)
            origin = request.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc != request.host:
                raise web.HTTPForbidden(text="requests from another origin are not allowed")
            if request.content_type != "application/json":
                raise web.HTTPUnsupportedMediaType(text="send application/json")
            try:
                answer = action(Fields.parse(await request.read()))
            except (ValueError, KeyError) as error:
                return _json({"error": str(error)}, status=400)
            self.platform.changed()
            return _json({"ok": True} if answer is None else answer)

        return handle

    # --- reading ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, object]:
        """Return everything except the messages."""
        platform = self.platform
        return {
            "epoch": platform.epoch,
            "now": platform.clock(),
            "accounts": [account.as_json() for account in platform.accounts.values()],
            "pushes": platform.pushes.as_json(),
            "faults": platform.faults.as_json(),
            "cmpp": self.cmpp and self.cmpp.faults.as_json(),
            "words": {"forbidden": platform.forbidden_words, "review": platform.review_words},
            "phones": {
                phone.number: phone.report_status
                for phone in platform.phones.values()
                if phone.report_status != DELIVERED
            },
            "counts": platform.counts(),
            "story": platform.story.as_json(),
        }

    def _messages(self, query: Mapping[str, str]) -> object:
        """Return the newest messages and uplinks in order. `number` and `after` (a serial) filter them."""
        number = query.get("number")
        after = int(query["after"]) if query.get("after", "").isdecimal() else 0
        items: list[Message | Uplink] = [*self.platform.messages, *self.platform.uplinks]
        chosen = [item for item in items if item.serial > after and number in {None, item.number}]
        chosen.sort(key=lambda item: item.serial)
        return {"messages": [item.as_json() for item in chosen[-_LISTED:]]}

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send changes as server-sent events: `changes`, with the changed `items` and the whole `state`."""
        self._guard(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        with self.broadcaster.subscribe() as subscription:
            await response.write(b"retry: 1000\n\n")
            while True:
                try:
                    async with asyncio.timeout(_KEEP_ALIVE):
                        changes = await subscription.get()
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if changes is None:
                    return response
                data = {"items": [item.as_json() for item in changes], "state": self.state()}
                await response.write(f"event: changes\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode())
                await asyncio.sleep(_BATCH_DELAY)

    # --- doing ------------------------------------------------------------------------------------------------------

    def _reply(self, fields: Fields) -> object:
        number = fields.text("number")
        if not number.isdecimal():
            raise ValueError("number: digits")
        uplink = self.platform.reply(
            number,
            fields.text("content"),
            extension=fields.optional_text("extension"),
            username=fields.optional_text("username"),
        )
        return uplink.as_json()

    def _account(self, fields: Fields) -> object:
        name = fields.optional_text("username") or next(iter(self.platform.accounts), "")
        account = self.platform.accounts.get(name)
        if account is None:
            raise ValueError("username: unknown account")
        for key in ("report_address", "uplink_address"):
            if key in fields:
                setattr(account, key, fields.address(key))
        for key in ("manual", "signature_required"):
            if key in fields:
                setattr(account, key, fields.flag(key))
        if "rate" in fields:
            account.flow.rate = fields.positive("rate")
        if "balances" in fields:
            account.balances.update(fields.counts("balances"))
        return account.as_json()

    def _faults(self, fields: Fields) -> object:
        """Set the standing fault (`standing`: a preset's name or null), queue faults (`next`, `times`), or `clear`.

        Over CMPP: queue faults (`cmpp`: a fault's name, `times`), or `restart` the CMPP side.
        """
        faults = self.platform.faults
        if "clear" in fields and fields.flag("clear"):
            faults.clear()
            if self.cmpp is not None:
                self.cmpp.faults.clear()
        if "standing" in fields:
            name = fields.optional_text("standing")
            if name is None:
                faults.standing = None
            else:
                faults.always(name)
        if "next" in fields:
            faults.next(_fault(fields), fields.integer("times", 1, most=100_000))
        if "cmpp" in fields:
            self._cmpp().faults.next(fields.text("cmpp"), fields.integer("times", 1, most=100_000))
        if "restart" in fields and fields.flag("restart"):
            self._cmpp().restart_soon()
        return faults.as_json() | {"cmpp": self.cmpp and self.cmpp.faults.as_json()}

    def _cmpp(self) -> CMPPServer:
        if self.cmpp is None:
            raise ValueError("cmpp: the sandbox has no CMPP port")
        return self.cmpp

    def _reset(self, _: Fields) -> None:
        self.platform.reset()
        if self.cmpp is not None:
            self.cmpp.faults.clear()

    def _pushes(self, fields: Fields) -> object:
        self.platform.pushes.repeat = fields.flag("repeat")
        return self.platform.pushes.as_json()

    def _phone(self, fields: Fields) -> None:
        number = fields.text("number")
        if not is_number(number):
            raise ValueError("number: eleven digits")
        self.platform.phone(number).report_status = fields.optional_text("report_status")

    def _held(self, fields: Fields) -> object:
        decided = self.platform.decide(fields.text("message_id"), approve=fields.flag("approve"))
        return {"messages": [message.as_json() for message in decided]}

    def _report(self, fields: Fields) -> None:
        """Push any delivery report, true or not: late, duplicate, or for a message that does not exist."""
        account = self.platform.accounts.get(fields.text("username"))
        if account is None or not account.report_address:
            raise ValueError("username: no account with an address for delivery reports")
        url = report_url(account.report_address, fields.text("msgid"), fields.text("mobile"), fields.text("status"))
        self.platform.pushes.add("report", url)

    def _words(self, fields: Fields) -> None:
        if "forbidden" in fields:
            self.platform.forbidden_words = fields.texts("forbidden")
        if "review" in fields:
            self.platform.review_words = fields.texts("review")

    def _story(self, fields: Fields) -> None:
        """Add or update a step (`id`, `state`, `en`, `zh`, `detail`), or set the `links`."""
        if "links" in fields:
            self.platform.story.links = [
                Link(row.text("title"), row.address("url") or "") for row in fields.rows("links")
            ]
        if "id" in fields:
            en = fields.text("en")
            self.platform.story.update(
                Step(
                    fields.text("id"),
                    StepState(fields.text("state")),
                    en,
                    fields.optional_text("zh") or en,
                    fields.optional_text("detail") or "",
                )
            )


def _fault(fields: Fields) -> Fault | str:
    """Return a preset's name, or a fault from an object with the fields of `Fault`."""
    if fields.is_text("next"):
        return fields.text("next")
    own = fields.row("next")
    verdict, cut = own.optional_text("verdict"), own.optional_text("cut")
    return Fault(
        stall_before=own.seconds("stall_before"),
        accept=own.flag("accept", default=True),
        verdict=Verdict(verdict) if verdict else None,
        stall_after=own.seconds("stall_after"),
        status=own.integer("status", 200, least=200, most=599),
        body=own.optional_text("body"),
        content_type=own.optional_text("content_type") or PLAIN,
        location=own.optional_text("location"),
        length=own.flag("length", default=True),
        cut=Cut(cut) if cut else None,
    )


def _json(data: object, status: int = 200) -> web.Response:
    text = json.dumps(data, ensure_ascii=False)
    return web.Response(
        text=text, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
