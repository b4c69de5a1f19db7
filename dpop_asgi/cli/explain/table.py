"""The checks in the order of the middleware, by topic, each with the section that asks for it."""

from typing import NamedTuple

from dpop_asgi.errors import Reason


class Topic(NamedTuple):
    """Checks about one thing, shown together.

    Attributes:
        name: the header, parameter or claim.
        section: of which specification.
        reasons: the checks, in their order.
    """

    name: str
    section: str
    reasons: tuple[Reason, ...]


R = Reason

AUTHORIZATION = Topic(
    "Authorization",
    "RFC 9449 §7.1",
    (
        R.AUTHORIZATION_MISSING,
        R.AUTHORIZATION_REPEATED,
        R.AUTHORIZATION_TOO_LARGE,
        R.AUTHORIZATION_SCHEME,
        R.AUTHORIZATION_MALFORMED,
        R.BEARER_NOT_ACCEPTED,
    ),
)
HEADER = Topic("DPoP", "RFC 9449 §4.3 item 1", (R.PROOF_MISSING, R.PROOF_TOO_LARGE, R.PROOF_REPEATED))
SHAPE = Topic("JWT", "RFC 9449 §4.3 item 2", (R.PROOF_MALFORMED,))
TYP = Topic("typ", "RFC 9449 §4.3 item 4", (R.PROOF_TYPE,))
ALG = Topic("alg", "RFC 9449 §4.3 item 5", (R.PROOF_ALGORITHM,))
CRIT = Topic("crit", "RFC 7515 §4.1.11", (R.PROOF_CRITICAL,))
JWK = Topic("jwk", "RFC 9449 §4.3 item 7", (R.KEY_MISSING, R.KEY_PRIVATE, R.KEY_UNFIT, R.KEY_INVALID))
CLAIMS = Topic("claims", "RFC 9449 §4.3 item 3", (R.CLAIM_MISSING, R.CLAIM_MALFORMED))
URL = Topic("URL", "RFC 9110 §7.1", (R.TARGET_MALFORMED,))
HTM = Topic("htm", "RFC 9449 §4.3 item 8", (R.METHOD_MISMATCH,))
HTU = Topic("htu", "RFC 9449 §4.3 item 9", (R.TARGET_MISMATCH,))
IAT = Topic("iat", "RFC 9449 §4.3 item 11", (R.ISSUED_TOO_EARLY, R.ISSUED_IN_FUTURE))
EXP = Topic("exp", "RFC 7519 §4.1.4", (R.PROOF_EXPIRED,))
NBF = Topic("nbf", "RFC 7519 §4.1.5", (R.PROOF_NOT_YET_VALID,))
ATH = Topic("ath", "RFC 9449 §4.3 item 12", (R.TOKEN_HASH_MISMATCH,))
NONCE = Topic(
    "nonce",
    "RFC 9449 §4.3 item 10",
    (R.NONCE_MISSING, R.NONCE_MALFORMED, R.NONCE_UNKNOWN, R.NONCE_EXPIRED),
)
SIGNATURE = Topic("signature", "RFC 9449 §4.3 item 6", (R.SIGNATURE_INVALID,))
TOKEN = Topic("token", "RFC 9068 §4", (R.TOKEN_MALFORMED,))
ISSUER = Topic("token iss", "RFC 9068 §4", (R.TOKEN_ISSUER,))
TOKEN_TYP = Topic("token typ", "RFC 9068 §4", (R.TOKEN_TYPE,))
TOKEN_SIGNATURE = Topic("token signature", "RFC 9068 §4", (R.TOKEN_ALGORITHM, R.TOKEN_KEY_UNKNOWN, R.TOKEN_SIGNATURE))
AUDIENCE = Topic("token aud", "RFC 9068 §4", (R.TOKEN_AUDIENCE,))
TIMES = Topic("token exp", "RFC 9068 §4", (R.TOKEN_EXPIRED, R.TOKEN_NOT_YET_VALID))
BINDING = Topic(
    "token cnf",
    "RFC 9449 §4.3 item 12",
    (
        R.BINDING_MALFORMED,
        R.BINDING_UNSUPPORTED,
        R.BOUND_TOKEN_AS_BEARER,
        R.BINDING_MISSING,
        R.BINDING_MISMATCH,
    ),
)
REVOCATION = Topic("revocation", "RFC 6750 §3.1", (R.KEY_REVOKED,))
REPLAY = Topic("replay", "RFC 9449 §11.1", (R.PROOF_REPLAYED,))

TOPICS = (
    *(AUTHORIZATION, HEADER, SHAPE, TYP, ALG, CRIT, JWK, CLAIMS),
    *(URL, HTM, HTU, IAT, EXP, NBF, ATH, NONCE, SIGNATURE),
    *(TOKEN, ISSUER, TOKEN_TYP, TOKEN_SIGNATURE, AUDIENCE, TIMES, BINDING, REVOCATION, REPLAY),
)

# What only the server knows: its hosts and proxies, its own verifier and routes, and what its store was before.
# Shown if its response says so.
ON_THE_SERVER = Topic(
    "the server",
    "RFC 9110 §15.5",
    tuple(reason for reason in R if all(reason not in topic.reasons for topic in TOPICS)),
)
