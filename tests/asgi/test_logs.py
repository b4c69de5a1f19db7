"""What is logged of requests; that nothing of it could be used says `tests/redaction`."""

import logging


async def test_an_accepted_request_is_not_logged(api, caplog):
    caplog.set_level(logging.DEBUG)
    assert (await api.request()).status == 200
    assert [record for record in caplog.records if record.name == "dpop_asgi"] == []


async def test_no_line_can_be_forged(api, caplog):
    """What is logged of a request has no line breaks, whatever the request has."""
    caplog.set_level(logging.DEBUG)
    await api.request(claims={"htu": "https://rs.example/\r\nforged", "htm": "GET\nforged"})
    await api.anonymous(also=[("authorization", "DPoP\x0bforged")], raw_path=b"/\nforged")
    assert [message for message in caplog.messages if "\n" in message or "\r" in message] == []


async def test_a_caller_can_be_printed_without_harm(api):
    await api.request()
    printed = repr(api.inner.scopes[0]["user"])
    assert "alice" in printed
    assert await api.authenticator.challenge_nonce() not in printed
    assert api.issuer.url not in printed
