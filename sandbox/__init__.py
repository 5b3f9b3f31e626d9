"""A local 1680 platform: the four HTTP calls, CMPP 2.0, delivery reports, uplinks, and a web page that shows phones.

In tests, use `async with Sandbox(Config(...)) as box` or `with SandboxThread(...) as box`, then `box.url` and
`box.platform`.
"""

from __future__ import annotations

from .config import Account, Config, PushRules
from .faults import PRESETS, Call, Cut, Fault
from .platform import Platform
from .records import Message, Phone, State, Uplink
from .server import Sandbox, SandboxThread
from .verdicts import Result, Verdict

__all__ = [
    "PRESETS",
    "Account",
    "Call",
    "Config",
    "Cut",
    "Fault",
    "Message",
    "Phone",
    "Platform",
    "PushRules",
    "Result",
    "Sandbox",
    "SandboxThread",
    "State",
    "Uplink",
    "Verdict",
]
