"""Everything that was said while requests were made, by whomever, and the search for what must not be in it."""

import json
import logging
import traceback
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.api import Answer, call

# So many characters of base64 do not meet by chance; six did, once in thousands of runs.
_FRAGMENT = 8

# Shorter words of hostile credentials are words of the language: `realm=y`.
_WORD = 12


class Transcript(logging.Handler):
    """Keeps each record of every logger, with its arguments, its extra members and its traceback."""

    def __init__(self) -> None:
        super().__init__(1)
        self.texts: list[str] = []
        self.loggers: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.loggers.add(record.name)
        self.texts += [record.getMessage(), str(vars(record))]
        if record.exc_info and record.exc_info[1]:
            self.hear(record.exc_info[1])

    def hear(self, error: BaseException) -> None:
        """An exception, as programs print it."""
        self.texts += [*traceback.format_exception(error), repr(error), str(getattr(error, "facts", ""))]

    def say(self, text: object) -> None:
        self.texts.append(str(text))

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


@contextmanager
def everything_logged() -> Iterator[Transcript]:
    """All loggers at their lowest level, whatever was configured for them."""
    transcript = Transcript()
    loggers = [
        logging.root,
        *(one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)),
    ]
    before = [(logger, logger.level, logger.propagate, logger.disabled) for logger in loggers]
    for logger in loggers[1:]:
        logger.level, logger.propagate, logger.disabled = logging.NOTSET, True, False
    logging.root.setLevel(1)
    logging.root.addHandler(transcript)
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]
    try:
        yield transcript
    finally:
        logging.root.removeHandler(transcript)
        for logger, *state in before:
            logger.level, logger.propagate, logger.disabled = state  # type: ignore[assignment]
        logging.root.manager._clear_cache()  # type: ignore[attr-defined]


def secrets_of(headers: Iterable[tuple[bytes, bytes]]) -> set[str]:
    """What stands in the credentials of a request: tokens, proofs, their segments, and what identifies them inside."""
    values = [value.decode("latin-1") for name, value in headers if name in {b"authorization", b"dpop"}]
    # A scheme is none, where something follows it.
    words = {word for value in values for word in value.split()[" " in value.strip() :]}
    segments = {segment for word in words for segment in word.split(".")}
    inside = {text for segment in segments for text in _inside(segment)}
    return {text for text in words | segments if len(text) >= _WORD} | identifiers(inside)


def identifiers(values: Iterable[str]) -> set[str]:
    """Those that are long enough: what is left of one that is cut short for a log is found as a fragment."""
    return {value for value in values if len(value) >= _FRAGMENT}


def _inside(segment: str) -> set[str]:
    """`jti`, `nonce` and `ath` of a payload, the members of a private key."""
    try:
        members = json.loads(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
        jwk = members.get("jwk", {})
    except (ValueError, AttributeError, RecursionError):
        return set()
    private = [jwk.get(name) for name in ("d", "p", "q", "dp", "dq", "qi", "k")] if isinstance(jwk, dict) else []
    return {value for value in [*map(members.get, ("jti", "nonce", "ath")), *private] if isinstance(value, str)}


def leaks(text: str, secrets: Iterable[str]) -> list[str]:
    """The secrets that stand in the text, or of which a fragment does."""
    said = fragments(text)
    return [secret for secret in secrets if secret in text or not said.isdisjoint(fragments(secret))]


def fragments(text: str) -> set[str]:
    return {text[at : at + _FRAGMENT] for at in range(len(text) - _FRAGMENT + 1)}


class Search:
    """Sends requests to an app, and looks for what they carried in everything that is said from then on."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self.found: dict[str, list[str]] = {}
        self.reasons: set[Any] = set()
        self.requests = 0
        self._known: set[str] = set()

    def know(self, *secrets: str) -> None:
        """Look for these too, from now on, and for fragments of them."""
        self._known |= set().union(*map(fragments, secrets))

    def watch(self, api: Any) -> Any:
        """Hear the exceptions of an app's authenticator as well."""
        decide = api.authenticator.authenticate

        async def authenticate(request: Any, needed: Any = None) -> Any:
            try:
                return await decide(request, needed)
            except Exception as error:
                self.transcript.hear(error)
                self.reasons.add(getattr(error, "reason", type(error)))
                raise

        api.authenticator.authenticate = authenticate
        return api

    async def ask(self, name: str, app: Any, scope: dict[str, Any]) -> Answer:
        """Send one request, and search what is said meanwhile for fragments of what it carried."""
        self.requests += 1
        start = len(self.transcript.texts)
        answer = await call(app, scope)
        carried = secrets_of(scope["headers"])
        offered = identifiers(answer.all("dpop-nonce"))
        self.transcript.say([line for line in answer.headers if line[0] != b"dpop-nonce"])
        self.transcript.say(answer.body)
        # A module of ours that stands in tracebacks, and a part of the token of `tests.support.proofs`.
        said = "\n".join(self.transcript.texts[start:]).replace("access_token", "")
        leaked = leaks(said, carried | offered)
        if leaked:
            self.found[name] = [secret[:40] for secret in leaked]
        self._known |= {secret for secret in carried | offered if len(set(secret)) >= 12}
        return answer

    def whole(self) -> dict[str, Any]:
        """Leaks found so far, and those that were said later than the request that they are of."""
        text = self.transcript.text
        return self.found | {secret[:40]: "afterwards" for secret in self._known if secret in text}
