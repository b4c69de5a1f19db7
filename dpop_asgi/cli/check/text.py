"""Text that is safe to print, and in sentences."""

import re

from dpop_asgi.cli.printable import printable as without_control_characters

# Up to the last @, as a password may contain one, and spaces and quotes. Of several URLs too much may be hidden, never
# too little.
_CREDENTIALS = re.compile(r"//.*@", re.DOTALL)
_QUERY = re.compile(r"(://[^\s'\"?]*)\?[^\s'\"]*")
_SECRET_NAME = re.compile(r"SECRET|PASSWORD|PRIVATE|KEY|TOKEN$")


# Of what somebody else sent, no more than this is printed.
_LONGEST = 200
_LONGEST_MESSAGE = 800
_LONGEST_READ = 4000


def is_secret(variable: str) -> bool:
    """Whether a variable with this name holds a secret as a whole."""
    return _SECRET_NAME.search(variable) is not None


def without_secrets(text: str) -> str:
    """The text with the user names, passwords and queries of its URLs hidden."""
    return _QUERY.sub(r"\1?***", _CREDENTIALS.sub("//***@", text))


def value_without_secrets(value: str) -> str:
    """The value of a setting, with all that may be credentials or a query hidden, whatever characters are in it."""
    begin = value.find("://") + len("://") if "://" in value else 0
    credentials, at, rest = value[begin:].rpartition("@")
    shown = f"{value[:begin]}{'***@' if at else credentials}{rest}"
    address, question_mark, _ = shown.partition("?")
    return f"{address}?***" if question_mark else address


def printable(text: str, *, longest: int = _LONGEST) -> str:
    """Text that somebody else sent, safe to print: without secrets and control characters, and not long."""
    # Much more than is printed, so that no secret is cut in two; not all, as the patterns may take the square of it.
    hidden = without_secrets(text[:_LONGEST_READ])
    shown = without_control_characters(hidden[:longest])
    return shown if len(hidden) <= longest else f"{shown}…"


def sentence(message: str) -> str:
    """A message of a log or an exception as a sentence, without secrets."""
    shown = printable(message, longest=_LONGEST_MESSAGE)
    end = "" if shown.endswith((".", "?")) else "."
    return f"{shown[:1].upper()}{shown[1:]}{end}"
