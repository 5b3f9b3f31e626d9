"""Reads the mobile numbers of an Apprise URL, a YAML file or a program, in any notation.

Apprise's own helpers are not used: they silently lose a number when two are separated by `;`, `，`, `、` or `/`.
"""

from .core import split_numbers


def split_targets(targets: object) -> tuple[list[str], list[str]]:
    """Return the mobile numbers (eleven digits each, without duplicates) and the targets that are not numbers.

    Text is split at `,` `;` `/` `|` `，` `；` `、`, line breaks and blanks, but not at the blanks inside a number.
    Lists can be nested, and integers are accepted as numbers. Invalid targets are returned unchanged and in order.
    """
    numbers: dict[str, None] = {}
    invalid: dict[str, None] = {}
    for number, written in split_numbers(targets):
        if number is None:
            invalid[written] = None
        else:
            numbers[number] = None
    return list(numbers), list(invalid)
