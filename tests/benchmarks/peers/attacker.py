"""Somebody with a client's key and token, or with what can be had of them, in front of a server of two processes."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dpop_asgi.core.encoding import b64url_decode, b64url_encode
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client, Issuer
from tests.benchmarks.peers.api import NO_NONCE, TARGET, ProtectedAPI, issuer_of
from tests.benchmarks.peers.processes import Server
from tests.support.wire import Connection, exchange, request_bytes

# The order of the group of P-256 (FIPS 186): with s, n - s makes a good signature too.
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

CLOSED = 0
Field = tuple[str, str]


class Attacker:
    """Makes tokens and proofs that are right but for what is asked otherwise, and sends them.

    Args:
        api: what the servers protect.
        servers: two processes of the same contender.
    """

    def __init__(self, api: ProtectedAPI, servers: Sequence[Server]) -> None:
        self.api = api
        self.issuer: Issuer = issuer_of(api)
        self.client = Client()
        self.first_nonce = servers[0].nonce
        self._servers = servers

    @property
    def logs(self) -> str:
        return "".join(server.log for server in self._servers)

    def token(self, client: Client | None = None, **changes: Any) -> str:
        return self.issuer.access_token(client or self.client, **changes)

    def proof(self, token: str, *, client: Client | None = None, target: str = TARGET, **changes: Any) -> str:
        """A proof; `htu` is changed by `target` within the origin, and by `claims` altogether."""
        nonce = changes.pop("nonce", None) or self._servers[0].nonce or NO_NONCE
        return (client or self.client).proof("GET", self.api.origin + target, token, nonce=nonce, **changes)

    def with_nothing_wrong(self, *, process: int) -> int:
        token = self.token()
        return self.send(token, self.proof(token), process=process)

    def with_proof(self, **changes: Any) -> int:
        """The status for a good token with a proof changed like this."""
        token = self.token()
        return self.send(token, self.proof(token, **changes))

    def with_token(self, client: Client | None = None, **changes: Any) -> int:
        """The status for a token changed like this, with a proof for it that is good."""
        token = self.token(client, **changes)
        return self.send(token, self.proof(token))

    def by_key(self, key: PrivateKey, **members: Any) -> int:
        """The status for a good proof by another key, to which the token is bound, with members added to its `jwk`."""
        client = Client(key=key)
        token = self.token(client)
        proof = self.proof(token, client=client, header={"jwk": {**key.public_jwk, **members}})
        return self.send(token, proof)

    def send(self, token: str, *proofs: str, scheme: str = "DPoP", **where: Any) -> int:
        fields = [("authorization", f"{scheme} {token}"), *[("dpop", proof) for proof in proofs]]
        return self.send_fields(fields, **where)

    def send_fields(self, fields: Sequence[Field], *, target: str = TARGET, process: int = 0) -> int:
        request = request_bytes("GET", target, [("host", self.api.host), *fields])
        try:
            return exchange(self._servers[process].port, request).status
        except ConnectionError:
            return CLOSED

    def at_once(self, token: str, proof: str, *, copies: int) -> list[int]:
        """The statuses of copies that reach one process together, on connections of their own."""
        fields = [("host", self.api.host), ("authorization", f"DPoP {token}"), ("dpop", proof)]
        request = request_bytes("GET", TARGET, fields)
        connections = [Connection(self._servers[0].port) for _ in range(copies)]

        def ask(connection: Connection) -> int:
            with connection:
                connection.send(request)
                return connection.receive().status

        with ThreadPoolExecutor(copies) as pool:
            return list(pool.map(ask, connections))


def unsigned(token: str) -> str:
    """The same claims under `alg` `none` and without a signature (RFC 7519 §6)."""
    header, payload, _ = token.split(".")
    members = {**json.loads(b64url_decode(header.encode())), "alg": "none"}
    return f"{b64url_encode(json.dumps(members).encode())}.{payload}."


def with_twin_signature(proof: str) -> str:
    """The same proof under the other signature that everybody can make of an ECDSA signature."""
    signed, _, signature = proof.rpartition(".")
    raw = b64url_decode(signature.encode())
    twin = _P256_ORDER - int.from_bytes(raw[32:], "big")
    return f"{signed}.{b64url_encode(raw[:32] + twin.to_bytes(32, 'big'))}"


def with_broken_signature(proof: str) -> str:
    signed, _, signature = proof.rpartition(".")
    raw = bytearray(b64url_decode(signature.encode()))
    raw[0] ^= 1
    return f"{signed}.{b64url_encode(bytes(raw))}"
