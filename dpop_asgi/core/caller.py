"""Who sent an accepted request."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Self

from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.core.nonce_window import AcceptedNonce


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who sent an accepted request.

    Attributes:
        subject: `sub` of the token.
        client_id: the client it was issued to.
        scopes: the granted scope values.
        claims: all claims. Returns a copy, because tokens are cached.
        key_thumbprint: of the key that the client proved to hold; `None` for a Bearer token in mixed mode.
        token_expires_at: seconds since the epoch.
        nonce_age: seconds since the slot of its nonce began, below 0 for the next slot; `None` without nonces.
        nonce: the server nonce in the proof; `None` without nonces.
        proof_claims: the claims of its proof; `None` for a Bearer token in mixed mode.
        replay_checked: `False` if the proof was accepted while the store was unavailable (`on_store_failure="accept"`).
    """

    subject: str | None
    client_id: str | None
    scopes: frozenset[str]
    key_thumbprint: str | None
    token_expires_at: float | None
    nonce_age: float | None = None
    nonce: str | None = field(default=None, repr=False)
    proof_claims: Mapping[str, Any] | None = field(default=None, repr=False)
    replay_checked: bool = True
    _claims: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        token: AccessToken,
        *,
        nonce: AcceptedNonce | None = None,
        proof_claims: Mapping[str, Any] | None = None,
        replay_checked: bool = True,
    ) -> Self:
        """The caller with this token, and with this nonce in its proof."""
        return cls(
            subject=token.subject,
            client_id=token.client_id,
            scopes=token.scopes,
            key_thumbprint=token.key_thumbprint,
            token_expires_at=token.expires_at,
            nonce_age=None if nonce is None else nonce.age,
            nonce=None if nonce is None else nonce.value,
            proof_claims=proof_claims,
            replay_checked=replay_checked,
            _claims=token.claims,
        )

    @property
    def claims(self) -> dict[str, Any]:
        """See above."""
        return deepcopy(dict(self._claims))

    @property
    def is_authenticated(self) -> bool:
        """Always: part of what Starlette expects of `request.user`."""
        return True

    @property
    def display_name(self) -> str:
        """Part of what Starlette expects of `request.user`."""
        return self.subject or ""

    @property
    def identity(self) -> str:
        """Part of what Starlette expects of `request.user`."""
        return self.subject or ""


def shared_claims(caller: Caller) -> Mapping[str, Any]:
    """`caller.claims` without copying: tokens are cached, so don't change it."""
    return caller._claims  # noqa: SLF001 - of the same module
