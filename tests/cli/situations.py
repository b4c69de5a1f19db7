"""Requests that are broken in one way, and what `dpop-asgi explain` has to say about each."""

import hashlib
import json
from base64 import b64encode, urlsafe_b64encode
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from dpop_asgi import Reason
from dpop_asgi.cli.explain.run import Options
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client
from tests.support.keys import octets, rsa_key, unpadded

API = "https://api.example.com"
URL = f"{API}/orders"
NONCE = "the-nonce-of-the-server"
R = Reason
CUT_OFF = "eyJhbGciOiJFUzI1NiJ9.eyJ"


class Situation:
    """A correct request in parts, each of which a row of the table can break."""

    def __init__(self, client, issuer, clock):
        self.client, self.issuer, self.clock = client, issuer, clock
        self.method, self.url, self.htm, self.htu, self.nonce = "GET", URL, None, None, NONCE
        self.header, self.claims, self.without, self.signed_by = {}, {}, (), None
        self.token_changes, self.hashed, self.fields, self.extra = {}, None, [], ""
        self.authorization = "DPoP {token}"
        self.edit = lambda proof: proof
        self.response = ""

    @cached_property
    def token(self):
        return self.issuer.access_token(self.client, **self.token_changes)

    @cached_property
    def proof(self):
        htm, htu = self.htm or self.method, self.htu or URL
        changes = {"header": self.header, "claims": self.claims, "without": self.without, "signed_by": self.signed_by}
        return self.edit(self.client.proof(htm, htu, self.token, nonce=self.nonce, **changes))

    def options(self, tmp_path, **changes):
        jwks = tmp_path / "jwks.json"
        jwks.write_text(json.dumps(self.issuer.jwks))
        lines = [f"{self.method} /orders HTTP/1.1", "Host: api.example.com"]
        if self.authorization:
            lines.append("Authorization: " + self.authorization.format(token=self.token))
        proofs = [self.proof, *self.fields]
        lines += [f"DPoP: {value}" for value in proofs if value]
        text = "\r\n".join([*lines, "", self.response])
        usual = {
            "proof": text,
            "url": self.url,
            "nonce": NONCE,
            "jwks": str(jwks),
            "now": self.clock.now,
            "as_json": True,
        }
        return Options(**{**usual, **changes})


def sets(**parts):
    return lambda case: [setattr(case, name, value) for name, value in parts.items()]


def rejected(reason, status=401, **parts):
    """With a response that says why."""
    challenge = f'WWW-Authenticate: DPoP error_description="{reason.description}"'
    return sets(response=f"HTTP/1.1 {status} \r\n{challenge}", **parts)


def later(seconds):
    """A client whose clock is off."""
    return lambda case: setattr(case, "claims", {"iat": int(case.clock.now) + seconds})


def ath(make):
    return lambda case: setattr(case, "claims", {"ath": make(case.token)})


def jwk(change):
    """Other members of the key, or more of them."""
    return lambda case: setattr(case, "header", {"jwk": {**case.client.key.public_jwk, **change(case.client.key)}})


