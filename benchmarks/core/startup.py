"""Start-up time of `import sms1680`, and of an `apprise` process that sends one SMS."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measuring import alternate, bare_server, median_ratio

ROUNDS = 15


def timed(*command: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stdout + done.stderr
    return took


def main() -> None:
    os.environ["SMS1680_STATE_DIR"] = tempfile.mkdtemp()
    python, apprise = sys.executable, str(Path(sys.executable).with_name("apprise"))
    empty, ours, httpx = alternate(
        ROUNDS,
        lambda: timed(python, "-c", "pass"),
        lambda: timed(python, "-c", "import sms1680"),
        lambda: timed(python, "-c", "import httpx"),
    )
    shown = [f"{statistics.median(times) * 1e3:.0f} ms" for times in (ours, empty, httpx)]
    print(f"import sms1680: {shown[0]}; an empty Python {shown[1]}; import httpx {shown[2]}")
    print(
        f"  ratio to import httpx {median_ratio(ours, httpx):.2f}, to an empty Python {median_ratio(ours, empty):.2f}"
    )
    with bare_server() as url:
        json_target = url.replace("http://", "json://") + "/sendXSms.do"
        sms = f"sms1680://user:password@61341/13911000000?gateway={url}"
        plugin, builtin = alternate(
            ROUNDS, lambda: timed(apprise, "-b", "test", sms), lambda: timed(apprise, "-b", "test", json_target)
        )
    shown = [f"{statistics.median(times) * 1e3:.0f} ms" for times in (plugin, builtin)]
    print(f"apprise sending to sms1680://: {shown[0]}; to its own json://: {shown[1]}")
    print(f"  ratio {median_ratio(plugin, builtin):.2f}")


main()
