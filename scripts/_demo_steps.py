"""The story of `scripts/demo`, step by step. What a step tells, it has read from the platform or Home Assistant."""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from _complaints import complaints
from _demo_alarm import ask, go_around
from _demo_home_assistant import CommandError, HomeAssistant, push_addresses
from _demo_platform import Platform
from _demo_processes import DemoError, Processes, RunFolder
from _demo_secrets import digests, found
from _demo_transcript import Step

from sms1680 import mask_number

NUMBER = "13800000001"
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
QUESTION_CMPP = "浇花系统要启动吗？回复 是 或 不"
SMOKE = "厨房烟雾报警，请立即查看。"
EXPECTED = {
    FROM_APPRISE: 1,
    ALARM: 1,
    CUT_OFF: 1,
    FORBIDDEN: 0,
    ANSWER: 1,
    QUESTION: 1,
    OVER_CMPP: 1,
    QUESTION_CMPP: 1,
    SMOKE: 1,
}

AUTOMATION = {
    "alias": "Answer the reply",
    "description": "Made by scripts/demo: whoever answers the alarm switches the siren off, and is told so.",
    "triggers": [{"trigger": "event", "event_type": "sms1680_message_received"}],
    "conditions": [
        {
            "condition": "template",
            "value_template": "{{ trigger.event.data.recipient == '" + RECIPIENT + "'"
            " and trigger.event.data.content | trim == '" + REPLY + "'"
            " and not trigger.event.data.redelivered }}",
        }
    ],
    "actions": [
        {"action": "input_boolean.turn_off", "target": {"entity_id": SIREN}},
        {"action": "sms1680.send_message", "data": {"number": "{{ trigger.event.data.number }}", "message": ANSWER}},
    ],
    "mode": "queued",
}

STEPS = (
    ("platform", "Platform and phone page are up", "短信平台和手机页面已启动"),
    (
        "apprise",
        "Apprise sends, called as Uptime Kuma calls it",
        "Apprise 发送短信（调用方式同 Uptime Kuma）",
    ),
    ("home_assistant", "Home Assistant is up", "Home Assistant 已启动"),
    ("account", "Account, recipient and automation are set up", "已添加帐号、接收人和自动化"),
    ("send", "Home Assistant sends, and hears that it arrived", "Home Assistant 发送短信，并收到状态报告"),
    ("unknown", "An answer is cut off: unknown, so not sent again", "应答中断：结果不明，不会自动重发"),
    ("forbidden", "A forbidden word is told in words", "禁用词语：用文字说明原因"),
    ("reply", "A reply from the phone starts an automation", "手机回复触发自动化"),
    ("question", "A question over HTTP, and its answer", "经 HTTP 提问并得到回答"),
    (
        "cmpp",
        "A reply comes in over CMPP, the webhook off",
        "关闭 webhook，回复经 CMPP 送达",
    ),
    ("question_cmpp", "A question over CMPP, and its answer", "经 CMPP 提问并得到回答"),
    ("around", "The gateway is off: an alarm arrives by the second way", "平台地址不通：报警经第二条路送达"),
    ("ledger", "Nothing lost, nothing sent twice", "没有丢失，也没有重复发送"),
    ("logs", "No secrets and no errors in the logs", "日志中没有机密，也没有错误"),
)


