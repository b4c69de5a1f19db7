"""A good configuration for `dpop-asgi check`, on a real issuer and a real Redis, of which tests spoil a part."""

import time

from dpop_asgi.cli.check.run import examine
from dpop_asgi.testing import Issuer
from tests.support.processes import AUDIENCE
from tests.support.website import PATH, Page

METADATA = "/.well-known/oauth-authorization-server"


class Planted:
    """Its variables, the pages of its issuer, and its Redis."""

    def __init__(self, website, server, monkeypatch):
        self.website = website
        self.server = server
        self.process = monkeypatch
        self.redis = server.client()
        self.issuer = Issuer(website.url, audience=AUDIENCE)
        self.variables = {
            "PUBLIC_URL": "https://api.example.com",
            "AUDIENCE": AUDIENCE,
            "STORE": server.url,
            "STORE_TIMEOUT": "10",
        }
        self.publish()

    def publish(self, path="", keys="/jwks", **metadata):
        """The issuer under another path, or with more in its metadata; `None` leaves a member out."""
        self.website.clear()
        self.issuer.url = self.website.url + path
        self.variables["ISSUER"] = self.issuer.url
        self.website.publish(self.issuer, metadata=METADATA + path)
        self.website.pages[keys] = self.website.pages[f"{path}/jwks"]
        page = self.website.pages[METADATA + path].content
        page["jwks_uri"] = self.website.url + keys
        page |= {"dpop_signing_alg_values_supported": ["ES256", "RS256"], **metadata}
        for name in [name for name, value in metadata.items() if value is None]:
            del page[name]

    def announce_by_openid(self):
        """At the second address only."""
        self.website.pages["/.well-known/openid-configuration"] = self.website.pages.pop(METADATA)

    def introspect(self, status=200, **answer):
        """Opaque tokens are introspected; of all the endpoint says the same, or else that none is active."""
        self.set(INTROSPECTION_CLIENT_ID="api", INTROSPECTION_CLIENT_SECRET="hunter2")
        self.publish(introspection_endpoint=self.website.endpoint)
        if answer:
            self.website.pages[PATH] = Page(answer, status)

    def keys(self, *keys):
        self.website.pages["/jwks"] = Page({"keys": list(keys)})

    def set(self, **variables):
        self.variables |= variables

    @property
    def environment(self):
        return {f"DPOP_{name}": value for name, value in self.variables.items()}

    async def report(self, ahead=0.0):
        return await examine(self.environment, clock=lambda: time.time() - ahead)
