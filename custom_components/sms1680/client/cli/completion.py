"""The command `sms1680 completion`: a script for bash, zsh or fish, made from the parser itself.

The scripts call no program: completing must not be slow, and must not send anything.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..language import say
from .arguments import add_json
from .output import EXIT_ACCEPTED

_FILES = ("FILE", "FOLDER", "file")
"""The names of values that are paths."""

MakeParser = Callable[[], argparse.ArgumentParser]


@dataclass(frozen=True, slots=True)
class Completed:
    """An option, or a word of its own. flags: empty for a word. takes: whether a value follows, a file or a choice."""

    flags: tuple[str, ...]
    takes: bool
    is_file: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandWords:
    """What can follow a command. name: `apprise url` for one below another, empty for the program itself."""

    name: str
    commands: tuple[str, ...]
    items: tuple[Completed, ...]

    @property
    def flags(self) -> list[str]:
        """All options."""
        return [flag for item in self.items for flag in item.flags]

    @property
    def words(self) -> list[str]:
        """All words that are no values of options: the commands below, the options, and choices."""
        return [*self.commands, *self.flags, *(word for item in self.items if not item.flags for word in item.choices)]

    @property
    def takes_file(self) -> bool:
        """Whether a file can be given as a word of its own."""
        return any(item.is_file for item in self.items if not item.flags)


def add(commands: Any, make_parser: MakeParser) -> None:  # noqa: ANN401 - argparse names no public type
    """Add the command to the subparsers of the program. make_parser: makes the parser with all commands."""
    parser = commands.add_parser(
        "completion",
        help=say("print a completion script for a shell", "输出命令行的补全脚本"),
        description=say(
            'For bash: eval "$(sms1680 completion bash)" in ~/.bashrc. For zsh: the same with zsh in ~/.zshrc, after '
            "compinit. For fish: sms1680 completion fish > ~/.config/fish/completions/sms1680.fish",
            '`bash`：在 `~/.bashrc` 中加入 `eval "$(sms1680 completion bash)"`。'
            "`zsh`：在 `~/.zshrc` 的 `compinit` 之后加入同样的一行，`bash` 改为 `zsh`。"
            "`fish`：`sms1680 completion fish > ~/.config/fish/completions/sms1680.fish`",
        ),
    )
    parser.add_argument("shell", choices=tuple(SCRIPTS), help=say("the shell", "命令行的名称"))
    add_json(parser)

    def run(options: argparse.Namespace) -> int:
        script = SCRIPTS[options.shell](list(command_words(make_parser())))
        print(json.dumps({"shell": options.shell, "script": script}) if options.json else script)
        return EXIT_ACCEPTED

    parser.set_defaults(run=run)


def command_words(parser: argparse.ArgumentParser, name: str = "") -> Iterator[CommandWords]:
    """Yield the words of a parser, then those of the commands below it."""
    below: dict[str, argparse.ArgumentParser] = {}
    items = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            below = dict(action.choices)
            continue
        shown = action.metavar if isinstance(action.metavar, str) else action.dest
        items.append(
            Completed(
                flags=tuple(action.option_strings),
                takes=action.nargs != 0,
                is_file=shown in _FILES,
                choices=tuple(map(str, action.choices or ())),
            )
        )
    yield CommandWords(name, tuple(below), tuple(items))
    for word, command in below.items():
        yield from command_words(command, f"{name} {word}".strip())


def _script(commands: list[CommandWords], template: str, complete: Callable[[str], str], files: str) -> str:
    """Return the script of bash or zsh: both have `case`, and differ in how words are offered."""
    steps = [
        f'            "{command.name}:{word}") command="{f"{command.name} {word}".strip()}" ;;'
        for command in commands
        for word in command.commands
    ]
    values = []
    for command in commands:
        for item in command.items:
            if item.flags and item.takes:
                patterns = "|".join(f'"{command.name}:{flag}"' for flag in item.flags)
                offered = files if item.is_file else complete(" ".join(item.choices)) if item.choices else ":"
                values.append(f"        {patterns}) {offered}; return ;;")
    words = [
        f'        "{command.name}") {complete(" ".join(command.words))}{f"; {files}" if command.takes_file else ""} ;;'
        for command in commands
    ]
    return (
        template.replace("@STEPS", "\n".join(steps))
        .replace("@VALUES", "\n".join(values))
        .replace("@WORDS", "\n".join(words))
    )


_BASH = """\
_sms1680() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command="" index
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        case "$command:${COMP_WORDS[index]}" in
@STEPS
        esac
    done
    case "$command:$previous" in
@VALUES
    esac
    case "$command" in
@WORDS
    esac
}
complete -o filenames -F _sms1680 sms1680
"""
_ZSH = """\
#compdef sms1680
_sms1680() {
    local command="" index
    for ((index = 2; index < CURRENT; index++)); do
        case "$command:${words[index]}" in
@STEPS
        esac
    done
    case "$command:${words[CURRENT-1]}" in
@VALUES
    esac
    case "$command" in
@WORDS
    esac
}
compdef _sms1680 sms1680
"""
_FISH = """\
function __sms1680_command
    set -l command ""
    for word in (commandline -opc)[2..-1]
        switch "$command:$word"
@STEPS
        end
    end
    test "$command" = "$argv[1]"
end
complete -c sms1680 -f
"""


def _bash(commands: list[CommandWords]) -> str:
    return _script(
        commands,
        _BASH,
        lambda words: f'COMPREPLY+=($(compgen -W "{words}" -- "$current"))',
        "local IFS=$'\\n'; COMPREPLY+=($(compgen -f -- \"$current\"))",
    ).rstrip("\n")


def _zsh(commands: list[CommandWords]) -> str:
    return _script(commands, _ZSH, lambda words: f"compadd -- {words}", "_files").rstrip("\n")


def _fish(commands: list[CommandWords]) -> str:
    steps = [
        f'            case "{command.name}:{word}"\n                set command "{f"{command.name} {word}".strip()}"'
        for command in commands
        for word in command.commands
    ]
    lines = [_FISH.replace("@STEPS", "\n".join(steps)).rstrip("\n")]
    for command in commands:
        condition = f"complete -c sms1680 -n '__sms1680_command \"{command.name}\"'"
        if command.commands:
            lines.append(f"{condition} -a '{' '.join(command.commands)}'")
        for item in command.items:
            if not item.flags:
                lines += [f"{condition} -a '{' '.join(item.choices)}'"] if item.choices else []
                lines += [f"{condition} -F"] if item.is_file else []
                continue
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in item.flags)
            value = f" -xa '{' '.join(item.choices)}'" if item.choices else " -rF" if item.is_file else " -x"
            lines.append(f"{condition} {flags}{value if item.takes else ''}")
    return "\n".join(lines)


SCRIPTS: dict[str, Callable[[list[CommandWords]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
