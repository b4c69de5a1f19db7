"""What is wrong with an issuer: its metadata, its keys, and the tokens that it is known for."""

from collections.abc import Iterator, Sequence

from dpop_asgi.cli.check.finding import Finding, error, ok, warning
from dpop_asgi.cli.check.issuer import IssuerSeen
from dpop_asgi.cli.check.products import Product, recognise
from dpop_asgi.cli.check.text import printable, sentence


def issuer_findings(seen: IssuerSeen, *, types: tuple[str, ...], proof_algorithms: Sequence[str]) -> Iterator[Finding]:
    """What is right and wrong with the issuer.

    Args:
        seen: what it sent.
        types: accepted `typ` of tokens; `none` stands for a token without one.
        proof_algorithms: accepted algorithms of proofs.
    """
    product = recognise(seen.issuer, seen.metadata)
    if product is not None and not product.binds:
        what = f"This issuer is {product.name}, whose access tokens aren't bound by DPoP."
        yield error("issuer", "issuer_without_dpop", what, change=product.instead)
    if seen.keys is None:
        yield _failure(seen)
        return
    yield from _metadata(seen)
    yield from _types(product, types)
    if seen.metadata_url and (product is None or product.binds):
        yield _announcement(seen, proof_algorithms)


def _failure(seen: IssuerSeen) -> Finding:
    named = seen.metadata.get("issuer")
    if isinstance(named, str) and named != seen.issuer:
        what = f"The metadata at {seen.metadata_url} is that of {printable(named)}, not of {printable(seen.issuer)}."
        is_slash = named.rstrip("/") == seen.issuer.rstrip("/")
        hint = " Only the slash at the end differs, and it counts." if is_slash else ""
        change = f"Set DPOP_ISSUER={printable(named)}, if that is your issuer: tokens have to name it exactly."
        return error("issuer", "issuer_mismatch", what + hint, change=change)
    if seen.metadata and not isinstance(named, str):
        what = f"The metadata at {seen.metadata_url} names no issuer, so it can't be trusted."
        change = "Correct DPOP_ISSUER, or set DPOP_JWKS_URI to the URL of the issuer's keys."
        return error("issuer", "issuer_mismatch", what, change=change)
    if seen.metadata and not isinstance(seen.metadata.get("jwks_uri"), str):
        what = f"The metadata at {seen.metadata_url} has no jwks_uri, so the issuer's keys can't be found."
        return error("issuer", "issuer_without_keys", what, change="Set DPOP_JWKS_URI to the URL of its keys.")
    change = (
        "Open this URL from this host. Check DPOP_JWKS_URI, name resolution, firewalls and certificates"
        if seen.jwks_uri
        else "Open the issuer's metadata from this host. Check DPOP_ISSUER, name resolution, firewalls and certificates"
    )
    change += ": proxies from the environment aren't used, redirects aren't followed, SSL_CERT_FILE names private CAs."
    return error("issuer", "issuer_unavailable", sentence(seen.failure), change=change)


def _metadata(seen: IssuerSeen) -> Iterator[Finding]:
    if seen.metadata_url:
        yield ok("issuer", "issuer_metadata", f"Its metadata is at {seen.metadata_url}, and names the same issuer.")
    else:
        yield ok("issuer", "issuer_metadata_unused", "Its metadata isn't used: DPOP_JWKS_URI says where its keys are.")


def _types(product: Product | None, types: tuple[str, ...]) -> Iterator[Finding]:
    accepted = {name.lower().removeprefix("application/") for name in types}
    shown = ", ".join(sorted(accepted))
    if product is None:
        yield ok("issuer", "token_types", f"Accepted types of tokens (typ): {shown}.")
        return
    typ, switch = product.usual.typ or "none", product.usual.switch
    its = f"have typ {typ}" if product.usual.typ else "have no typ"
    if typ.lower() in accepted:
        yield ok("issuer", "token_types", f"Tokens of {product.name} {its} by default, which is accepted.")
    elif product.binds:
        what = f"Tokens of {product.name} {its} by default; accepted here: {shown}."
        setting = f"set DPOP_TOKEN_TYPES=at+jwt,{typ}"
        if switch and "at+jwt" in accepted:
            change = sentence(f"in {product.name}, {switch}, or {setting}")
            yield warning("issuer", "token_type_by_default", what, change=change)
        else:
            yield error("issuer", "token_type_not_accepted", what, change=sentence(setting))


def _announcement(seen: IssuerSeen, proof_algorithms: Sequence[str]) -> Finding:
    announced = seen.metadata.get("dpop_signing_alg_values_supported")
    if not isinstance(announced, list):
        what = "It doesn't announce DPoP (dpop_signing_alg_values_supported), so it may not bind tokens to keys."
        change = "Switch DPoP on at the issuer, for your client too, and see that access tokens have cnf.jkt."
        return warning("issuer", "dpop_not_announced", what, change=change)
    names = [name for name in announced if isinstance(name, str)]
    both = [name for name in proof_algorithms if name in names]
    if both:
        return ok("issuer", "dpop_announced", f"It announces DPoP. Algorithms that it accepts too: {', '.join(both)}.")
    what = (
        f"It accepts proofs signed with {printable(', '.join(names)) or 'nothing'}, and this server with "
        f"{', '.join(proof_algorithms)}: a client can't use one key for both."
    )
    return error("issuer", "dpop_algorithms_differ", what, change="Add one of the issuer's to DPOP_ALGORITHMS.")
