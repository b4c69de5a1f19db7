"""Reads the settings as a server does, and finds those that are invalid, unknown, ignored or risky."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from dpop_asgi.cli.check.configuration import value_of
from dpop_asgi.cli.check.finding import Finding, error, ok, warning
from dpop_asgi.cli.check.text import sentence
from dpop_asgi.settings import VARIABLES, Settings
from dpop_asgi.tokens.by_shape import TokensByShape

_DOCS = "See docs/configuration.md."

# In place of required settings that are missing or invalid, or that don't matter.
STAND_INS = {
    "DPOP_ISSUER": "https://issuer.invalid",
    "DPOP_AUDIENCE": "unknown",
    "DPOP_INTROSPECTION_CLIENT_ID": "unknown",
    "DPOP_INTROSPECTION_CLIENT_SECRET": "unknown",
}

# FAPI 2.0 §5.3.2.1: so far ahead must be accepted.
_LEAST_MAX_FUTURE = 10.0
# The same section: further ahead must be rejected.
_MOST_MAX_FUTURE = 60.0
# RFC 9449 §11.1: proofs are accepted for seconds or minutes. Three times the default, and far less than milliseconds.
_MOST_MAX_AGE = 900.0
# As long as many access tokens: a nonce that outlives them no longer limits how far in advance proofs can be made.
_MOST_NONCE_LIFE = 3600.0
# A token that was revoked is accepted for so long (RFC 7662 §4).
_MOST_REMEMBERED = 900.0

# A warning's beginning, the name of its finding, and what to change; numbers are the arguments of the log record.
_WARNINGS = (
    ("Unknown setting %s", "unknown_setting", "Remove {0}, or correct its name. It has no effect."),
    ("%s has no effect", "ignored_setting", "Remove {0}, or change {1}."),
    (
        "insecure_http_hosts: ",
        "plain_http_issuer",
        "Use https for the issuer, unless nothing else on that network can respond in its place.",
    ),
    ("public_url: ", "plain_http_public_url", "Use https in DPOP_PUBLIC_URL."),
    ("MemoryStore", "memory_store_of_several_workers", "Set DPOP_STORE to a Redis that all workers share."),
)


class _Collector(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def logged_warnings() -> Iterator[list[logging.LogRecord]]:
    """Collect what the package logs, instead of printing it."""
    logger = logging.getLogger("dpop_asgi")
    collector = _Collector(logging.WARNING)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(collector)
    try:
        yield collector.records
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagated


def settings_by(environment: Mapping[str, str], variables: Iterable[str]) -> Settings:
    """What these variables decide, where they are set; the rest is as by default, or a stand-in.

    Raises:
        ValueError: If a server could not start with one of them.
    """
    required = {name: STAND_INS[name] for name in ("DPOP_ISSUER", "DPOP_AUDIENCE")}
    given = {name: environment[name] for name in variables if environment.get(name)}
    # Warnings would be about a MemoryStore, which isn't the server's.
    with logged_warnings():
        return Settings.from_environment({**required, **given})


def read_settings(environment: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    """The settings, or `None` if a server could not start with them; and everything that is wrong with them."""
    with logged_warnings() as records:
        try:
            settings = Settings.from_environment(environment)
        except ValueError:
            settings = None
    with logged_warnings():
        problems = [] if settings else list(_problems(environment))
    found = [*problems, *map(_warned, records), *(_all_risks(settings, environment) if settings else ())]
    return settings, found or [ok("settings", "settings_valid", "All settings are valid, known and in use.")]


def _problems(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Each setting that a server doesn't start with: one is replaced after the other, until it would start."""
    left, seen = dict(environment), set[str]()
    while True:
        try:
            Settings.from_environment(left)
        except ValueError as invalid:
            variable = str(invalid).partition(":")[0]
            if variable in seen:
                return
            yield _invalid(str(invalid))
            seen.add(variable)
            left[variable] = STAND_INS.get(variable, "")
        else:
            return


