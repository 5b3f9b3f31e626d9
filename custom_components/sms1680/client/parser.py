"""The parser of the command line, with help and errors in the language of the environment.

The standard library's parser is English only.
"""

import argparse
import re
import sys
from typing import NoReturn

from .language import environment_language

_HEADINGS = {
    "usage: ": "用法：",
    "positional arguments:": "参数：",
    "options:": "选项：",
    "show this help message and exit": "显示此帮助",
}
_HEADING = re.compile(r"^([\u4e00-\u9fff]+):$", re.MULTILINE)
# The errors of `argparse`, and of `argparse` about one argument.
_ERRORS = (
    (r"the following arguments are required: (.*)", "缺少参数：`{}`"),
    (r"unrecognized arguments: (.*)", "不认识的参数：`{}`"),
    (r"ambiguous option: (.*?) could match (.*)", "选项 `{}` 不明确，可能是：`{}`"),
    (r"argument (.*?): expected .*", "参数 `{}` 缺少值"),
    (r"argument (.*?): invalid choice: (.*?) \(choose from (.*?)\).*", "参数 `{}` 的值 `{}` 无效，可用：`{}`"),
    (r"argument (.*?): invalid (?:.*?) value: (.*)", "参数 `{}` 的值 `{}` 无效"),
    (r"argument (.*?): ignored explicit argument (.*)", "参数 `{}` 不接受值：`{}`"),
)


class Parser(argparse.ArgumentParser):
    """A parser whose help and errors are in the language of the environment."""

    def format_usage(self) -> str:
        """Return the usage."""
        return self._translated(super().format_usage())

    def format_help(self) -> str:
        """Return the help."""
        return self._translated(super().format_help())

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with 2."""
        if environment_language() != "zh":
            super().error(message)
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}：{_translate(message)}\n")

    def _translated(self, text: str) -> str:
        for en, zh in _HEADINGS.items() if environment_language() == "zh" else ():
            text = text.replace(en, zh)
        return _HEADING.sub(r"\1：", text)


def _translate(message: str) -> str:
    for pattern, sentence in _ERRORS:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return sentence.format(*found.groups())
    return "命令行参数无效，请见 `--help`"
