"""The input is the JSON of header and payload; a real key signs it, so that it gets behind the signature.

`$jwk`, `$ath` and the like stand for what would be right there.
"""

import json
from dataclasses import replace

from tests.differential import base64url, keys
from tests.differential.comparison import compare
from tests.differential.drafts import Draft, draft
from tests.differential.stopwatch import aside
from tests.differential.verifier import ALGORITHMS
from tests.fuzz.catalogue import Target

# RSA signatures take as long as ten others.
_ALGORITHMS = ("ES256", "PS256", "Ed25519", "EdDSA", "ES256", "Ed25519", "EdDSA", "ES256")


def make() -> Target:
    drafts = {(name, nonces): draft(name, nonces=nonces) for name in ALGORITHMS for nonces in (True, False)}
    words = {name: _words(drafts[name, True]) for name in ALGORITHMS}

    def one(data: bytes) -> None:
        settings, (header, _, claims) = data[:1], data[1:].partition(b"\0")
        number = settings[0] if settings else 0
        algorithm, nonces, websocket = _ALGORITHMS[number & 7], not number & 8, bool(number & 16)
        for word, meant in words[algorithm]:
            header, claims = header.replace(word, meant), claims.replace(word, meant)
        request = replace(drafts[algorithm, nonces].request, websocket=websocket)
        compare([_signed(algorithm, header, claims)], request)

    return one


@aside
def _signed(algorithm: str, header: bytes, claims: bytes) -> bytes:
    signed = base64url.encode(header) + b"." + base64url.encode(claims)
    return signed + b"." + base64url.encode(keys.signer(keys.NAMES[algorithm])(signed))


def _words(made: Draft) -> list[tuple[bytes, bytes]]:
    """What stands for what, the quotation marks around it included."""
    members = [*made.header, *made.claims]
    return [(f"${name}".encode(), json.dumps(value).encode()) for name, value in members]
