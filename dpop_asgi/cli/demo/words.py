"""A step in words: header fields cut to what matters, tokens and proofs to what can be recognised but not used."""

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
    """Enough to recognise a value by, too little to use it."""
    return text if len(text) <= _HEAD else f"{text[:_HEAD]}…"


def colour(status: int) -> str:
    """Of an answer."""
    return "green" if status in _SUCCESS else "yellow"


def request_fields(step: Step) -> dict[str, Text]:
    """The header fields that were sent; that one of the two was not is worth a line."""
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
    """The status of the answer, and how long it took."""
    look = colour(seen.status)
    return Text.assemble(
        ("← ", look), (f"{seen.status} {seen.phrase}", f"bold {look}"), (f"  {seen.milliseconds:.1f} ms", "dim")
    )


def answer_fields(step: Step) -> dict[str, Text]:
    """The header fields of the answer that matter, what it says, and what the server wrote to its log."""
    seen, fields = step.seen, {}
    if "www-authenticate" in seen.received:
        fields["WWW-Authenticate"] = _challenge(seen.received["www-authenticate"])
    if seen.nonce is not None:
        news = ("  a new one", "bold magenta") if step.new_nonce and step.look_at == "nonce" else ""
        fields["DPoP-Nonce"] = Text.assemble(head(seen.nonce), news)
    if seen.content and seen.status in _SUCCESS:
        fields["Echo" if seen.status == _SWITCHING_PROTOCOLS else "Body"] = Text(seen.content)
    if seen.log is not None:
        fields["Server log"] = Text(seen.log)
    return fields


def expected(step: Step, *, full: bool) -> str:
    """The expected answer in a few words; `full` with the reason."""
    due = step.expected
    return _answer(due.status, due.error, due.reason if full else None, new_nonce=due.new_nonce, content=due.content)


def seen(step: Step, *, full: bool) -> str:
    """The answer as it was, in the words of `expected`; what may be one way or the other is left out."""
    was, due = step.seen, step.expected
    return _answer(
        was.status,
        was.error,
        was.reason if full else None,
        new_nonce=step.new_nonce and due.new_nonce,
        content=head(was.content) if due.content else "",
    )


def _answer(status: int, error: str | None, reason: str | None, *, new_nonce: bool, content: str) -> str:
    why = f"({reason})" if reason else ""
    # A use_dpop_nonce without a nonce would be no answer at all.
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
    """The error stands out; of the list of algorithms the first is enough."""
    text = Text(re.sub(r'algs="(\S+) [^"]*"', r'algs="\1…"', value))
    text.highlight_regex(r'error="[^"]*"', "bold yellow")
    return text


def _decoded(segment: str) -> dict[str, Any]:
    return strict_json_object(b64url_decode(segment.encode("ascii")))
