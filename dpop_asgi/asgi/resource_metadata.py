"""Protected resource metadata (RFC 9728): what clients can know about a resource."""

import json
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.htu import is_loopback, normalise
from dpop_asgi.core.options import is_plain_function, require
from dpop_asgi.core.ports import TrustsIssuers
from dpop_asgi.errors import names

# The policy decides these.
_DECIDED = frozenset(
    {"bearer_methods_supported", "dpop_signing_alg_values_supported", "dpop_bound_access_tokens_required"}
)


class ResourceMetadata:
    """What the metadata of a resource says besides what the policy decides.

    Args:
        scopes_supported: the scopes that clients may ask for; or a function, not async, that returns them. It is called
            once, when the metadata is asked for first.
        authorization_servers: issuer identifiers; by default those of the token verifier.
        resource: the resource identifier, an https URL without query; by default the public URL.
        challenge_scopes: what clients should ask for first: the `scope` of each 401 that has none of its own.
        more: other members, such as `resource_name` (RFC 9728 §2), as JSON has them.

    Attributes:
        resource: see above.
        challenge_scopes: see above.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        *,
        scopes_supported: Iterable[str] | Callable[[], Iterable[str]] = (),
        authorization_servers: Iterable[str] | None = None,
        resource: str | None = None,
        challenge_scopes: Iterable[str] = (),
        **more: Any,  # noqa: ANN401 - JSON
    ) -> None:
        if not callable(scopes_supported):
            scopes_supported = names("scopes_supported", scopes_supported)
        else:
            require("scopes_supported", is_plain_function(scopes_supported), "a list, or a function that is not async")
        self._scopes = scopes_supported
        self._servers = _urls("authorization_servers", authorization_servers)
        require("resource", resource is None or _is_identifier(resource), "an http or https URL without query")
        self.resource: str | None = resource
        self.challenge_scopes: tuple[str, ...] = names("challenge_scopes", challenge_scopes)
        self._more = {name: _json_value(name, value) for name, value in more.items()}

    @cached_property
    def _scopes_supported(self) -> tuple[str, ...]:
        scopes = self._scopes() if callable(self._scopes) else self._scopes
        return tuple(dict.fromkeys(names("scopes_supported", scopes)))

    def document(self, resource: str, authenticator: Authenticator) -> dict[str, Any]:
        """The members. Those without a value are left out, as RFC 9728 §3.2 has it.

        Args:
            resource: the resource identifier.
            authenticator: has the policy.

        Raises:
            ValueError: If the function for `scopes_supported` returns something else.
        """
        servers = self._servers
        if servers is None and isinstance(authenticator.verify_token, TrustsIssuers):
            servers = authenticator.verify_token.issuers
        may_be_left_out = {
            "authorization_servers": list(servers or ()),
            "scopes_supported": list(self._scopes_supported),
        }
        is_required = authenticator.mode == "required"
        return {
            "resource": resource,
            **{name: value for name, value in may_be_left_out.items() if value},
            # RFC 9728 §2: an empty list says that Bearer is not accepted.
            "bearer_methods_supported": [] if is_required else ["header"],
            "dpop_signing_alg_values_supported": list(authenticator.proof_policy.algorithms),
            "dpop_bound_access_tokens_required": is_required,
            **self._more,
        }


def _is_identifier(resource: object) -> bool:
    if not isinstance(resource, str) or normalise(resource) is None or set(resource) & {"?", "#"}:
        return False
    return resource.startswith("https://") or is_loopback(urlsplit(resource).hostname or "")


def _urls(option: str, urls: Iterable[str] | None) -> tuple[str, ...] | None:
    if urls is None:
        return None
    listed = (urls,) if isinstance(urls, str) else tuple(urls)
    require(option, all(_is_identifier(url) for url in listed), "a list of https URLs without query")
    return listed


def _json_value(name: str, value: object) -> object:
    require(name, name not in _DECIDED, "left out: the policy decides it")
    require(name, value or value in (False, 0), "left out, if it has no value (RFC 9728 §3.2)")
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        msg = f"{name}: must be a value of JSON"
        raise ValueError(msg) from None
