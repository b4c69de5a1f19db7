"""Finds out what was pasted, and reads it."""

import json
import re

from dpop_asgi.cli.explain.message import Message, worth_explaining
from dpop_asgi.cli.explain.reading.curl_command import read_curl
from dpop_asgi.cli.explain.reading.har import read_har
from dpop_asgi.cli.explain.reading.http_text import read_http
from dpop_asgi.cli.unusable import Unusable

_CURL = re.compile(r"(?:\$ +)?curl(?:\.exe)? ")
# A proof, or what is left of it: one word in the characters of a token, perhaps broken into lines.
_PROOF = re.compile(r"[\w.~+/=,-]+")
_KINDS = "a DPoP proof, the output of curl -v, a curl command, an HTTP request, or a HAR file"


def read(text: str) -> Message:
    """The request in `text`.

    Raises:
        Unusable: If nothing in it can be explained.
    """
    text = text.strip().removeprefix("\ufeff")
    if not text:
        raise Unusable(f"The input is empty. Give {_KINDS}.")
    if text[0] in "{[":
        return worth_explaining(read_har(_json(text)))
    lines = text.splitlines()
    is_output = any(line.startswith("> ") for line in lines)
    if not is_output and _CURL.match(text):
        return read_curl(text.removeprefix("$").strip())
    if messages := read_http(text):
        return worth_explaining(messages)
    word = re.sub(r"\s+", "", text.strip("\"'"))
    if _PROOF.fullmatch(word) and ("." in word or word.startswith("eyJ")):
        return Message(source="a proof", proofs=(word,))
    raise Unusable(f"The input isn't {_KINDS}.")


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unusable("The input looks like JSON, but can't be parsed.") from None
