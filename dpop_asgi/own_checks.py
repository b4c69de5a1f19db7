"""Calls the checks that a user adds. One that returns the wrong thing must not let anyone pass."""

from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any

from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.core.options import closed_if_coroutine, is_plain_function, require
from dpop_asgi.errors import InvalidToken, Reason

# The request, the claims of its proof, the thumbprint of its key (both `None` under Bearer), and its token.
AlsoCheck = Callable[[IncomingRequest, Mapping[str, Any] | None, str | None, AccessToken], Awaitable[None] | None]
AllowBearer = Callable[[AccessToken], bool]


class OwnChecks:
    """The checks that a user adds.

    Args:
        also_check: see `Authenticator`.
        allow_bearer: see `Authenticator`.
        mixed: whether Bearer is accepted at all.

    Attributes:
        also: whether there is an `also_check`.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(self, also_check: AlsoCheck | None, allow_bearer: AllowBearer | None, *, mixed: bool) -> None:
        is_function = callable(also_check) and not isinstance(also_check, type)
        require("also_check", also_check is None or is_function, "a function, or None")
        is_plain = allow_bearer is None or is_plain_function(allow_bearer)
        require("allow_bearer", is_plain, "a function, neither async nor a class")
        require("allow_bearer", mixed or allow_bearer is None, 'None, unless mode="mixed"')
        self._also_check = also_check
        self._allow_bearer = allow_bearer
        self.also: bool = also_check is not None

    def check_bearer(self, token: AccessToken) -> None:
        """Reject an unbound token under Bearer whose client may no longer use it.

        Raises:
            InvalidToken: If it may not.
            TypeError: If `allow_bearer` returns something else than `True` or `False`.
        """
        if self._allow_bearer is None:
            return
        allowed: object = self._allow_bearer(token)
        if type(allowed) is not bool:
            closed_if_coroutine(allowed)
            msg = f"allow_bearer: must return True or False, not a {type(allowed).__name__}"
            raise TypeError(msg)
        if not allowed:
            raise InvalidToken(Reason.BEARER_NOT_ACCEPTED)

    async def also_check(
        self,
        request: IncomingRequest,
        proof_claims: Mapping[str, Any] | None,
        thumbprint: str | None,
        token: AccessToken,
    ) -> None:
        """Call `also_check`, if there is one. Its own errors are the app's.

        Raises:
            Refusal: If it rejects the request.
            TypeError: If it returns something: `False` would be no rejection.
        """
        if self._also_check is None:
            return
        # A copy: what it does to the claims must not change which proof is recorded.
        claims = None if proof_claims is None else dict(proof_claims)
        returned: object = self._also_check(request, claims, thumbprint, token)
        if isawaitable(returned):
            returned = await returned
        if returned is not None:
            msg = f"also_check: must return nothing, or raise a Refusal; it returned a {type(returned).__name__}"
            raise TypeError(msg)