def _invalid(message: str) -> Finding:
    variable = message.partition(":")[0]
    if message.endswith("not set, and required"):
        return error("settings", "setting_missing", f"{variable} is not set.", change=f"Set {variable}. {_DOCS}")
    change = f"Correct {variable}: a server doesn't start with this value. {_DOCS}"
    return error("settings", "setting_invalid", sentence(message), change=change)


def _warned(record: logging.LogRecord) -> Finding:
    option, colon, rest = record.getMessage().partition(":")
    what = sentence(f"{VARIABLES.get(option, option)}{colon}{rest}")
    for beginning, name, change in _WARNINGS:
        if str(record.msg).startswith(beginning):
            arguments = record.args if isinstance(record.args, tuple) else ()
            return warning("settings", name, what, change=change.format(*arguments))
    return warning("settings", "settings_warning", what, change=_DOCS)


def _all_risks(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    yield from _risks(settings)
    yield from _long_times(settings)
    if not isinstance(settings.authenticator.verify_token, TokensByShape):
        return
    remembered = float(value_of(environment, "DPOP_INTROSPECTION_CACHE"))
    if remembered > _MOST_REMEMBERED:
        what = f"A revoked opaque token is accepted for another {_seconds(remembered)}."
        change = f"Set DPOP_INTROSPECTION_CACHE to {_seconds(_MOST_REMEMBERED)} at most. It is in seconds."
        yield warning("settings", "introspection_remembered_long", what, change=change)


def _long_times(settings: Settings) -> Iterator[Finding]:
    """Times that weaken the protection without anyone noticing, such as milliseconds in place of seconds."""
    policy, nonces = settings.authenticator.proof_policy, settings.authenticator.nonce_policy
    if policy.max_future > _MOST_MAX_FUTURE:
        what = f"Proofs from {_seconds(policy.max_future)} in the future are accepted: FAPI 2.0 allows 60 s at most."
        change = "Set DPOP_PROOF_MAX_FUTURE to 10 to 60 seconds, unless this is an MCP server: those need 300."
        yield warning("settings", "max_future_too_large", what, change=change)
    if policy.max_age > _MOST_MAX_AGE:
        what = f"Proofs are accepted for {_seconds(policy.max_age)}: a stolen one that wasn't used can be for as long."
        change = f"Set DPOP_PROOF_MAX_AGE to {_seconds(_MOST_MAX_AGE)} at most. It is in seconds."
        yield warning("settings", "max_age_too_large", what, change=change)
    life = 0.0 if nonces is None else (nonces.grace + 1.2) * nonces.period
    if life > _MOST_NONCE_LIFE:
        what = f"A nonce is valid for up to {_seconds(life)}: proofs can be made as long in advance."
        change = "Lower DPOP_NONCE_PERIOD, which is in seconds, or DPOP_NONCE_GRACE."
        yield warning("settings", "nonces_live_long", what, change=change)


def _seconds(number: float) -> str:
    return f"{number:,.0f} s"


def _risks(settings: Settings) -> Iterator[Finding]:
    """What is allowed, and weakens the protection or makes trouble for clients."""
    authenticator = settings.authenticator
    if authenticator.nonce_policy is None:
        what = "Nonces are off: proofs can be made in advance, and used ones pass again after Redis has lost data."
        yield warning("settings", "nonces_off", what, change="Remove DPOP_NONCE_PERIOD=0.")
    if authenticator.on_store_failure == "accept":
        what = "While the store is unavailable, a proof can be used again until its nonce expires."
        change = "Set DPOP_ON_STORE_FAILURE=refuse, unless availability matters more to you."
        yield warning("settings", "accepts_without_store", what, change=change)
    if authenticator.proof_policy.max_future < _LEAST_MAX_FUTURE:
        what = "Clients whose clocks are a few seconds ahead are rejected: FAPI 2.0 requires that 10 s are accepted."
        yield warning("settings", "max_future_too_small", what, change="Set DPOP_PROOF_MAX_FUTURE to 10 to 60.")
    if authenticator.mode == "mixed":
        what = "Unbound tokens are accepted as Bearer: whoever steals one can use it."
        change = "Set DPOP_MODE=required as soon as all clients send proofs."
        yield warning("settings", "mixed_mode", what, change=change)