def signed_in_der(proof):
    content, _, signature = proof.rpartition(".")
    raw = octets(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    return f"{content}.{unpadded(der)}"


def uses(alg):
    return lambda case: setattr(case, "client", Client(alg, clock=case.clock))


def uses_rsa(alg, *, signed_with=None, bits=2048):
    def change(case):
        key = PrivateKey(alg, rsa_key(bits)._key)
        case.client = Client(clock=case.clock, key=key)
        case.signed_by = PrivateKey(signed_with, key._key) if signed_with else None

    return change


def claims_that_are_no_json(proof):
    header, _, signature = proof.split(".")
    return f"{header}.Ym9keQ.{signature}"


def token(**changes):
    return sets(token_changes=changes)


def digest(text, name="sha256"):
    return hashlib.new(name, text.encode()).digest()


# What breaks a request, the reasons in their order, and words of the first cause.
SITUATIONS = {
    # Authorization
    "no-authorization": (sets(authorization=""), [R.AUTHORIZATION_MISSING], "There is a proof, but no token"),
    "token-without-scheme": (sets(authorization="{token}"), [R.AUTHORIZATION_SCHEME], "a token without a scheme"),
    "basic": (sets(authorization="Basic eDp5"), [R.AUTHORIZATION_SCHEME], "another scheme"),
    "quoted-token": (sets(authorization='DPoP "{token}"'), [R.AUTHORIZATION_MALFORMED], "quotation marks"),
    "two-tokens": (sets(authorization="DPoP {token}, x"), [R.AUTHORIZATION_MALFORMED], "more than a scheme and one"),
    "bearer-with-proof": (sets(authorization="Bearer {token}"), [R.BEARER_NOT_ACCEPTED], "HTTP layer adds"),
    "bearer": (
        sets(authorization="Bearer {token}", edit=lambda _: ""),
        [R.BEARER_NOT_ACCEPTED, R.PROOF_MISSING],
        "doesn't use DPoP",
    ),
    # The shape of the proof
    "no-proof": (sets(edit=lambda _: ""), [R.PROOF_MISSING], "no DPoP header"),
    "two-proofs": (sets(fields=["eyJ.e30.x"]), [R.PROOF_REPEATED], "a retry added a second"),
    "joined-proofs": (sets(edit=lambda proof: f"{proof}, {proof}"), [R.PROOF_REPEATED], "joined several with a comma"),
    "cut-off-in-the-claims": (sets(edit=lambda proof: proof[:320]), [R.PROOF_MALFORMED], "2 of 3 parts: it is cut off"),
    "encrypted": (sets(edit=lambda proof: f"{proof}.x.y"), [R.PROOF_MALFORMED], "an encrypted JWT"),
    "padded": (sets(edit=lambda proof: f"{proof}=="), [R.PROOF_MALFORMED], "padding"),
    "with-a-scheme": (sets(edit=lambda proof: f"DPoP {proof}"), [R.PROOF_MALFORMED], "begins with a scheme"),
    "url-encoded": (sets(edit=lambda proof: f"{proof}%3D"), [R.PROOF_MALFORMED], "URL-encoded"),
    "huge": (sets(claims={"padding": "x" * 8000}), [R.PROOF_TOO_LARGE], "more than it needs"),
    "four-parts": (sets(edit=lambda proof: f"{proof}.x"), [R.PROOF_MALFORMED], "4 parts instead of 3"),
    "claims-that-are-no-json": (
        sets(edit=claims_that_are_no_json),
        [R.PROOF_MALFORMED, R.SIGNATURE_INVALID],
        "Its claims can't be read",
    ),
    "signature-not-base64url": (sets(edit=lambda proof: f"{proof}!"), [R.PROOF_MALFORMED], "signature isn't base64url"),
    # Its header
    "typ-jwt": (sets(header={"typ": "JWT"}), [R.PROOF_TYPE], "default was not changed"),
    "typ-missing": (sets(without=["typ"]), [R.PROOF_TYPE], "no typ"),
    "typ-spelled-differently": (sets(header={"typ": "DPoP+JWT"}), [R.PROOF_TYPE], "spelled in another way"),
    "access-token-as-proof": (sets(header={"typ": "at+jwt"}), [R.PROOF_TYPE], "This is an access token"),
    "rs256": (uses_rsa("RS256"), [R.PROOF_ALGORITHM], "RS256 isn't in the list that the server accepts: FAPI"),
    "alg-none": (sets(header={"alg": "none"}), [R.PROOF_ALGORITHM], "isn't signed"),
    "alg-hs256": (sets(header={"alg": "HS256"}), [R.PROOF_ALGORITHM], "symmetric algorithm"),
    "alg-in-lower-case": (sets(header={"alg": "es256"}), [R.PROOF_ALGORITHM], "wrong case"),
    "es384": (uses("ES384"), [R.PROOF_ALGORITHM], "ES384 isn't in the list that the server accepts."),
    "alg-unknown": (sets(header={"alg": "ES256K"}), [R.PROOF_ALGORITHM], "not an algorithm that is known"),
    "alg-missing": (sets(without=["alg"]), [R.PROOF_ALGORITHM], "The header has no alg"),
    "crit": (sets(header={"crit": ["exp"]}), [R.PROOF_CRITICAL], "crit or b64"),
    "kid-instead-of-jwk": (sets(header={"kid": "1"}, without=["jwk"]), [R.KEY_MISSING], "only refers to the key (kid)"),
    "jwk-as-text": (sets(header={"jwk": '{"kty":"EC"}'}), [R.KEY_MISSING], "jwk is a string"),
    "private-key": (jwk(lambda key: key.private_jwk), [R.KEY_PRIVATE], "contains the private key (d)"),
    "other-curve": (jwk(lambda _: {"crv": "P-384"}), [R.KEY_UNFIT], "ES256 goes with EC P-256, but jwk has EC P-384"),
    "leading-zero-left-out": (
        jwk(lambda key: {"x": unpadded(octets(key.public_jwk["x"])[1:])}),
        [R.KEY_INVALID],
        "x has 31 of 32 bytes",
    ),
    "incomplete-key": (sets(header={"jwk": {"kty": "EC", "crv": "P-256", "x": "x"}}), [R.KEY_INVALID], "jwk lacks y"),
    "symmetric-key": (
        sets(header={"jwk": {"kty": "oct", "k": "hunter2"}}),
        [R.KEY_PRIVATE, R.KEY_UNFIT],
        "jwk is a symmetric key",
    ),
    "leading-zero": (
        jwk(lambda key: {"y": unpadded(b"\0" + octets(key.public_jwk["y"]))}),
        [R.KEY_INVALID],
        "y has 33 bytes instead of 32",
    ),
    "short-rsa-key": (uses_rsa("PS256", bits=2040), [R.KEY_INVALID], "The RSA key has 2040 bits"),
    "padded-coordinate": (jwk(lambda _: {"x": "AAAA="}), [R.KEY_INVALID], "x isn't base64url"),
    "off-the-curve": (jwk(lambda key: {"y": key.public_jwk["x"]}), [R.KEY_INVALID], "aren't a point on the curve"),
    # Its claims
    "ath-missing": (sets(without=["ath"]), [R.CLAIM_MISSING], "was not given the access token"),
    "jti-missing": (sets(without=["jti"]), [R.CLAIM_MISSING], "lacks jti"),
    "names-of-a-draft": (
        sets(claims={"http_method": "GET", "http_uri": URL}, without=["htm", "htu"]),
        [R.CLAIM_MISSING],
        "http_method instead of htm and http_uri instead of htu",
    ),
    "iat-as-text": (sets(claims={"iat": "1700000000"}), [R.CLAIM_MALFORMED], "iat is a string"),
    "nonce-null": (sets(claims={"nonce": None}), [R.CLAIM_MALFORMED, R.NONCE_MISSING], "nonce is null"),
    "jti-a-number": (sets(claims={"jti": 7}), [R.CLAIM_MALFORMED], "jti is a number"),
    "jti-empty": (sets(claims={"jti": ""}), [R.CLAIM_MALFORMED], "jti is empty"),
    # The method
    "method-in-lower-case": (sets(htm="get"), [R.METHOD_MISMATCH], "case only"),
    "followed-a-redirect": (sets(htm="POST"), [R.METHOD_MISMATCH], "followed a redirect"),
    "preflight": (sets(method="OPTIONS", htm="POST"), [R.METHOD_MISMATCH], "a CORS preflight"),
    "head": (sets(method="HEAD", htm="GET"), [R.METHOD_MISMATCH], "HEAD and GET are different"),
    "other-method": (sets(method="DELETE", htm="PUT"), [R.METHOD_MISMATCH], "made for another request"),
    "websocket": (sets(url="wss://api.example.com/orders", htm="CONNECT"), [R.METHOD_MISMATCH], "handshake"),
    # The URL: what is signed against what the server takes for its own
    "http-for-https": (sets(url="http://api.example.com/orders"), [R.TARGET_MISMATCH], "TLS ends at a proxy"),
    "https-for-http": (sets(htu="http://api.example.com/orders"), [R.TARGET_MISMATCH], "http is signed, https"),
    "other-port": (sets(url="https://api.example.com:8443/orders"), [R.TARGET_MISMATCH], "The ports differ"),
    "internal-address": (sets(url="http://10.0.0.5:8000/orders"), [R.TARGET_MISMATCH], "internal address (10.0.0.5)"),
    "internal-name": (sets(htu="http://backend:8000/orders"), [R.TARGET_MISMATCH], "signs an internal address"),
    "localhost-for-127.0.0.1": (
        sets(url="http://127.0.0.1:8000/orders", htu="http://localhost:8000/orders"),
        [R.TARGET_MISMATCH],
        "localhost is signed, 127.0.0.1 is called",
    ),
    "other-host": (sets(htu="https://api.example.org/orders"), [R.TARGET_MISMATCH], "The hosts differ: "),
    "www": (sets(htu="https://www.api.example.com/orders"), [R.TARGET_MISMATCH], "differ by www"),
    "dot-after-the-host": (sets(htu="https://api.example.com./orders"), [R.TARGET_MISMATCH], "a dot at its end"),
    "escaped-differently": (sets(url=f"{API}/a:b", htu=f"{API}/a%3Ab"), [R.TARGET_MISMATCH], "escaped differently"),
    "stripped-prefix": (sets(htu=f"{API}/v1/orders"), [R.TARGET_MISMATCH], "/v1 is missing in the req"),
    "doubled-prefix": (
        sets(url=f"{API}/v1/v1/orders", htu=f"{API}/v1/orders"),
        [R.TARGET_MISMATCH],
        "/v1 is duplicated",
    ),
    "without-its-base-url": (sets(url=f"{API}/v1/orders"), [R.TARGET_MISMATCH], "/v1 is missing in htu"),
    "trailing-slash": (sets(htu=f"{URL}/"), [R.TARGET_MISMATCH], "a slash at the end"),
    "double-slash": (sets(htu=f"{API}//orders"), [R.TARGET_MISMATCH], "a double slash"),
    "case": (sets(htu=f"{API}/Orders"), [R.TARGET_MISMATCH], "differ in case"),
    "encoded-slash": (sets(url=f"{API}/a/b", htu=f"{API}/a%2Fb"), [R.TARGET_MISMATCH], "A slash is escaped (%2F)"),
    "escaped-twice": (sets(url=f"{API}/a%20b", htu=f"{API}/a%2520b"), [R.TARGET_MISMATCH], "escaped twice"),
    "other-resource": (sets(htu=f"{API}/users"), [R.TARGET_MISMATCH], "another resource"),
    "only-a-path": (sets(htu="/orders"), [R.TARGET_MISMATCH], "only a path"),
    "no-scheme": (sets(htu="api.example.com/orders"), [R.TARGET_MISMATCH], "no scheme"),
    "user-in-htu": (sets(htu="https://u:hunter2@api.example.com/orders"), [R.TARGET_MISMATCH], "a user name"),
    "space-in-htu": (sets(htu=f"{API}/my orders"), [R.TARGET_MISMATCH], "characters that aren't escaped"),
    "wss-for-https": (sets(htu="wss://api.example.com/orders"), [R.TARGET_MISMATCH], "isn't a WebSocket handshake"),
    "dot-segments": (sets(url=f"{API}/x/../orders"), [R.TARGET_MALFORMED], "dot segments"),
    # Times
    "milliseconds": (sets(claims={"iat": 1_700_000_000_000}), [R.ISSUED_IN_FUTURE], "iat is in milliseconds"),
    "nanoseconds": (sets(claims={"iat": 1_700_000_000_000_000_000}), [R.ISSUED_IN_FUTURE], "in nanoseconds"),
    "local-time-ahead": (later(2 * 3600), [R.ISSUED_IN_FUTURE], "off by +2 h, as precisely as a time zone"),
    "local-time-behind": (later(-5 * 3600 - 2), [R.ISSUED_TOO_EARLY], "off by -5 h"),
    "fast-clock": (later(95), [R.ISSUED_IN_FUTURE], "95 s ahead: the client's clock is fast"),
    "kept": (later(-420), [R.ISSUED_TOO_EARLY], "The proof is 7 min old: it was kept"),
    "clock-not-set": (sets(claims={"iat": 12}), [R.ISSUED_TOO_EARLY], "1970-01-01 00:00:12 UTC"),
    "exp": (sets(claims={"exp": 1_699_999_000}), [R.PROOF_EXPIRED], "has an exp"),
    "nbf": (sets(claims={"nbf": 1_700_009_000}), [R.PROOF_NOT_YET_VALID], "has an nbf"),
    # The hash of the token
    "other-token": (ath(lambda _: unpadded(digest("another"))), [R.TOKEN_HASH_MISMATCH], "for another access token"),
    "hex": (ath(lambda t: digest(t).hex()), [R.TOKEN_HASH_MISMATCH], "in hexadecimal"),
    "padded-ath": (ath(lambda t: urlsafe_b64encode(digest(t)).decode()), [R.TOKEN_HASH_MISMATCH], "with padding"),
    "plain-base64": (ath(lambda t: b64encode(digest(t)).decode()), [R.TOKEN_HASH_MISMATCH], "the right hash"),
    "with-scheme": (ath(lambda t: unpadded(digest(f"DPoP {t}"))), [R.TOKEN_HASH_MISMATCH], "scheme included"),
    "at-hash": (ath(lambda t: unpadded(digest(t)[:16])), [R.TOKEN_HASH_MISMATCH], "at_hash"),
    "sha512": (ath(lambda t: unpadded(digest(t, "sha512"))), [R.TOKEN_HASH_MISMATCH], "SHA-512"),
    # The nonce
    "no-nonce": (sets(nonce=None), [R.NONCE_MISSING], "how each conversation begins"),
    "stale-nonce": (
        sets(nonce="the-one-before", response='HTTP/1.1 401 \r\nWWW-Authenticate: DPoP error="use_dpop_nonce"'),
        [R.NONCE_UNKNOWN],
        "The nonce is stale",
    ),
    "changed-nonce": (sets(nonce=f'"{NONCE}"'), [R.NONCE_MALFORMED], "changed on the way"),
    # The signature
    "other-key": (sets(signed_by=PrivateKey.generate()), [R.SIGNATURE_INVALID], "signed with another key"),
    "der": (sets(edit=signed_in_der), [R.SIGNATURE_INVALID], "in DER"),
    "signature-cut-off": (sets(edit=lambda proof: proof[:-6]), [R.SIGNATURE_INVALID], "60 of 64 bytes"),
    "other-rsa-padding": (uses_rsa("PS256", signed_with="RS256"), [R.SIGNATURE_INVALID], "signed with RS256"),
    # The token
    "typ-of-token": (token(header={"typ": "JWT"}), [R.TOKEN_TYPE], "typ of the access token is JWT"),
    "id-token": (token(header={"typ": "JWT"}, claims={"at_hash": "x"}), [R.TOKEN_TYPE], "an ID token"),
    "issuer-with-slash": (token(claims={"iss": "https://id.example.com/"}), [R.TOKEN_ISSUER], "a slash at the end"),
    "other-issuer": (token(claims={"iss": "https://x.example"}), [R.TOKEN_ISSUER], "another issuer"),
    "other-audience": (token(claims={"aud": "https://x.example"}), [R.TOKEN_AUDIENCE], "for another API"),
    "expired-token": (token(claims={"exp": 1_699_990_000}), [R.TOKEN_EXPIRED], "expired 3 h ago"),
    "token-without-exp": (token(without=["exp"]), [R.TOKEN_MALFORMED], "lacks exp"),
    "unknown-kid": (token(header={"kid": "other"}), [R.TOKEN_KEY_UNKNOWN], "no key with the token's kid"),
    "forged-token": (token(signed_by=PrivateKey.generate()), [R.TOKEN_SIGNATURE], "altered"),
    "unbound-token": (token(without=["cnf"]), [R.BINDING_MISSING], "as a Bearer token"),
    "bound-to-another-key": (token(claims={"cnf": {"jkt": "A" * 43}}), [R.BINDING_MISMATCH], "bound to another key"),
    "padded-thumbprint": (token(claims={"cnf": {"jkt": "A" * 43 + "="}}), [R.BINDING_MALFORMED], "has 44 characters"),
    "cnf-not-an-object": (token(claims={"cnf": "x"}), [R.BINDING_MALFORMED], "cnf isn't an object"),
    "cut-off-token": (
        sets(authorization=f"DPoP {CUT_OFF}", claims={"ath": sha256_b64url(CUT_OFF)}),
        [R.TOKEN_MALFORMED],
        "The access token is cut off",
    ),
    "certificate": (token(claims={"cnf": {"x5t#S256": "A" * 43}}), [R.BINDING_UNSUPPORTED], "client certificate"),
    # Several at once: each is named
    "expired-and-for-another-api": (
        token(claims={"exp": 1_699_990_000, "aud": "https://x.example"}),
        [R.TOKEN_AUDIENCE, R.TOKEN_EXPIRED],
        "for another API",
    ),
    "of-another-type-and-issuer": (
        token(header={"typ": "JWT"}, claims={"iss": "https://x.example"}),
        [R.TOKEN_ISSUER, R.TOKEN_TYPE],
        "from another issuer",
    ),
    "symmetric-and-expired": (
        token(header={"alg": "HS256"}, claims={"exp": 1_699_990_000}),
        [R.TOKEN_ALGORITHM, R.TOKEN_EXPIRED],
        "not an asymmetric algorithm",
    ),
    "old-and-elsewhere": (
        lambda case: (later(-420)(case), setattr(case, "htu", f"{URL}/")),
        [R.TARGET_MISMATCH, R.ISSUED_TOO_EARLY],
        "a slash at the end",
    ),
    # Only the server can tell
    "server-takes-another-url": (rejected(R.TARGET_MISMATCH), [R.TARGET_MISMATCH], "without public_url"),
    "used-before": (rejected(R.PROOF_REPLAYED), [R.PROOF_REPLAYED], "used before"),
    "a-claim-that-is-there": (rejected(R.CLAIM_MISSING), [R.CLAIM_MISSING], "lacks a required claim."),
    "a-method-that-is-right": (rejected(R.METHOD_MISMATCH), [R.METHOD_MISMATCH], "is not the method of this"),
    "a-claim-that-was-cut-off": (
        rejected(R.CLAIM_MALFORMED, edit=lambda proof: proof[:320]),
        [R.PROOF_MALFORMED, R.CLAIM_MALFORMED],
        "2 of 3 parts: it is cut off",
    ),
    "unknown-host": (rejected(R.HOST_NOT_ALLOWED, status=400), [R.HOST_NOT_ALLOWED], "a Host that it doesn't serve"),
}
