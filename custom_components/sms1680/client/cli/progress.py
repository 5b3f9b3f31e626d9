"""A progress bar on standard error, if it is a terminal. It has counts only, no number and no text."""

import sys
from collections.abc import Callable
from typing import TextIO

_WIDTH = 30


def progress_bar(total: int, stream: TextIO | None = None) -> Callable[[int], None]:
    """Return a function that shows how many of `total` rows are done. It does nothing unless on a terminal."""
    out = sys.stderr if stream is None else stream
    if out is None or not out.isatty():
        return lambda _: None

    def draw(done: int) -> None:
        bar = "#" * (_WIDTH * done // max(total, 1))
        try:
            out.write(f"\r[{bar:<{_WIDTH}}] {done}/{total}{chr(10) if done >= total else ''}")
            out.flush()
        except OSError:  # the terminal has gone; the messages go on
            return

    return draw
