"""Serves the metadata of resources, and says where it is (RFC 9728 §3 and §5)."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from dpop_asgi.asgi.interface import Headers, Receive, Scope, Send
from dpop_asgi.asgi.public_paths import checked_paths
from dpop_asgi.asgi.request_path import below, server_root_path
from dpop_asgi.asgi.resource_metadata import ResourceMetadata
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.challenge import Parameters
from dpop_asgi.core.htu import normalise
from dpop_asgi.core.options import require
from dpop_asgi.core.ports import NamesAudiences
from dpop_asgi.errors import Refusal
from dpop_asgi.log import logger

_WELL_KNOWN = "/.well-known/oauth-protected-resource"

_METHODS = b"GET, HEAD, OPTIONS"
# It is public, and scripts of any origin may read it. A client that has to ask again soon finds a changed policy.
_HEADERS: Headers = [(b"access-control-allow-origin", b"*"), (b"cache-control", b"public, max-age=300")]
_PREFLIGHT: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", _METHODS),
    (b"access-control-allow-headers", b"*"),
    (b"access-control-max-age", b"300"),
    (b"allow", _METHODS),
]


class MetadataEndpoint:
    """Serves the metadata of resources, and says where it is. It is asked before anything else.

    Args:
        metadata: of the one resource, or by the beginning of its paths, such as `/mcp`, of which the longest one
            decides; `None` serves none.
        authenticator: has the policy.
        base_of: the public URL of a scope, if it is known.

    Raises:
        ValueError: If a prefix is malformed, or no resource identifier is known; the message names `metadata`.
    """

    def __init__(
        self,
        metadata: ResourceMetadata | Mapping[str, ResourceMetadata] | None,
        authenticator: Authenticator,
        base_of: Callable[[Scope], str] | None,
    ) -> None:
        self._resources = _by_prefix(metadata)
        is_known = base_of is not None or all(each.resource for each in self._resources.values())
        require("metadata", is_known, "given with a resource, if there is a target_uri")
        self._authenticator = authenticator
        self._base_of = base_of
        self._warn_of_other_audiences()

    def _warn_of_other_audiences(self) -> None:
        """Clients ask for tokens whose audience is the resource (RFC 8707 §2): all of them would be rejected."""
        verifier = self._authenticator.verify_token
        audiences = verifier.audiences if isinstance(verifier, NamesAudiences) else ()
        for metadata in self._resources.values():
            if metadata.resource is not None and audiences and metadata.resource not in audiences:
                logger.warning(
                    "metadata: clients ask for tokens for the resource %s, and the token verifier accepts those for %s",
                    metadata.resource,
                    ", ".join(audiences),
                )

    def parameters_for(self, scope: Scope) -> Parameters:
        """What a challenge to the request of `scope` says about the metadata of its resource (RFC 9728 §5.1)."""
        paths = {scope["path"], below(server_root_path(scope).rstrip("/"), scope["path"])} if self._resources else ()
        for prefix, metadata in self._resources.items():
            if any(path == prefix or path.startswith(prefix + "/") for path in paths):
                try:
                    resource = self._identifier(prefix, scope)
                except Refusal:  # another host: clients of it are told nothing
                    return ()
                scopes = " ".join(metadata.challenge_scopes)
                return (("resource_metadata", _address(resource)), *([("scope", scopes)] if scopes else ()))
        return ()

    def answer_to(self, scope: Scope) -> "_Answer | None":
        """What responds to the request of `scope`, if it is one for metadata."""
        # Hot path: other requests have to be recognized at once.
        if _WELL_KNOWN not in scope["path"] or scope["type"] != "http":
            return None
        try:
            prefix = self._asked(scope)
            if prefix is None:
                return None
            resource = self._identifier(prefix, scope)
        except Refusal:
            return None
        return _Answer(self._resources[prefix].document(resource, self._authenticator))

    def _asked(self, scope: Scope) -> str | None:
        """Whose metadata is asked for: where RFC 9728 §3.1 has it, or below the prefix that a proxy strips."""
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if not path.startswith(_WELL_KNOWN):
            return None
        behind = path.removeprefix(_WELL_KNOWN)
        for prefix in self._resources:
            if behind in {prefix, _path(self._identifier(prefix, scope))}:
                return prefix
        # Clients that don't find it elsewhere look here (Model Context Protocol, Authorization).
        return next(iter(self._resources)) if not behind and len(self._resources) == 1 else None

    def _identifier(self, prefix: str, scope: Scope) -> str:
        resource = self._resources[prefix].resource
        if resource is not None or self._base_of is None:
            return resource or ""
        return self._base_of(scope) + prefix


class _Answer:
    """Responds with a document, or to a preflight (WHATWG Fetch §4.8)."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        status, headers, body = self._response(scope["method"])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _response(self, method: str) -> tuple[int, Headers, bytes]:
        if method == "OPTIONS":
            return 204, _PREFLIGHT, b""
        if method not in {"GET", "HEAD"}:
            return 405, [(b"allow", _METHODS), (b"content-length", b"0")], b""
        body = json.dumps(self._document).encode("ascii")
        length = (b"content-length", str(len(body)).encode("ascii"))
        return 200, [(b"content-type", b"application/json"), length, *_HEADERS], body


def _by_prefix(
    metadata: ResourceMetadata | Mapping[str, ResourceMetadata] | None,
) -> dict[str, ResourceMetadata]:
    """The longest prefix comes first."""
    if metadata is None:
        return {}
    given: Mapping[str, ResourceMetadata] = metadata if isinstance(metadata, Mapping) else {"": metadata}
    are_metadata = bool(given) and all(isinstance(each, ResourceMetadata) for each in given.values())
    require("metadata", are_metadata, "a ResourceMetadata, or one for each path")
    require("metadata", all(map(_is_prefix, given)), "given for paths that start with a slash and do not end in one")
    checked_paths("metadata", filter(None, given))
    return {prefix: given[prefix] for prefix in sorted(given, key=len, reverse=True)}


@lru_cache(256)
def _address(resource: str) -> str:
    """RFC 9728 §3.1: the well-known path goes between host and path."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{'' if parts.path == '/' else parts.path}"


def _path(resource: str) -> str:
    path = unquote(urlsplit(resource).path)
    return "" if path == "/" else path


def _is_prefix(prefix: object) -> bool:
    if not isinstance(prefix, str) or prefix.endswith("/"):
        return False
    return not prefix or (prefix.startswith("/") and normalise("https://localhost" + prefix) is not None)
