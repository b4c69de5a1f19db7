"""`dpop-asgi check`: from the environment to a report."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dpop_asgi.cli.check.clock import clock_findings
from dpop_asgi.cli.check.configuration import Setting, effective_settings, listed, value_of
from dpop_asgi.cli.check.environment import logged_warnings, read_settings
from dpop_asgi.cli.check.finding import Finding
from dpop_asgi.cli.check.introspection import introspection_findings
from dpop_asgi.cli.check.issuer import IssuerSeen, look_at_issuer
from dpop_asgi.cli.check.issuer_findings import issuer_findings
from dpop_asgi.cli.check.keys import key_findings
from dpop_asgi.cli.check.public_url import public_url_findings
from dpop_asgi.cli.check.store import StoreSeen, look_at_store, store_findings
from dpop_asgi.core.ports import Clock
from dpop_asgi.settings import Settings


@dataclass(frozen=True, slots=True)
class Report:
    """The effective settings, and everything that was found."""

    settings: tuple[Setting, ...]
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """1 if requests would fail, else 0."""
        return int(any(finding.verdict == "error" for finding in self.findings))


async def examine_quietly(environment: Mapping[str, str]) -> Report:
    """As `examine`, for a command: libraries print nothing about connections that end while they time out."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    return await examine(environment)


async def examine(environment: Mapping[str, str], *, clock: Clock = time.time) -> Report:
    """Look at everything that the environment configures.

    Args:
        environment: the variables.
        clock: this host's, in seconds since the epoch.
    """
    settings, findings = read_settings(environment)
    if settings is not None:
        # What would be logged is among the findings.
        with logged_warnings():
            findings += await _looked_at(environment, settings, clock)
    return Report(tuple(effective_settings(environment)), tuple(findings))


async def _looked_at(environment: Mapping[str, str], settings: Settings, clock: Clock) -> list[Finding]:
    authenticator = settings.authenticator
    try:
        # One after the other: they have deadlines, and shouldn't wait for each other.
        issuer = await look_at_issuer(environment, clock)
        introspection = await introspection_findings(environment, authenticator.verify_token)
        store = await look_at_store(authenticator.store, authenticator.namespace, clock)
    finally:
        await authenticator.aclose()
    return [
        *public_url_findings(settings.public_url),
        *_about_issuer(environment, settings, issuer),
        *introspection,
        *_about_store(environment, settings, store),
        *clock_findings(issuer.ahead, store.ahead, max_future=authenticator.proof_policy.max_future),
    ]


def _about_issuer(environment: Mapping[str, str], settings: Settings, issuer: IssuerSeen) -> Iterator[Finding]:
    policy = settings.authenticator.proof_policy
    types = listed(environment, "DPOP_TOKEN_TYPES")
    yield from issuer_findings(issuer, types=types, proof_algorithms=policy.algorithms)
    if issuer.keys is not None:
        yield from key_findings(issuer.keys)


def _about_store(environment: Mapping[str, str], settings: Settings, store: StoreSeen) -> Iterator[Finding]:
    timeout = float(value_of(environment, "DPOP_STORE_TIMEOUT"))
    yield from store_findings(settings.authenticator.store, store, timeout=timeout)
