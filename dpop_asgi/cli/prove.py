"""`dpop-asgi prove` and `dpop-asgi keygen`: proofs and keys by hand."""

import json
import os
import re
import shlex
from collections.abc import Callable

from dpop_asgi.cli.unusable import Unusable, content_of, token_of
from dpop_asgi.client import Key
from dpop_asgi.core.htu import normalise
from dpop_asgi.core.jwk import KEY_TYPES
from dpop_asgi.core.nonce_window import is_nonce
from dpop_asgi.core.private_key import PrivateKey

# RFC 9110 §9.1.
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ONLY_OWNER = 0o600


def prove(
    key_file: str,
    url: str,
    *,
    method: str,
    token: str | None,
    nonce: str | None,
    as_curl: bool,
    ask_password: Callable[[], str],
) -> str:
    """A proof, or a whole `curl` command.

    Args:
        key_file: a private key, as JWK or PEM.
        url: of the request.
        method: its method.
        token: the access token, or `@` and a file with it; `None` for a token endpoint.
        nonce: the nonce that the server issued.
        as_curl: whether to return a command.
        ask_password: called if the key is encrypted.

    Raises:
        Unusable: If an option can't be used.
    """
    if normalise(url, websocket=True) is None:
        raise Unusable("--url: must be an absolute URL, such as https://api.example.com/orders.")
    if _METHOD.fullmatch(method) is None:
        raise Unusable("--method: must be a method, such as GET.")
    if nonce is not None and not is_nonce(nonce):
        raise Unusable("--nonce: must be the value of a DPoP-Nonce header.")
    access_token = None if token is None else token_of(token)
    if " " in (access_token or ""):
        raise Unusable("--token: must be the access token alone, without a scheme before it.")
    proof = _key(key_file, ask_password).proof(method, url, access_token, nonce=nonce)
    return _curl(method, url, access_token, proof) if as_curl else proof


def _key(path: str, ask_password: Callable[[], str]) -> Key:
    text = content_of("--key", path)
    try:
        if "-----BEGIN" in text:
            return Key.from_pem(text, password=ask_password() if "ENCRYPTED" in text else None)
        return Key.from_jwk(json.loads(text))
    except (ValueError, TypeError, AttributeError, RecursionError):
        # Without the cause, which may quote the key.
        raise Unusable("--key: must be a private key as JWK or PEM, and its password if it is encrypted.") from None


def _curl(method: str, url: str, token: str | None, proof: str) -> str:
    verb = {"GET": [], "HEAD": ["-I"]}.get(method, ["-X", method])
    headers = [f"DPoP: {proof}"] if token is None else [f"Authorization: DPoP {token}", f"DPoP: {proof}"]
    lines = [shlex.join(["curl", "-i", *verb, url]), *(shlex.join(["-H", header]) for header in headers)]
    return " \\\n  ".join(lines)


def keygen(path: str, algorithm: str) -> dict[str, object]:
    """Write a new private key: as PEM if the name ends in .pem, otherwise as JWK.

    Returns:
        Its public JWK, its algorithm and its thumbprint.

    Raises:
        Unusable: If the file exists or can't be written, or there is no such algorithm.
    """
    if algorithm not in KEY_TYPES:
        raise Unusable(f"--alg: must be one of {' '.join(KEY_TYPES)}.")
    key = PrivateKey.generate(algorithm)
    jwk = json.dumps({"alg": algorithm, **key.private_jwk}, indent=2).encode() + b"\n"
    _write(path, key.private_pem if path.endswith(".pem") else jwk)
    return {"thumbprint": key.thumbprint, "public_jwk": {"alg": algorithm, **key.public_jwk}}


def _write(path: str, content: bytes) -> None:
    """Create the file, readable by its owner only from the start."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OWNER)
    except FileExistsError:
        raise Unusable(
            "The file exists. It is not overwritten, as a lost key can't be restored: choose another name."
        ) from None
    except OSError as error:
        raise Unusable(f"The file can't be written: {error.strerror}.") from None
    with os.fdopen(file, "wb") as opened:
        opened.write(content)
