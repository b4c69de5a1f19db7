"""What the commands can't work with."""

from pathlib import Path


class Unusable(Exception):
    """The input or an option can't be used: exit code 2. The message contains no secret, and none of the input."""


def content_of(option: str, path: str) -> str:
    """The content of a file that an option names.

    Raises:
        Unusable: If it can't be read.
    """
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise Unusable(f"{option}: the file can't be read: {error.strerror}.") from None
    except ValueError:
        raise Unusable(f"{option}: the file isn't text.") from None


def token_of(value: str) -> str:
    """The value of `--token`, or with `@` before it the content of that file.

    Raises:
        Unusable: If it can't be read, or isn't a token.
    """
    token = (content_of("--token", value[1:]) if value.startswith("@") else value).strip()
    if not token.isascii() or not token.isprintable() or not token:
        raise Unusable("--token: must be a token, or @ and the name of a file with one.")
    return token
