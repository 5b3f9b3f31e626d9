"""The story of the demo, step by step. Each step reports what it has read from the platform or Home Assistant."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from support.ha_log_check import complaints, digests, leaks

from sms1680 import mask_number

from .home_assistant import CommandError, HomeAssistant, push_addresses
from .platform import Platform
from .processes import DemoError, Processes, RunFolder, relay_to
from .programs import tail
from .transcript import Step

NUMBER = "13800000001"
PHONE = mask_number(NUMBER)
RECIPIENT = "Anna"
SIGNATURE = "示例家居"
SIREN = "input_boolean.siren"
FORBIDDEN_WORD = "赌博"

FROM_APPRISE = "[NAS] [Down] 连接超时"
ALARM = "后门 22:41 被打开，警笛已响。回复“解除警报”可关闭。"
CUT_OFF = "厨房烟感电量只剩 10%，请更换电池。"
FORBIDDEN = f"客厅电视已播放{FORBIDDEN_WORD}节目 2 小时。"
REPLY = "解除警报"
OVER_CMPP = "门窗已全部锁好。回复任意内容可确认。"
REPLY_OVER_CMPP = "1\n谢谢，收到"
ANSWER = "已收到，警笛已关闭。"
QUESTION = "车库门开了 10 分钟，要关上吗？回复 是 或 不"
YES = "好的"
QUESTION_CMPP = "浇花系统要启动吗？回复 是 或 不"
SMOKE = "厨房烟雾报警，请立即查看。"
# How often the platform must have each text at the end.
EXPECTED = dict.fromkeys(
    (FROM_APPRISE, ALARM, CUT_OFF, FORBIDDEN, ANSWER, QUESTION, OVER_CMPP, QUESTION_CMPP, SMOKE), 1
)
EXPECTED[FORBIDDEN] = 0

CONDITION = (
    f"{{{{ trigger.event.data.recipient == '{RECIPIENT}' and trigger.event.data.plain == '{REPLY}'"
    " and not trigger.event.data.redelivered }}"
)
AUTOMATION = {
    "alias": "Answer the reply",
    "description": "Made by scripts/demo: a reply to the alarm switches the siren off and is answered.",
    "triggers": [{"trigger": "event", "event_type": "sms1680_message_received"}],
    "conditions": [{"condition": "template", "value_template": CONDITION}],
    "actions": [
        {"action": "input_boolean.turn_off", "target": {"entity_id": SIREN}},
        {"action": "sms1680.send_message", "data": {"number": "{{ trigger.event.data.number }}", "message": ANSWER}},
    ],
    "mode": "queued",
}

STEPS = (
    ("platform", "Platform and phone page are up", "短信平台和手机页面已启动"),
    ("apprise", "Apprise sends, called as Uptime Kuma calls it", "Apprise 发送短信（调用方式同 Uptime Kuma）"),
    ("home_assistant", "Home Assistant is up", "Home Assistant 已启动"),
    ("account", "Account, recipient and automation are set up", "已添加账户、接收人和自动化"),
    ("send", "Home Assistant sends and receives the delivery report", "Home Assistant 发送短信，并收到状态报告"),
    ("unknown", "A response is cut off: unknown, so not sent again", "应答中断：结果不明，不会自动重发"),
    ("forbidden", "A forbidden word: the error explains it", "禁用词语：用文字说明原因"),
    ("reply", "A reply from the phone starts an automation", "手机回复触发自动化"),
    ("question", "A question over HTTP, and its answer", "经 HTTP 提问并得到回答"),
    ("cmpp", "A reply comes in over CMPP, without the webhook", "关闭 webhook，回复经 CMPP 送达"),
    ("question_cmpp", "A question over CMPP, and its answer", "经 CMPP 提问并得到回答"),
    ("around", "The gateway is down: another account sends the alarm", "平台地址不通：报警经第二条路送达"),
    ("ledger", "Nothing lost, nothing sent twice", "没有丢失，也没有重复发送"),
    ("logs", "No secrets and no errors in the logs", "日志中没有机密，也没有错误"),
)


def expect(seen: object, wanted: object, what: str) -> None:
    """Raise DemoError unless the step has seen the expected."""
    if seen != wanted:
        raise DemoError(f"{what}: {seen!r} instead of {wanted!r}")


class Story:
    """The steps that send and receive, once the platform and Home Assistant are up."""

    def __init__(self, platform: Platform, processes: Processes, folder: RunFolder, password: str) -> None:
        self.platform = platform
        self.processes = processes
        self.folder = folder
        self.home: HomeAssistant | None = None
        self.secrets: dict[str, str] = {
            "the account's password": platform.account.password,
            "the MD5 of the account's password": digests(platform.account.password)[1],
            "Home Assistant's password": password,
            "a whole number": NUMBER,
            "the text of a reply": REPLY,
            "the text of the reply over CMPP": REPLY_OVER_CMPP.splitlines()[-1],
            **{f"the text of message {place}": text for place, text in enumerate(EXPECTED, 1)},
        }
        self._notify = ""
        self._account: dict[str, Any] = {}

    @property
    def _home(self) -> HomeAssistant:
        if self.home is None:
            raise DemoError("Home Assistant is not up")
        return self.home

    async def apprise(self, step: Step) -> None:
        """Send with the program `apprise`, and judge its output as Uptime Kuma does."""
        account = self.platform.account
        url = (
            f"sms1680://{quote(account.username)}:{quote(account.password)}@{account.product_id}/{NUMBER}"
            f"?gateway={quote(account.gateway, safe='')}&signature={quote(SIGNATURE)}"
        )
        program = Path(sys.executable).with_name("apprise")
        process = await self.processes.start(
            [program, "-vv", "-b", FROM_APPRISE, url], self.folder.variables(), self.folder.path, piped=True
        )
        output, errors = await asyncio.wait_for(process.communicate(), 60)
        (self.folder.logs / "apprise.log").write_bytes(output + errors)
        if process.returncode != 0 or not output.strip() or b"ERROR" in output:
            raise DemoError(f"apprise ended with {process.returncode}: {tail(output + errors)}")
        said = next(line for line in output.decode("utf-8", "replace").splitlines() if PHONE in line)
        step.lines.append(f"apprise {version('apprise')} ended with exit code 0 and printed: {said}")
        sent = said.count(PHONE)
        held = await self._shown_once(step, FROM_APPRISE, f"Apprise sent {sent}, ")
        step.facts.update(exit_code=process.returncode, sent=sent, held=held, said=said)
        step.detail = f"{PHONE} × {held}"

    async def account(self, step: Step) -> None:
        """Add the account, a recipient and an automation with their dialogs, and the push addresses at the platform."""
        home = self._home
        account = self._account = await home.add_account(self.platform.account, SIGNATURE)
        step.lines.append(f"the dialog tested the account and saved it as {account['title']!r}")
        await home.add_recipient(account, RECIPIENT, NUMBER)
        self._notify = await home.entity("notify", lambda state: state != "unavailable")
        step.lines.append(f"recipient {RECIPIENT}, {PHONE}: {self._notify}")
        addresses = push_addresses(account)
        self.secrets["the push addresses' secret"] = addresses["uplink_address"].split("/")[-3]
        registered = await self.platform.post("account", **addresses)
        for kind, address in addresses.items():
            expect(registered[kind], address, "the push address at the platform")
        step.lines.append("the platform pushes delivery reports and replies to the addresses of the dialog's last page")
        automation = await home.add_automation("answer_the_reply", AUTOMATION)
        await home.act("input_boolean.turn_on", {}, entity=SIREN)
        step.lines.append(f"{automation} waits for a reply; the siren is {await home.state(SIREN)}")
        step.detail = f"{RECIPIENT}, {PHONE}"

    async def send(self, step: Step) -> None:
        """Send with the notify entity, and wait for the event of the delivery report."""
        await self._home.act("notify.send_message", {"message": ALARM}, entity=self._notify)
        step.lines.append(f"notify.send_message to {self._notify} succeeded")
        held = await self._shown_once(step, ALARM)
        message_id = (await self.platform.with_text(ALARM))[0]["message_id"]
        report = await self._home.event("sms1680_delivery_report", lambda data: data["message_id"] == message_id)
        expect((report["state"], report["recipient"]), ("delivered", RECIPIENT), "the delivery report's event")
        step.lines.append(
            f"event sms1680_delivery_report: {report['recipient']}, {report['state']} ({report['status']})"
        )
        step.facts.update(held=held, state=report["state"])
        step.detail = f"{report['state']} × {held}"

    async def unknown(self, step: Step) -> None:
        """Let the platform accept a message and cut its response off."""
        await self.platform.post("faults", next="drop_after")
        answer = await self._home.act("sms1680.send_message", {"message": CUT_OFF}, entity=self._notify, answer=True)
        (message,) = answer["messages"]
        expect(message["outcome"], "unknown", "the outcome")
        expect((await self.platform.post("faults", clear=False))["happened"], 1, "responses cut off")
        step.lines.append(f"sms1680.send_message answered: outcome {message['outcome']}, reason {message['reason']}")
        held = await self._shown_once(step, CUT_OFF, after=", not 2")
        step.facts.update(outcome=message["outcome"], reason=message["reason"], held=held)
        step.detail = f"{message['outcome']} × {held}"

    async def forbidden(self, step: Step) -> None:
        """Send a forbidden word, and read the error as the frontend shows it in each language."""
        home = self._home
        for language, name in (("zh-Hans", "zh"), ("en", "en")):
            await home.command("config/core/update", language=language)
            try:
                await home.act("notify.send_message", {"message": FORBIDDEN}, entity=self._notify)
            except CommandError as error:
                sentence = " ".join((await home.translated(error.error, language)).split())
            else:
                raise DemoError("the message with the forbidden word was sent")
            if FORBIDDEN_WORD not in sentence:
                raise DemoError(f"the error does not name the word: {sentence}")
            step.lines.append(f"Home Assistant says in {name}: {sentence}")
            step.facts[name] = sentence
        step.facts["held"] = len(await self.platform.with_text(FORBIDDEN))
        expect(step.facts["held"], 0, "messages with the word at the platform")
        step.lines.append("the platform has 0 messages with this text")
        step.detail = FORBIDDEN_WORD

    async def reply(self, step: Step) -> None:
        """Reply on the phone page, and wait for the actions of the automation."""
        home = self._home
        uplink = await self.platform.post("reply", number=NUMBER, content=REPLY)
        data = await home.event("sms1680_message_received", lambda data: data["content"] == REPLY)
        expect((data["recipient"], data["redelivered"]), (RECIPIENT, False), "the event of the reply")
        step.lines.append(f"event sms1680_message_received: from {data['recipient']}, {data['content']!r}")
        answer = await self.platform.shown(ANSWER)
        held = await self._shown_once(step, ANSWER)
        expect(await home.state(SIREN), "off", "the siren")
        milliseconds = round((answer["sent_at"] - uplink["at"]) * 1000)
        step.lines.append(
            f"the automation switched the siren off and sent its own SMS: on the phone {milliseconds} ms after the "
            "reply, by the platform's clock"
        )
        step.facts.update(held=held, milliseconds=milliseconds, recipient=data["recipient"])
        step.detail = f"{milliseconds} ms"

    async def cmpp(self, step: Step) -> None:
        """Remove the push addresses, connect over CMPP, send, and reply from the phone in two lines."""
        home, platform = self._home, self.platform
        left = await platform.post("account", report_address=None, uplink_address=None)
        addresses = (left["report_address"], left["uplink_address"])
        expect(addresses, (None, None), "the push addresses at the platform")
        pushed = await platform.pushed()
        step.lines.append("the platform has no push address any longer: nothing can come in over the webhook")
        await home.add_cmpp(self._account, platform.account)
        entity = await home.entity("binary_sensor", lambda state: state == "on", "connected")
        step.lines.append(f"the dialog logged in over CMPP and added it; {entity} is {await home.state(entity)}")
        await home.act("notify.send_message", {"message": OVER_CMPP}, entity=self._notify)
        held = await self._shown_once(step, OVER_CMPP)
        report = await home.event(
            "sms1680_delivery_report", lambda data: data["recipient"] == RECIPIENT and data["status"] == "DELIVRD"
        )
        await platform.post("reply", number=NUMBER, content=REPLY_OVER_CMPP)
        data = await home.event("sms1680_message_received", lambda data: data["content"] == REPLY_OVER_CMPP)
        expect((data["recipient"], data["via"], data["redelivered"]), (RECIPIENT, "cmpp", False), "the reply's event")
        step.lines.append(f"event sms1680_delivery_report: {report['recipient']}, {report['state']}")
        step.lines.append(
            f"event sms1680_message_received: from {data['recipient']}, {data['content']!r}, via {data['via']}"
        )
        pushed = await platform.pushed() - pushed
        expect(pushed, 0, "pushes since then")
        step.facts.update(held=held, via=data["via"], lines=len(data["content"].splitlines()), pushed=pushed)
        step.detail = f"via {data['via']}"

    async def question(self, step: Step) -> None:
        """Ask over HTTP; the answer comes in over the webhook."""
        await self._ask(step, QUESTION)

    async def question_cmpp(self, step: Step) -> None:
        """Ask over CMPP, which the answer uses, too."""
        await self._ask(step, QUESTION_CMPP)

    async def _ask(self, step: Step, question: str) -> None:
        """Ask with sms1680.ask_question and answer from the phone."""
        fields = {"question": question, "answers": [{"id": "yes"}, {"id": "no"}], "timeout": "00:01:00"}
        asking = asyncio.ensure_future(self._home.act("sms1680.ask_question", fields, entity=self._notify, answer=True))
        try:
            shown = await self.platform.shown(question)
            step.lines.append(f"sms1680.ask_question; the phone {PHONE} shows: {shown['text']}")
            await self.platform.post("reply", number=NUMBER, content=YES)
            answer = await asking
        finally:
            asking.cancel()
        expect(answer["id"], "yes", f"the answer (reason {answer.get('reason')})")
        step.lines.append(
            f"the phone answered {YES!r}; the action returned id {answer['id']!r} from {answer['recipient']}, "
            f"{answer['elapsed']:.2f} s after it started"
        )
        step.facts.update(id=answer["id"], elapsed=answer["elapsed"])

    async def around(self, step: Step) -> None:
        """Add a second account whose gateway then goes down, and send an alarm that the first account takes over."""
        home, platform = self._home, self.platform
        async with relay_to(platform.account.gateway) as (gateway, close):
            second = await home.add_account(replace(platform.account, gateway=gateway), SIGNATURE)
            step.lines.append("a second account was added, which reaches the platform at another address")
            await close()
        step.lines.append("that address was closed: it refuses connections")
        first_id, second_id = (account["result"]["entry_id"] for account in (self._account, second))
        fields = {"number": NUMBER, "config_entry_id": second_id, "message": SMOKE, "priority": "critical"}
        began, clock = time.time(), time.monotonic()
        answer = await home.act("sms1680.send_message", {**fields, "fallback_account": first_id}, answer=True)
        seconds = time.monotonic() - clock
        (message,) = answer["messages"]
        (fallback,) = message["fallback"]
        seen = (message["outcome"], message["reason"], fallback["to"], fallback["outcome"])
        expect(seen, ("not_sent", "no_connection", first_id, "accepted"), "the response of the action")
        step.lines.append(f"the second account: outcome {seen[0]}, reason {seen[1]}; the first account: {seen[3]}")
        arrived = (await platform.shown(SMOKE))["sent_at"] - began
        step.lines.append(
            f"the alarm was on the phone {arrived:.1f} s after the call; the action answered after {seconds:.1f} s"
        )
        await home.request("DELETE", f"/api/config/config_entries/entry/{second_id}")
        step.facts.update(outcome=message["outcome"], taken=fallback["outcome"], seconds=round(arrived, 1))
        step.detail = f"{arrived:.1f} s"
        await self._shown_once(step, SMOKE)

    async def ledger(self, step: Step) -> None:
        """Count the platform's messages, late enough for a second copy to have arrived."""
        items = await self.platform.items()
        messages = [item for item in items if item["kind"] == "message"]
        counts = {text: len(await self.platform.with_text(text)) for text in EXPECTED}
        for place, (text, wanted) in enumerate(EXPECTED.items(), 1):
            expect(counts[text], wanted, f"how often the platform has message {place}")
        expect(len(messages), sum(EXPECTED.values()), "messages at the platform")
        pushes = [item["push"] for item in items if item["kind"] == "uplink"]
        expect(pushes, ["delivered"] * 4, "the delivery of the four replies")
        step.lines.append(
            f"the platform has {len(messages)} of the {len(EXPECTED)} messages, each once; it refused the other one"
        )
        step.facts.update(held=len(messages), counts=list(counts.values()))
        step.detail = " + ".join(str(count) for count in counts.values())

    async def logs(self, step: Step) -> None:
        """Search every log for secrets and for complaints about the integration."""
        logs = [*self.folder.logs.glob("*.log"), *self.folder.path.glob("config/*.log*")]
        lines = {log.name: len(log.read_text("utf-8", "replace").splitlines()) for log in logs}
        if "apprise.log" not in lines or not lines.get("home-assistant.log"):
            raise DemoError(f"there is too little to search: {lines}")
        found = leaks(logs, self.secrets)
        if found:
            raise DemoError("; ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else ""))
        against = [one for log in logs for one in complaints(log.read_text("utf-8", "replace"))]
        expect(against, [], "complaints about the integration in Home Assistant's log")
        step.lines.append(
            f"searched {sum(lines.values())} lines of {', '.join(sorted(lines))} for {len(self.secrets)} passwords, "
            "digests, numbers and texts: 0 found; no error, no traceback, no deprecation"
        )
        step.facts.update(secrets=len(found), searched_for=len(self.secrets), lines=lines)
        step.detail = f"{len(found)} / {len(self.secrets)}"

    async def _shown_once(self, step: Step, text: str, before: str = "", after: str = "") -> int:
        """Wait until the phone shows a text, and return how many messages with it the platform has: one."""
        shown = await self.platform.shown(text)
        held = len(await self.platform.with_text(text))
        expect(held, 1, "messages with this text at the platform")
        phone = mask_number(shown["number"])
        step.lines.append(f"{before}the platform has {held}{after}; the phone {phone} shows: {shown['text']}")
        return held
