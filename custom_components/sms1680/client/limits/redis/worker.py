"""A thread that exists only while it has work, and does it in order."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Worker:
    """Runs functions one after the other. Python waits for them before it exits."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._work: deque[tuple[Future[Any], Callable[[], object]]] = deque()
        self._is_running = False

    def submit(self, function: Callable[..., _Result], *arguments: object) -> "Future[_Result]":
        """Run a function after the earlier ones. Raise RuntimeError if Python is exiting."""
        future: Future[_Result] = Future()
        with self._lock:
            self._work.append((future, partial(function, *arguments)))
            if not self._is_running:
                try:
                    threading.Thread(target=self._run, name=self._name).start()
                except RuntimeError:
                    self._work.pop()
                    raise
                self._is_running = True
        return future

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._work:
                    self._is_running = False
                    return
                future, function = self._work.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    result = function()
                except BaseException as error:  # noqa: BLE001 - the caller gets it
                    future.set_exception(error)
                else:
                    future.set_result(result)
            del future, function
