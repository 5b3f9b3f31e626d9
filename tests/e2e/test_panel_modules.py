"""Test the page's modules in a real browser against a connection that breaks, restarts and answers late."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from support import ROOT
from support.browser import CHROMIUM, Tab, browse

from demo.processes import free_port

pytestmark = [
    pytest.mark.usefixtures("socket_enabled"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to open pages with"),
]

PEOPLE = (("Anna", "138****0001"), ("Ben", "138****0002"))
FILES = ROOT / "custom_components" / "sms1680" / "panel" / "www"

# What Home Assistant's frontend gives the page. `answers` has a function for each command; a reconnection subscribes
# again as the frontend's connection does, without a second attempt if that fails.
HOME = """
<!doctype html><body><script type="module">
import "./panel.js";
import "./card-view.js";
import { Api } from "./api.js";
const listeners = new Set();
const conversation = (id) => ({ id, name: id, number: id, targets: [], can_write: true, time: "2026-01-01T00:00:00Z",
  unread: 0, waiting: 0, last: null, account: null });
const messages = (first, last) => Array.from({ length: last - first + 1 }, (_, place) => ({ key: `k${last - place}`,
  direction: "in", text: `m${last - place}`, time: "2026-01-01T00:00:00Z", via: "http" }));
window.home = {
  Api, conversation, messages, calls: [], subscriptions: [], loaded: true,
  answers: {
    "accounts/list": () => ({ accounts: [], is_admin: true }),
    "alarms/list": () => ({ alarms: [] }),
    "conversations/list": () => ({ conversations: [], more: false }),
    "conversations/mark_read": () => null,
    "contacts/list": () => ({ contacts: [] }),
    estimate: () => ({ parts: 1, cost: null, warnings: [] }),
  },
  lost: { type: "result", success: false, error: { code: 3, message: "Connection lost" } },
  page: (id, found, next = null) =>
    ({ conversation: conversation(id), messages: found, next, waiting: [], questions: [] }),
  connection: {
    addEventListener: (_, listener) => listeners.add(listener),
    removeEventListener: (_, listener) => listeners.delete(listener),
    async sendMessagePromise(message) {
      const command = message.type.replace("sms1680/", "");
      home.calls.push(message);
      return home.answers[command](message);
    },
    async subscribeMessage(callback, message, options) {
      if (!home.loaded) throw { code: "unknown_command", message: "Unknown command." };
      const one = { callback, message, again: options?.resubscribe !== false };
      home.subscriptions.push(one);
      return async () => { home.subscriptions = home.subscriptions.filter((other) => other !== one); };
    },
  },
  reconnect() {
    const old = home.subscriptions;
    home.subscriptions = [];
    const again = ({ callback, message }) => home.connection.subscribeMessage(callback, message);
    for (const one of old) if (one.again) again(one).catch(() => undefined);
    for (const listener of listeners) listener(home.connection);
  },
  tell: (event) => home.subscriptions.forEach((one) => one.callback(event)),
  show(tag, properties) {
    const element = Object.assign(document.createElement(tag), properties);
    document.body.replaceChildren(element);
    return element;
  },
};
window.hass = { language: "en", connection: home.connection };
window.rejected = [];
addEventListener("unhandledrejection", (event) => rejected.push(String(event.reason)));
window.ready = true;
</script>
"""


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async def home(_: web.Request) -> web.Response:
        return web.Response(text=HOME, content_type="text/html")

    app, port = web.Application(), free_port()
    app.router.add_get("/", home)
    app.router.add_static("/", FILES)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with browse(tmp_path / "profile") as browser:
        tab = await browser.tab()
        await tab.open(f"http://127.0.0.1:{port}/")
        await tab.until("window.ready")
        yield tab
        assert await tab.run("rejected") == [], "a promise that nobody catches: a button that does nothing"
    await runner.cleanup()


def answer(command: str, function: str) -> str:
    return f"(home.answers[{json.dumps(command)}] = {function}, 0)"


async def show_panel(tab: Tab) -> None:
    await tab.run("void home.show('sms1680-panel', { hass })")
    await tab.until("seek.one('#new')")


async def show_thread(tab: Tab) -> None:
    anna = "{ api: new home.Api(hass), conversation: home.conversation('anna'), limit: 3 }"
    await tab.run(f"void home.show('sms1680-thread', {anna})")


def texts() -> str:
    return "seek.all('.bubble').map((one) => one.textContent).join()"


async def test_changes_arrive_after_home_assistant_has_restarted(tab: Tab) -> None:
    await show_panel(tab)
    await tab.until("home.subscriptions.length === 1")
    # Home Assistant accepts connections before it has loaded the integration.
    await tab.run("home.loaded = false, home.reconnect()")
    await tab.until("home.subscriptions.length === 0")
    await tab.run(answer("conversations/list", "() => ({ conversations: [home.conversation('anna')], more: false })"))
    await tab.run("home.loaded = true, 0")
    await tab.until("home.subscriptions.length === 1", 20)
    await tab.until("seek.one('#conversations button', 'anna')")
    await tab.run("home.reconnect()")
    await tab.until("home.subscriptions.length === 1")
    await tab.run(answer("conversations/list", "() => ({ conversations: [home.conversation('ben')], more: false })"))
    await tab.run("home.tell({ conversation: 'ben' })")
    await tab.until("seek.one('#conversations button', 'ben')")
    await tab.run("document.body.replaceChildren()")
    await tab.until("home.subscriptions.length === 0")


async def test_open_alarms_stay_on_the_page_while_they_cannot_be_read(tab: Tab) -> None:
    await tab.run(answer("alarms/list", "() => ({ alarms: [{ closed_at: null }] })"))
    await show_panel(tab)
    await tab.until("seek.one('#alarms', 'Open alarms: 1')")
    await tab.run(answer("alarms/list", "() => { home.asked = true; throw home.lost; }"))
    await tab.run("home.reconnect()")
    await tab.until("home.asked")
    await tab.until("seek.one('#alarms', 'Open alarms: 1')")


async def test_new_message_says_why_it_cannot_be_written(tab: Tab) -> None:
    await show_panel(tab)
    await tab.run(answer("contacts/list", "() => { throw home.lost; }"))
    await tab.click("seek.one('#new')")
    await tab.until("seek.one('.empty', 'The connection to Home Assistant was lost.')")


async def test_list_ends_with_what_the_command_can_list(tab: Tab) -> None:
    many = "Array.from({ length: message.limit }, (_, place) => home.conversation(`n${place}`))"
    await tab.run(answer("conversations/list", f"(message) => ({{ conversations: {many}, more: true }})"))
    await show_panel(tab)
    more = "seek.one('nav > button', 'Show more')"
    await tab.until(more)
    await tab.run("seek.one('sms1680-panel')._limit = 990")
    await tab.run(f"{more}.click()")
    await tab.until(f"home.calls.at(-1).limit === 1000 && !{more}")


async def test_number_that_becomes_a_recipient_stays_open(tab: Tab) -> None:
    await tab.run(answer("conversations/list", "() => ({ conversations: [home.conversation('138')], more: false })"))
    await tab.run(answer("messages/list", "() => home.page(home.id ?? '138', home.messages(1, home.last ?? 1))"))
    await show_panel(tab)
    await tab.click("seek.one('#conversations button', '138')")
    await tab.until(f"{texts()} === 'm1'")
    await tab.run("home.id = 'anna', home.tell({ conversation: null })")
    await tab.until("seek.one('sms1680-panel')._open.id === 'anna'")
    await tab.run("home.last = 2, home.tell({ conversation: 'anna' })")
    await tab.until(f"{texts()} === 'm1,m2'")


async def test_conversation_with_a_deleted_recipient_goes_on_under_its_number(tab: Tab) -> None:
    anna = "{ ...home.conversation('anna'), name: 'Anna', number: '13800138000', targets: ['notify.anna'] }"
    unknown = "{ ...home.conversation(id), name: null }"
    await tab.run(answer("conversations/list", f"() => ({{ conversations: [{anna}], more: false }})"))
    page = f"({{ ...home.page('', []), conversation: id === 'anna' && !home.gone ? {anna} : {unknown},"
    page += " messages: id === '13800138000' || !home.gone ? home.messages(1, 2) : [] })"
    await tab.run(answer("messages/list", f"({{ conversation: id }}) => {page}"))
    await show_panel(tab)
    await tab.click("seek.one('#conversations button', 'Anna')")
    await tab.until(f"{texts()} === 'm1,m2'")
    await tab.run("seek.one('textarea').value = 'hello'")
    await tab.run("home.gone = true, home.tell({ conversation: null })")
    await tab.until("seek.one('sms1680-panel')._open.id === '13800138000'")
    await tab.until("seek.one('h1').textContent === '13800138000'")
    assert await tab.run(texts()) == "m1,m2"
    assert await tab.run("seek.one('textarea').value") == "hello"
    assert await tab.run("seek.one('sms1680-composer').target") == {"conversation": "13800138000"}


async def test_heading_names_whom_the_message_goes_to(tab: Tab) -> None:
    anna = "{ ...home.conversation('anna'), name: 'Anna', number: home.number ?? '13800138000', targets: [home.to] }"
    await tab.run("home.to = 'notify.anna', 0")
    await tab.run(answer("conversations/list", f"() => ({{ conversations: [{anna}], more: false }})"))
    await tab.run(answer("messages/list", f"() => ({{ ...home.page('anna', []), conversation: {anna} }})"))
    await show_panel(tab)
    await tab.click("seek.one('#conversations button', 'Anna')")
    await tab.until("seek.one('h1').textContent === 'Anna · 13800138000'")
    await tab.until("seek.one('sms1680-composer').target.entity_id[0] === 'notify.anna'")
    await tab.run("home.number = '13900139000', home.to = 'notify.anna_2', home.tell({ conversation: null })")
    await tab.until("seek.one('h1').textContent === 'Anna · 13900139000'")
    assert await tab.run("seek.one('sms1680-composer').target") == {"entity_id": ["notify.anna_2"]}
    await tab.run("home.show('sms1680-card-view', { hass }).configure({ conversation: 'anna' })")
    await tab.until("seek.one('h2').textContent === 'Anna'")
    card = f"{{ ...{anna}, name: 'Anna 2' }}"
    await tab.run(answer("messages/list", f"() => ({{ ...home.page('anna', []), conversation: {card} }})"))
    await tab.run("home.tell({ conversation: 'anna' })")
    await tab.until("seek.one('h2').textContent === 'Anna 2'")


async def test_no_message_is_missing_or_doubled_where_older_ones_are_shown(tab: Tab) -> None:
    await tab.run("home.last = 6, 0")
    older = "home.page('anna', home.messages(1, 3))"
    newest = "home.page('anna', home.messages(home.last - 2, home.last), 'k4')"
    await tab.run(answer("messages/list", f"(message) => message.before ? {older} : {newest}"))
    await show_thread(tab)
    await tab.until(f"{texts()} === 'm4,m5,m6'")
    button = "seek.one('button', 'Show older messages')"
    await tab.run(f"((button) => {{ button.click(); button.click(); }})({button})")
    await tab.until(f"{texts()} === 'm1,m2,m3,m4,m5,m6'")
    assert await tab.run("home.calls.filter((call) => call.before).length") == 1
    await tab.run("home.last = 8, seek.one('sms1680-thread').refresh()")
    assert await tab.run(texts()) == "m1,m2,m3,m4,m5,m6,m7,m8"
    await tab.run("home.last = 20, seek.one('sms1680-thread').refresh()")
    assert await tab.run(texts()) == "m18,m19,m20", "the pages do not meet: begin again"
    assert await tab.run(f"Boolean({button})")


async def test_notice_of_a_lost_connection_goes_with_it(tab: Tab) -> None:
    await tab.run(answer("messages/list", "() => home.page('anna', home.messages(1, 3), 'k1')"))
    await show_thread(tab)
    await tab.until(f"{texts()} === 'm1,m2,m3'")
    await tab.run(answer("messages/list", "() => { throw home.lost; }"))
    await tab.run("seek.one('button', 'Show older messages').click()")
    await tab.until("seek.one('[role=alert]', 'The connection to Home Assistant was lost.')")
    await tab.run(answer("messages/list", "() => home.page('anna', home.messages(1, 3), 'k1')"))
    await tab.run("seek.one('sms1680-thread').refresh()")
    assert not await tab.run("seek.one('[role=alert]', 'lost')")


async def test_second_click_on_take_it_does_not_resolve_the_alarm(tab: Tab) -> None:
    alarm = """{ id: 'a', number: 1, group: 'Watch', text: 'Smoke', count: 1, state: home.state,
        level: 'all', closed_at: null, raised_at: '2026-01-01T00:00:00Z', until: null,
        texted: [], by: 'Li', can_control: true, steps: [] }"""
    await tab.run("home.state = 'open', 0")
    await tab.run(answer("alarms/list", f"() => ({{ alarms: [{alarm}] }})"))
    await tab.run(answer("alarms/change", "() => { home.state = 'acknowledged'; }"))
    await tab.run("void home.show('sms1680-alarms', { api: new home.Api(hass) })")
    place = await tab.press("seek.one('button', 'Take it')")
    await tab.release(place)
    await tab.until("seek.one('.alarm-acknowledged')")
    x, y = place
    await tab.command("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=2)
    await tab.release(place)
    asked = "home.calls.filter((call) => call.action).map((call) => call.action)"
    assert await tab.run(asked) == ["acknowledge"]
    await tab.click("seek.one('button', 'Resolve')")
    assert await tab.run(asked) == ["acknowledge", "resolve_alarm"]


async def test_time_that_is_none_is_explained(tab: Tab) -> None:
    await tab.run(answer("messages/list", "() => home.page('anna', [])"))
    await show_thread(tab)
    await tab.write("seek.one('textarea')", "Hello")
    await tab.run("seek.one('#at').value = '123456-01-01T00:00'")
    assert await tab.run("seek.one('#at').value"), "the field accepts such years"
    await tab.click("seek.one('button', 'Send')")
    await tab.until("seek.one('#result').textContent")
    assert not await tab.run("seek.one('button', 'Send').disabled")


async def test_card_of_the_newest_conversation_keeps_what_is_being_written(tab: Tab) -> None:
    newest = "() => ({ conversations: [home.conversation(home.newest ?? 'anna')], more: false })"
    await tab.run(answer("conversations/list", newest))
    await tab.run(answer("messages/list", "(message) => home.page(message.conversation, home.messages(1, 1))"))
    await tab.run("void home.show('sms1680-card-view', { hass })")
    await tab.write("seek.one('textarea')", "Dear Anna")
    await tab.run("home.newest = 'ben', home.calls.length = 0, home.tell({ conversation: 'ben' })")
    await tab.until("home.calls.some((call) => call.type === 'sms1680/messages/list')")
    assert await tab.run("seek.one('h2').textContent + seek.one('textarea').value") == "annaDear Anna"
    await tab.run(answer("conversations/list", "() => { home.asked = true; throw home.lost; }"))
    await tab.run("home.tell({ conversation: 'ben' })")
    await tab.until("home.asked")
    assert await tab.run("seek.one('textarea').value") == "Dear Anna"
    await tab.run(answer("conversations/list", newest))
    await tab.write("seek.one('textarea')", "")
    await tab.run("home.tell({ conversation: 'ben' })")
    await tab.until("seek.one('h2', 'ben')")


async def test_second_attempt_goes_only_to_those_whose_message_failed(tab: Tab) -> None:
    people = [{"entity_id": f"notify.{name}", "name": name, "number": number} for name, number in PEOPLE]
    given = f"{{ api: new home.Api(hass), isAdmin: true, contacts: {json.dumps(people)} }}"
    await tab.run(f"void home.show('sms1680-composer', {given})")
    failed = {"outcome": "refused", "recipient": None}
    sent = [{"outcome": "accepted", "number": "138****0001"}, failed | {"number": "138****0002"}]
    typed = [{"outcome": "accepted", "number": "13800000003"}, failed | {"number": "13800000004"}]
    await tab.run(answer("messages/send", f"() => ({{ messages: {json.dumps(sent + typed)} }})"))
    for name, _ in PEOPLE:
        await tab.click(f"seek.one('label.choice', '{name}')")
    await tab.write("seek.one('#numbers')", "13800000003 13800000004")
    await tab.write("seek.one('textarea')", "Fire")
    await tab.click("seek.one('button', 'Send')")
    await tab.until("seek.one('#result', '13800000004')")
    await tab.click("seek.one('button', 'Send')")
    await tab.until("home.calls.filter((call) => call.type === 'sms1680/messages/send').length === 2")
    again = await tab.run("home.calls.findLast((call) => call.type === 'sms1680/messages/send')")
    assert (again["entity_id"], again["number"]) == (["notify.Ben"], ["13800000004"])
