"""What is tried against every contender, by the check that it is for. Each is right but for the one thing named."""

import time
from dataclasses import dataclass

from dpop_asgi.core.private_key import PrivateKey
from tests.benchmarks.peers import moves
from tests.benchmarks.peers.attacker import unsigned, with_broken_signature, with_twin_signature
from tests.benchmarks.peers.moves import Move
from tests.support.keys import rsa_key

_RSA_1024, _RSA_2048 = rsa_key(1024), rsa_key(2048)
_ES384 = PrivateKey.generate("ES384")
_RS256 = PrivateKey.from_jwk("RS256", _RSA_2048.private_jwk)

# Beyond the 60 s that the contenders are told, and within the 300 s that some have fixed.
_MINUTES = 120


@dataclass(frozen=True)
class Attempt:
    """One thing that is tried.

    Attributes:
        check: the row of the table that it belongs to.
        name: what is wrong with the request, or unusual.
        move: sends it.
        passes: whether it must be accepted.
    """

    check: str
    name: str
    move: Move
    passes: bool = False


def _all(check: str, *, passes: bool = False, **moves_by_name: Move) -> tuple[Attempt, ...]:
    return tuple(Attempt(check, name.replace("_", " "), move, passes) for name, move in moves_by_name.items())


def _now() -> int:
    return int(time.time())


ATTEMPTS = (
    *_all(
        "exactly one token, exactly one proof",
        two_DPoP_fields=moves.two_proofs(lambda one, two: (one, two)),
        two_proofs_in_one_field=moves.two_proofs(lambda one, two: (f"{one}, {two}",)),
        two_Authorization_fields=moves.two_tokens,
        token_in_the_query=moves.in_query,
    ),
    *_all(
        "no way round the proof",
        no_proof=moves.under_scheme("DPoP", proofs=0),
        bound_token_as_Bearer=moves.under_scheme("Bearer", proofs=0),
        Bearer_with_a_proof=moves.under_scheme("Bearer"),
        WebSocket_handshake_without_credentials=moves.handshake,
    ),
    *_all(
        "typ, crit",
        typ_JWT=moves.changed(header={"typ": "JWT"}),
        no_typ=moves.changed(without=["typ"]),
        unknown_crit=moves.changed(header={"crit": ["x"], "x": 1}),
    ),
    *_all(
        "list of algorithms (ES256 PS256)",
        alg_none=moves.resigned(unsigned),
        HS256_with_a_shared_secret=moves.shared_secret,
        ES384=lambda attacker: attacker.by_key(_ES384),
        RS256=lambda attacker: attacker.by_key(_RS256),
    ),
    *_all(
        "sound keys",
        RSA_of_1024_bits=lambda attacker: attacker.by_key(_RSA_1024),
        private_key_in_jwk=lambda attacker: attacker.with_proof(header={"jwk": attacker.client.key.private_jwk}),
        one_prime_of_RSA_in_jwk=lambda attacker: attacker.by_key(_RSA_2048, p=_RSA_2048.private_jwk["p"]),
        second_encoding_of_a_key=moves.other_encoding,
    ),
    *_all(
        "signature",
        broken=moves.resigned(with_broken_signature),
        by_another_key=moves.changed(signed_by=PrivateKey.generate()),
    ),
    *_all(
        "all claims, of their types",
        **{f"no_{claim}": moves.changed(without=[claim]) for claim in ("jti", "htm", "htu", "iat", "ath")},
        jti_a_number=moves.changed(claims={"jti": 5}),
        jti_empty=moves.changed(claims={"jti": ""}),
        iat_text=lambda attacker: attacker.with_proof(claims={"iat": str(_now())}),
    ),
    *_all(
        "htm",
        another_method=moves.changed(claims={"htm": "POST"}),
        in_small_letters=moves.changed(claims={"htm": "get"}),
    ),
    *_all(
        "htu",
        another_path=moves.htu(lambda uri: uri + "s"),
        another_host=moves.htu(lambda uri: uri.replace("localhost", "localhost.example.com")),
        another_scheme=moves.htu(lambda uri: uri.replace("http", "https")),
        path_in_capitals=moves.htu(lambda uri: uri.replace("resource", "RESOURCE")),
        relative=moves.htu(lambda uri: uri.removeprefix("http://localhost")),
        slash_for_an_encoded_slash=moves.of_another_path("/files/a%2Fb", "/files/a/b"),
    ),
    *_all(
        "the same htu written otherwise passes",
        passes=True,
        host_in_capitals=moves.htu(lambda uri: uri.replace("localhost", "LOCALHOST")),
        default_port=moves.htu(lambda uri: uri.replace("localhost", "localhost:80")),
        encoded_letter=moves.htu(lambda uri: uri.replace("resource", "%72esource")),
        query_in_the_request=moves.of_another_path("/resource?page=2", "/resource"),
    ),
    *_all(
        "iat within 60 s",
        minutes_old=lambda attacker: attacker.with_proof(claims={"iat": _now() - _MINUTES}),
        minutes_ahead=lambda attacker: attacker.with_proof(claims={"iat": _now() + _MINUTES}),
    ),
    *_all(
        "ath",
        of_another_token=moves.changed(claims={"ath": "A" * 43}),
        of_another_token_under_dpop_in_small_letters=moves.under_scheme("dpop", claims={"ath": "A" * 43}),
    ),
    *_all(
        "nonce of the server",
        no_nonce=moves.changed(without=["nonce"]),
        invented=moves.changed(nonce="an-invented-nonce"),
        old=moves.old_nonce,
    ),
    *_all(
        "replay, one process",
        again=moves.twice,
        again_with_the_twin_signature=lambda attacker: moves.twice(attacker, with_twin_signature),
        **{"16_at_once": moves.at_once},
    ),
    *_all("replay, another process", again=lambda attacker: moves.twice(attacker, process=1)),
    *_all(
        "a refused proof spends nothing",
        passes=True,
        refused_for_its_ath=moves.after_a_refusal(claims={"ath": "A" * 43}),
        refused_for_its_nonce=moves.after_a_refusal(nonce="an-invented-nonce"),
    ),
    *_all(
        "bound to the key of the proof",
        stolen_token=moves.stolen,
        token_without_cnf=lambda attacker: attacker.with_token(without=["cnf"]),
        cnf_of_a_certificate=moves.bound_by({"x5t#S256": "A" * 43}),
    ),
    *_all(
        "access token",
        expired=lambda attacker: attacker.with_token(claims={"exp": _now() - _MINUTES}),
        without_exp=lambda attacker: attacker.with_token(without=["exp"]),
        another_audience=lambda attacker: attacker.with_token(claims={"aud": "https://other.example.com"}),
        another_issuer=lambda attacker: attacker.with_token(claims={"iss": "https://other.example.com"}),
        typ_JWT=lambda attacker: attacker.with_token(header={"typ": "JWT"}),
        by_another_key=moves.by_stranger,
        alg_none=moves.without_signature,
    ),
    *_all("size of the proof", **{"12_KB": moves.changed(claims={"x": "x" * 8000})}),
)
