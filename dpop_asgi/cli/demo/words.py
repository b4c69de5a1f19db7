"""Describes a step in text. Headers are shortened, and tokens and proofs cut so that they can't be used."""

import json
import re
from typing import Any

from rich.text import Text

from dpop_asgi.cli.demo.client import Exchange
from dpop_asgi.cli.demo.steps import Step
from dpop_asgi.core.encoding import b64url_decode
from dpop_asgi.core.jwk import import_public_key
from dpop_asgi.core.strict_json import strict_json_object

_HEAD = 8
_CLAIMS = ("htm", "htu", "iat", "jti", "nonce")
_LONG_CLAIMS = {"jti", "nonce"}
_SECONDS_PER_HOUR = 3600
_SUCCESS = range(100, 300)
_SWITCHING_PROTOCOLS = 101


def head(text: str) -> str:
    """The beginning of a value: enough to recognize it, too little to use it."""
    return text if len(text) <= _HEAD else f"{text[:_HEAD]}…"


def colour(status: int) -> str:
    """The color for a response."""
    return "green" if status in _SUCCESS else "yellow"


def request_headers(step: Step) -> dict[str, Text]:
    """The request headers; if `Authorization` or `DPoP` is missing, this is shown, too."""
    fields = {"Authorization": Text("none"), "DPoP": Text("none")}
    for name, value in step.seen.sent.items():
        if name == "Authorization":
            fields[name] = _token(value)
        elif name == "DPoP":
            fields[name] = _proof(value, step)
        else:
            fields[name] = Text(value)
    return fields


def status_line(seen: Exchange) -> Text:
    """The response's status, and how long it took."""
    look = colour(seen.status)
    return Text.assemble(
        ("← ", look), (f"{seen.status} {seen.phrase}", f"bold {look}"), (f"  {seen.milliseconds:.1f} ms", "dim")
    )


def response_headers(step: Step) -> dict[str, Text]:
    """The response headers that matter, the content, and what the server logged."""
    seen, fields = step.seen, {}
    if "www-authenticate" in seen.received:
        fields["WWW-Authenticate"] = _challenge(seen.received["www-authenticate"])
    if seen.nonce is not None:
        news = ("  a new one", "bold magenta") if step.new_nonce and step.look_at == "nonce" else ""
        fields["DPoP-Nonce"] = Text.assemble(head(seen.nonce), news)
    if seen.content and seen.status in _SUCCESS:
        fields["Echo" if seen.status == _SWITCHING_PROTOCOLS else "Body"] = Text(_body(seen.content))
    if seen.log is not None:
        fields["Server log"] = Text(seen.log)
    return fields


def expected(step: Step, *, full: bool) -> str:
    """The expected response in a few words; with the reason if `full`."""
    due = step.expected
    return _response(due.status, due.error, due.reason if full else None, new_nonce=due.new_nonce, content=due.content)


def seen(step: Step, *, full: bool) -> str:
    """The actual response, in the words of `expected`; what isn't compared is left out."""
    was, due = step.seen, step.expected
    return _response(
        was.status,
        was.error,
        was.reason if full else None,
        new_nonce=step.new_nonce and due.new_nonce,
        content=head(was.content) if due.content else "",
    )


def _response(status: int, error: str | None, reason: str | None, *, new_nonce: bool, content: str) -> str:
    why = f"({reason})" if reason else ""
    # The nonce is implied by use_dpop_nonce, so it is only shown where there is room.
    nonce = "+ nonce" if new_nonce and (why or not error) else ""
    return " ".join(filter(None, [str(status), error, why, nonce, content]))


def _token(value: str) -> Text:
    scheme, _, token = value.partition(" ")
    claims = _decoded(token.split(".")[1])
    return Text.assemble(
        f"{scheme} {head(token)}", (f"  for {claims['sub']}, bound to key {head(claims['cnf']['jkt'])}", "dim")
    )


def _proof(value: str, step: Step) -> Text:
    header, claims = (_decoded(segment) for segment in value.split(".")[:2])
    parts = {"key": head(import_public_key(header["jwk"], header["alg"]).thumbprint)}
    parts |= {name: _claim(name, claims.get(name), step.seen.sent_at) for name in _CLAIMS}
    text = Text(head(value))
    for name, part in parts.items():
        text.append("  ").append(f"{name}={part}", "bold magenta" if name == step.look_at else "dim")
    return text


def _claim(name: str, value: object, now: float) -> str:
    if value is None:
        return "none"
    if name == "iat" and isinstance(value, int):
        hours = round((now - value) / _SECONDS_PER_HOUR)
        return f"now-{hours}h" if hours else "now"
    return head(str(value)) if name in _LONG_CLAIMS else str(value)


def _challenge(value: str) -> Text:
    """The challenge with its error highlighted. Of the algorithms only the first, of a URL only the origin."""
    short = re.sub(r'algs="(\S+) [^"]*"', r'algs="\1…"', value)
    text = Text(re.sub(r'="(https?://[^/"]+)/[^"]*"', r'="\1/…"', short))
    text.highlight_regex(r'error="[^"]*"', "bold yellow")
    return text


def _body(content: str) -> str:
    """JSON with a space after each comma, where lines can break, and with the beginning of a token."""
    try:
        members = json.loads(content)
    except ValueError:
        return content
    if isinstance(members, dict) and "access_token" in members:
        members["access_token"] = head(str(members["access_token"]))
    return json.dumps(members, separators=(", ", ":"), ensure_ascii=False)


def _decoded(segment: str) -> dict[str, Any]:
    return strict_json_object(b64url_decode(segment.encode("ascii")))
