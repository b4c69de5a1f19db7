"""One line in the log when a middleware starts: what is in force there."""

import re

from dpop_asgi.asgi.target_uri import PublicURL, RequestURL, TargetURI
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.ports import Described, TrustsIssuers
from dpop_asgi.log import logger
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.proof_state import ProofState

_USER = re.compile(r"//[^/?#]*@")


def log_start(middleware: type, state: ProofState, target_uri: TargetURI, *, everything: bool = False) -> None:
    """Log it, at level `INFO`. Nothing in it is secret.

    Args:
        middleware: which one starts.
        state: what it decides with.
        target_uri: its source of the URL that clients call.
        everything: whether it protects everything.
    """
    in_force = [
        target_uri.description if isinstance(target_uri, (PublicURL, RequestURL)) else "target_uri a custom function",
        _nonces(state.nonce_policy),
        f"store {state.store.description if isinstance(state.store, Described) else type(state.store).__name__}",
        f"namespace {state.namespace}, on_store_failure {state.on_store_failure}",
    ]
    if isinstance(state, Authenticator):
        asked = f"mode {state.mode}, protect {'everything' if everything else 'routes'}"
        in_force = [asked, _issuers(state.verify_token), *in_force]
    # Collectors drop or split lines over 2 KB.
    logger.info("%s starts: %.1900s", middleware.__name__, "; ".join(in_force))


def _nonces(policy: NoncePolicy | None) -> str:
    if policy is None:
        return "nonces off"
    return f"nonces on, period {policy.period:g} s, grace {policy.grace}, lookahead {policy.lookahead}"


def _issuers(verify_token: object) -> str:
    issuers: object = verify_token.issuers if isinstance(verify_token, TrustsIssuers) else None
    # An attribute of custom code may have the same name and another meaning.
    if not isinstance(issuers, (list, tuple)) or not all(isinstance(issuer, str) for issuer in issuers):
        return "tokens verified by custom code"
    # With keys of their own, issuers may be any text.
    return f"issuers {', '.join(_USER.sub('//', issuer).partition('?')[0] for issuer in issuers)}"
