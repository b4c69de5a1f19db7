"""The URL that clients call and sign."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from dpop_asgi.cli.check.finding import Finding, ok, warning
from dpop_asgi.core.htu import is_loopback


def public_url_findings(urls: tuple[str, ...] | None) -> Iterator[Finding]:
    """What clients can reach with these URLs, which are valid."""
    if urls is None:
        what = "No public URL is set, so requests are served only if they call localhost or 127.0.0.1."
        change = "Set DPOP_PUBLIC_URL to the URL that clients call, such as https://api.example.com."
        yield warning("public_url", "public_url_not_set", what, change=change)
    for url in urls or ():
        parts = urlsplit(url)
        path = parts.path.rstrip("/")
        if is_loopback(parts.hostname or ""):
            change = "Set DPOP_PUBLIC_URL to the URL that clients on other machines call."
            what = f"{url} can be called only from this machine."
            yield warning("public_url", "public_url_loopback_only", what, change=change)
        elif path:
            what = f"Clients call {url}. The proxy in front has to remove {path} from the path."
            yield ok("public_url", "public_url_set", what)
        else:
            yield ok("public_url", "public_url_set", f"Clients call {url}.")
