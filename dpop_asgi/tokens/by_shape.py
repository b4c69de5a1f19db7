"""Signed and opaque access tokens side by side: which verifier a token is for."""

from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.core.encoding import b64url_decode
from dpop_asgi.core.options import require
from dpop_asgi.core.ports import Closeable, Health, Monitored, NamesAudiences, Readiness, TokenVerifier, TrustsIssuers
from dpop_asgi.core.strict_json import strict_json_object
from dpop_asgi.tokens.jwt import JWTVerifier
from dpop_asgi.verifier import all_ready, cache_of, require_verifier

# RFC 7516 §7.1: five parts.
_DOTS_OF_ENCRYPTED = 4


class TokensByShape:
    """Passes signed tokens to one verifier and all others to another.

    A token is signed if a JSON object with `alg` comes before its first dot, in base64url, and it isn't a JWE. What
    one verifier rejects is never passed to the other: some endpoints respond to a JWT with an error, and a JWT that is
    rejected here must not be accepted because it is active there, not even with something added to it.

    Args:
        jwt: for signed tokens, such as a `JWTVerifier`.
        opaque: for all others, such as an `IntrospectionVerifier`.

    Raises:
        ValueError: If one of them can be seen not to be a token verifier.
    """

    def __init__(self, *, jwt: TokenVerifier, opaque: TokenVerifier) -> None:
        require_verifier("jwt", jwt)
        require_verifier("opaque", opaque)
        require("opaque", not isinstance(opaque, JWTVerifier), "an IntrospectionVerifier, or another for opaque tokens")
        self._jwt = jwt
        self._opaque = opaque
        self._jwt_cache = cache_of(jwt)
        self._opaque_cache = cache_of(opaque)

    @property
    def issuers(self) -> tuple[str, ...]:
        """Those of both verifiers, as far as they tell."""
        verifiers = (self._jwt, self._opaque)
        named = [issuer for verifier in verifiers if isinstance(verifier, TrustsIssuers) for issuer in verifier.issuers]
        return tuple(dict.fromkeys(named))

    @property
    def audiences(self) -> tuple[str, ...]:
        """Those of both verifiers, as far as they tell."""
        verifiers = (self._jwt, self._opaque)
        named = [name for verifier in verifiers if isinstance(verifier, NamesAudiences) for name in verifier.audiences]
        return tuple(dict.fromkeys(named))

    def health(self) -> list[Health]:
        """See `dpop_asgi.core.ports.Monitored`: that of both verifiers, as far as they tell."""
        verifiers = (self._jwt, self._opaque)
        return [health for verifier in verifiers if isinstance(verifier, Monitored) for health in verifier.health()]

    async def __call__(self, token: str, /) -> AccessToken:
        """See `dpop_asgi.core.ports.TokenVerifier`."""
        return await (self._jwt if is_signed(token) else self._opaque)(token)

    def cached_token(self, token_hash: str) -> AccessToken | None:
        """The token with this base64url SHA-256, if one of the verifiers remembers it."""
        return self._jwt_cache(token_hash) or self._opaque_cache(token_hash)

    async def ready(self) -> None:
        """Prepare both verifiers, where they have something to prepare.

        Raises:
            IssuerUnavailable: If that is not possible now.
        """
        await all_ready(verifier.ready() for verifier in (self._jwt, self._opaque) if isinstance(verifier, Readiness))

    async def aclose(self) -> None:
        """Close what the verifiers keep open."""
        for verifier in (self._jwt, self._opaque):
            if isinstance(verifier, Closeable):
                await verifier.aclose()


def is_signed(token: str) -> bool:
    """Whether a token has the header of a JWS (RFC 7515 §7.1), whatever follows it. Nothing is verified.

    Its other parts don't count: some endpoints accept a JWT with padding or a part too many.
    """
    header, dot, _ = token.partition(".")
    try:
        members = strict_json_object(b64url_decode(header.encode("ascii"))) if dot else {}
    except (ValueError, RecursionError):
        return False
    is_encrypted = "enc" in members and token.count(".") == _DOTS_OF_ENCRYPTED
    return "alg" in members and not is_encrypted
