"""A protected app in process."""

import pytest

from tests.support.api import Api, App, http_scope
from tests.support.decisions import CountingStore


@pytest.fixture
def make_api(issuer, client, clock):
    """`make_api(app, **options)`: the options are those of the middleware and of the authenticator."""

    def make_api(inner=None, **options):
        return Api(inner or App(), issuer, client, clock, **options)

    return make_api


@pytest.fixture
def api(make_api):
    return make_api()


@pytest.fixture
def sent_by():
    """`await sent_by(api)`: the messages that a correct request is answered with, and the error that came out."""

    async def sent_by(api, *, headers=None, messages=None):
        messages = [] if messages is None else messages
        headers = await api.fields() if headers is None else headers

        async def send(message):
            messages.append(message)

        try:
            await api.app(http_scope(headers=headers.items()), None, send)
        except Exception as error:  # noqa: BLE001 - it is judged
            return messages, error
        return messages, None

    return sent_by


@pytest.fixture
def away(clock):
    """A store that does not answer."""
    return CountingStore(clock, down=True)
