"""The command `sms1680 estimate`."""

import argparse
import json
from typing import Any

from ..language import environment_language, say
from ..text import estimate
from .arguments import add_json, add_signature, read_text
from .output import EXIT_ACCEPTED


def add(commands: Any) -> None:  # noqa: ANN401
    """Add the command to the subparsers of the program."""
    parser = commands.add_parser(
        "estimate",
        help=say(
            "the cost of a text for one number, and content that can be blocked",
            "发往一个号码的计费条数，以及可能被拦截的内容",
        ),
    )
    add_signature(parser)
    add_json(parser)
    parser.add_argument(
        "text", help=say("the text, or - to read it from standard input", "内容；`-` 表示从标准输入读取")
    )
    parser.set_defaults(run=_estimate)


def _estimate(options: argparse.Namespace) -> int:
    result = estimate(read_text(options.text), signature=options.signature, signature_place=options.signature_place)
    if options.json:
        warnings = [{"concern": warning.concern.value, "found": warning.found} for warning in result.warnings]
        numbers = {"parts": result.parts, "characters": result.characters, "flow": result.flow}
        print(json.dumps({**numbers, "warnings": warnings}, ensure_ascii=False))
        return EXIT_ACCEPTED
    zh = (language := environment_language()) == "zh"
    counts = (result.parts, result.characters, result.flow)
    print(("{} parts, {} characters, {} flow items", "计费 {} 条，共 {} 字，占流量 {} 条")[zh].format(*counts))
    for warning in result.warnings:
        print(("warning: ", "警告：")[zh] + warning.sentence(language))
    return EXIT_ACCEPTED