def expect(seen: object, wanted: object, what: str) -> None:
    """Raises DemoError where what was seen is not what the step promises."""
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
        """Sends by the program `apprise`, and judges it as Uptime Kuma does: by what it writes."""
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
        said = next(line for line in output.decode("utf-8", "replace").splitlines() if mask_number(NUMBER) in line)
        step.lines.append(f"apprise {version('apprise')} ended with exit code 0 and said: {said}")
        sent = said.count(mask_number(NUMBER))
        held = await self._shown_once(step, FROM_APPRISE, f"Apprise sent {sent}, ")
        step.facts.update(exit_code=process.returncode, sent=sent, held=held, said=said)
        step.detail = f"{mask_number(NUMBER)} × {held}"

    async def account(self, step: Step) -> None:
        """Adds the account, a recipient and an automation by the dialogs, and the push addresses at the platform."""
        home = self._home
        account = self._account = await home.add_account(self.platform.account, SIGNATURE)
        step.lines.append(f"the dialog tried the account and saved it as {account['title']!r}")
        await home.add_recipient(account, RECIPIENT, NUMBER)
        self._notify = await home.notify_entity()
        step.lines.append(f"recipient {RECIPIENT}, {mask_number(NUMBER)}: {self._notify}")
        addresses = push_addresses(account)
        for address in addresses.values():
            self.secrets["the push addresses' secret"] = address.split("/")[-3]
        registered = await self.platform.post("account", **addresses)
        for kind, address in addresses.items():
            expect(registered[kind], address, "the address that the platform pushes to")
        step.lines.append("the platform pushes delivery reports and replies to the addresses of the dialog's last page")
        automation = await home.add_automation("answer_the_reply", AUTOMATION)
        await home.act("input_boolean.turn_on", {}, entity=SIREN)
        step.lines.append(f"{automation} waits for a reply; the siren is {await home.state(SIREN)}")
        step.detail = f"{RECIPIENT}, {mask_number(NUMBER)}"

    async def send(self, step: Step) -> None:
        """Sends through the notify entity, and waits for the delivery report's event."""
        await self._home.act("notify.send_message", {"message": ALARM}, entity=self._notify)
        step.lines.append(f"notify.send_message to {self._notify} held")
        held = await self._shown_once(step, ALARM)
        message = (await self.platform.held(ALARM))[0]
        report = await self._home.event(
            "sms1680_delivery_report", lambda data: data["message_id"] == message["message_id"]
        )
        data = report["data"]
        expect((data["state"], data["recipient"]), ("delivered", RECIPIENT), "the delivery report's event")
        step.lines.append(f"event sms1680_delivery_report: {data['recipient']}, {data['state']} ({data['status']})")
        step.facts.update(held=held, state=data["state"])
        step.detail = f"{data['state']} × {held}"

    async def unknown(self, step: Step) -> None:
        """Lets the platform take a message and cut its answer off."""
        await self.platform.post("faults", next="drop_after")
        answer = await self._home.act("sms1680.send_message", {"message": CUT_OFF}, entity=self._notify, answer=True)
        (told,) = answer["messages"]
        expect(told["outcome"], "unknown", "the outcome")
        faults = (await self.platform.post("faults", clear=False))["happened"]
        expect(faults, 1, "answers cut off")
        step.lines.append(f"sms1680.send_message answered: outcome {told['outcome']}, reason {told['reason']}")
        held = await self._shown_once(step, CUT_OFF, after=", not 2")
        step.facts.update(outcome=told["outcome"], reason=told["reason"], held=held)
        step.detail = f"{told['outcome']} × {held}"

    async def forbidden(self, step: Step) -> None:
        """Sends a forbidden word, and reads the error as somebody reads it who has Home Assistant in that language."""
        home = self._home
        for language, name in (("zh-Hans", "zh"), ("en", "en")):
            await home.command("config/core/update", language=language)
            try:
                await home.act("notify.send_message", {"message": FORBIDDEN}, entity=self._notify)
            except CommandError as error:
                sentence = " ".join((await home.spoken(error.error, language)).split())
            else:
                raise DemoError("the message with the forbidden word went out")
            if FORBIDDEN_WORD not in sentence:
                raise DemoError(f"the error does not name the word: {sentence}")
            step.lines.append(f"Home Assistant says in {name}: {sentence}")
            step.facts[name] = sentence
        step.facts["held"] = len(await self.platform.held(FORBIDDEN))
        expect(step.facts["held"], 0, "messages with the word at the platform")
        step.lines.append("the platform holds 0 messages with this text")
        step.detail = FORBIDDEN_WORD

    async def reply(self, step: Step) -> None:
        """Answers from the phone, as its page does, and waits for what the automation does."""
        home = self._home
        uplink = await self.platform.post("reply", number=NUMBER, content=REPLY)
        event = await home.event("sms1680_message_received", lambda data: data["content"] == REPLY)
        data = event["data"]
        expect((data["recipient"], data["redelivered"]), (RECIPIENT, False), "the event of the reply")
        step.lines.append(f"event sms1680_message_received: from {data['recipient']}, {data['content']!r}")
        answer = await self.platform.shown(ANSWER)
        held = await self._shown_once(step, ANSWER)
        expect(await home.state(SIREN), "off", "the siren")
        milliseconds = round((answer["sent_at"] - uplink["at"]) * 1000)
        step.lines.append(
            f"the automation switched the siren {await home.state(SIREN)} and sent its own SMS: "
            f"on the phone {milliseconds} ms after the reply left it, by the platform's clock"
        )
        step.facts.update(held=held, milliseconds=milliseconds, recipient=data["recipient"])
        step.detail = f"{milliseconds} ms"

    async def cmpp(self, step: Step) -> None:
        """Takes the push addresses away, connects over CMPP, sends, and answers from the phone in two lines."""
        home, platform = self._home, self.platform
        left = await platform.post("account", report_address=None, uplink_address=None)
        addresses = (left["report_address"], left["uplink_address"])
        expect(addresses, (None, None), "the addresses that the platform pushes to")
        pushed = await platform.pushed()
        step.lines.append("the platform has no address to push to any more: nothing can come in by the webhook")
        await home.add_cmpp(self._account, platform.account)
        entity = await home.connected()
        step.lines.append(f"the dialog logged in over CMPP and added that way; {entity} is {await home.state(entity)}")
        await home.act("notify.send_message", {"message": OVER_CMPP}, entity=self._notify)
        held = await self._shown_once(step, OVER_CMPP)
        report = await home.event(
            "sms1680_delivery_report", lambda data: data["recipient"] == RECIPIENT and data["status"] == "DELIVRD"
        )
        await platform.post("reply", number=NUMBER, content=REPLY_OVER_CMPP)
        event = await home.event("sms1680_message_received", lambda data: data["content"] == REPLY_OVER_CMPP)
        data = event["data"]
        expect((data["recipient"], data["via"], data["redelivered"]), (RECIPIENT, "cmpp", False), "the reply's event")
        step.lines.append(f"event sms1680_delivery_report: {report['data']['recipient']}, {report['data']['state']}")
        step.lines.append(
            f"event sms1680_message_received: from {data['recipient']}, {data['content']!r}, via {data['via']}"
        )
        pushed = await platform.pushed() - pushed
        expect(pushed, 0, "pushes since then")
        step.facts.update(held=held, via=data["via"], lines=len(data["content"].splitlines()), pushed=pushed)
        step.detail = f"via {data['via']}"

    async def question(self, step: Step) -> None:
        """Asks over HTTP; the reply comes by the webhook."""
        await ask(self._home, self.platform, step, entity=self._notify, question=QUESTION, number=NUMBER)

    async def question_cmpp(self, step: Step) -> None:
        """Asks over CMPP, by which the reply comes too."""
        await ask(self._home, self.platform, step, entity=self._notify, question=QUESTION_CMPP, number=NUMBER)

    async def around(self, step: Step) -> None:
        """Lets an account send an alarm whose gateway is off."""
        await go_around(
            self._home,
            self.platform,
            step,
            first=self._account,
            signature=SIGNATURE,
            alarm=SMOKE,
            number=NUMBER,
        )
        await self._shown_once(step, SMOKE)

    async def ledger(self, step: Step) -> None:
        """Counts what the platform holds, now that there was time to send something twice."""
        items = await self.platform.items()
        messages = [item for item in items if item["kind"] == "message"]
        counts = {text: len(await self.platform.held(text)) for text in EXPECTED}
        for place, (text, wanted) in enumerate(EXPECTED.items(), 1):
            expect(counts[text], wanted, f"how often the platform holds message {place}")
        expect(len(messages), sum(EXPECTED.values()), "messages at the platform")
        handed_on = [item["push"] for item in items if item["kind"] == "uplink"]
        expect(handed_on, ["delivered"] * 4, "what became of the four replies")
        step.lines.append(
            f"the platform holds {len(messages)} messages of the {len(EXPECTED)}, each once; it refused the other one"
        )
        step.facts.update(held=len(messages), counts=list(counts.values()))
        step.detail = " + ".join(str(count) for count in counts.values())

    async def logs(self, step: Step) -> None:
        """Searches every log for what must not be in one: a secret, or a word against the integration."""
        logs = [*self.folder.logs.glob("*.log"), *self.folder.path.glob("config/*.log*")]
        lines = {log.name: len(log.read_text("utf-8", "replace").splitlines()) for log in logs}
        if "apprise.log" not in lines or not lines.get("home-assistant.log"):
            raise DemoError(f"there is too little to search: {lines}")
        leaks = found(logs, self.secrets)
        if leaks:
            raise DemoError("; ".join(leaks[:5]) + (f" and {len(leaks) - 5} more" if len(leaks) > 5 else ""))
        against = [one for log in logs for one in complaints(log.read_text("utf-8", "replace"))]
        expect(against, [], "what Home Assistant's log says against the integration")
        step.lines.append(
            f"searched {sum(lines.values())} lines of {', '.join(sorted(lines))} for {len(self.secrets)} passwords, "
            f"digests, numbers and texts: {len(leaks)} found; no error, no traceback, nothing outworn"
        )
        step.facts.update(secrets=len(leaks), searched_for=len(self.secrets), lines=lines)
        step.detail = f"{len(leaks)} / {len(self.secrets)}"

    async def _shown_once(self, step: Step, text: str, before: str = "", after: str = "") -> int:
        """Waits until the phone shows a text, and tells how many messages with it the platform holds: one."""
        shown = await self.platform.shown(text)
        held = len(await self.platform.held(text))
        expect(held, 1, "messages with this text at the platform")
        phone = mask_number(shown["number"])
        step.lines.append(f"{before}the platform holds {held}{after}; the phone {phone} shows: {shown['text']}")
        return held


def last_words(log: Path) -> str:
    """Returns the last lines of a log."""
    return tail(log.read_bytes())


def tail(output: bytes) -> str:
    """Returns the last lines of what a program wrote."""
    return " | ".join(output.decode("utf-8", "replace").strip().splitlines()[-3:]) or "it wrote nothing"
