"""Reads a `curl` command, as typed, or as browsers copy it."""

import re
import shlex

from dpop_asgi.cli.explain.message import Message
from dpop_asgi.cli.explain.reading.fields import Fields, request
from dpop_asgi.cli.unusable import Unusable

# Options with a value. The others are flags, which may be written together: -sSLi.
_VALUED = """
    cacert cert cert-type ciphers config connect-timeout connect-to cookie cookie-jar data data-ascii data-binary
    data-raw data-urlencode dump-header form form-string header json key limit-rate max-redirs max-time output
    pass proxy proxy-user range referer request resolve retry retry-delay retry-max-time stderr
    trace trace-ascii unix-socket upload-file url url-query user user-agent write-out
"""
_LONG = frozenset(_VALUED.split())
_SHORT = {"A": "user-agent", "b": "cookie", "c": "cookie-jar", "d": "data", "e": "referer", "E": "cert", "F": "form"}
_SHORT |= {"H": "header", "K": "config", "m": "max-time", "o": "output", "T": "upload-file", "u": "user"}
_SHORT |= {"U": "proxy-user", "w": "write-out", "x": "proxy", "X": "request", "D": "dump-header", "r": "range"}
_FLAGS = {"I": "head", "G": "get"}
# The method that an option stands for, unless there is a `--request`.
_METHODS = {"head": "HEAD", "get": "GET", "upload-file": "PUT"}
_POSTED = ("data", "data-ascii", "data-binary", "data-raw", "data-urlencode", "form", "form-string", "json")


def read_curl(text: str) -> Message:
    """The request that a command sends.

    Raises:
        Unusable: If it isn't a complete command.
    """
    try:
        words = shlex.split(re.sub(r"[\\^]\r?\n", " ", text))
    except ValueError:
        raise Unusable("The curl command is cut off: a quotation mark is missing.") from None
    options, urls = _parsed(words[1:])
    given = {name: value for name, value in options if name != "header"}
    urls += [given["url"]] if "url" in given else []
    fields: Fields = []
    for header in (value for name, value in options if name == "header"):
        name, _, value = header.partition(":")
        fields.append((name.strip(), value))
    url = next(iter(urls), None)
    if url is not None and "://" not in url:
        url = f"http://{url}"
    return request("a curl command", _method(given), url, fields)


def _method(given: dict[str, str]) -> str:
    if "request" in given:
        return given["request"]
    implied = [method for name, method in _METHODS.items() if name in given]
    return implied[0] if implied else "POST" if any(name in given for name in _POSTED) else "GET"


def _parsed(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The options with their values, and what isn't an option: URLs."""
    options: list[tuple[str, str]] = []
    urls: list[str] = []
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            options.append((name, value if equals else next(rest, "") if name in _LONG else ""))
        elif word.startswith("-") and len(word) > 1:
            options.extend(_short(word[1:], rest))
        else:
            urls.append(word)
    return options, urls


def _short(letters: str, rest: "iter[str]") -> list[tuple[str, str]]:  # type: ignore[valid-type]
    """-sSLXPOST is three flags, and an option with its value."""
    for number, letter in enumerate(letters):
        if letter in _SHORT:
            flags = [(_FLAGS[flag], "") for flag in letters[:number] if flag in _FLAGS]
            return [*flags, (_SHORT[letter], letters[number + 1 :] or next(rest, ""))]
    return [(_FLAGS[flag], "") for flag in letters if flag in _FLAGS]
