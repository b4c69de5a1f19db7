"""What a check finds, as data."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "error"]
Subject = Literal["settings", "public_url", "issuer", "introspection", "store", "clock"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what it is about.
        name: of this kind of finding, for programs. It doesn't change between releases.
        verdict: `error` if requests would fail, `warning` if they would pass but something should be changed.
        what: what was found, as one or two sentences.
        change: what to do about it; empty if there is nothing to do.
    """

    subject: Subject
    name: str
    verdict: Verdict
    what: str
    change: str = ""


def ok(subject: Subject, name: str, what: str) -> Finding:
    """There is nothing to change."""
    return Finding(subject, name, "ok", what)


def warning(subject: Subject, name: str, what: str, *, change: str) -> Finding:
    """Requests pass, but something should be changed."""
    return Finding(subject, name, "warning", what, change)


def error(subject: Subject, name: str, what: str, *, change: str) -> Finding:
    """Requests would fail."""
    return Finding(subject, name, "error", what, change)
