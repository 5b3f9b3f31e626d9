"""CPU time of an idle connection in one hour, with a simulated clock.

The gateway answers each ACTIVE_TEST. Only the session's own work is measured and its wake-ups are counted. The result
is compared with the hour, and with the same number of empty wake-ups of an event loop.

python benchmarks/cmpp/idle.py
"""

import asyncio
import time

from sms1680.cmpp import Decoder, Session, SessionSettings, encode
from sms1680.cmpp.wire.pdus import ActiveTest, ActiveTestResp, ConnectResp

HOUR = 3600.0


def hour() -> tuple[int, float]:
    """Return the wake-ups of an idle hour and the CPU seconds of the session."""
    session = Session(SessionSettings("901234", "secret"), 0.0)
    gateway = Decoder()
    session.start("1122200000")
    [login] = gateway.receive(session.data_to_send())
    session.receive(encode(ConnectResp(sequence_id=getattr(login, "sequence_id", 0))), 0.0)
    now, wakes, spent = 0.0, 0, 0.0
    while now < HOUR:
        began = time.perf_counter()
        due = session.deadline
        assert due is not None
        now = due
        session.tick(now)
        octets = session.data_to_send()
        spent += time.perf_counter() - began
        wakes += 1
        for pdu in gateway.receive(octets):
            assert isinstance(pdu, ActiveTest)
            answer = encode(ActiveTestResp(sequence_id=pdu.sequence_id))
            began = time.perf_counter()
            session.receive(answer, now)
            spent += time.perf_counter() - began
    return wakes, spent


async def loop_wakes(count: int) -> float:
    """Return the CPU seconds of a number of empty wake-ups of an event loop."""
    began = time.process_time()
    for _ in range(count):
        await asyncio.sleep(0)
    return time.process_time() - began


if __name__ == "__main__":
    wakes, spent = min((hour() for _ in range(20)), key=lambda one: one[1])
    bare = min(asyncio.run(loop_wakes(wakes)) for _ in range(20))
    print(f"an idle hour: {wakes} wake-ups, {spent * 1e3:.2f} ms of CPU time, {spent / HOUR:.1e} of the hour,", end=" ")
    print(f"{spent / bare:.1f} of as many empty wake-ups of an event loop")
