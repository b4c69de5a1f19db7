"""Which tools a request to an MCP server calls: its body is read, and then given to the app."""

import json

from dpop_asgi.asgi.interface import Message, Receive
from dpop_asgi.core.strict_json import unique_members

# What the SDK accepts by default. Who sends more needs the scopes of every tool.
_MOST_BYTES = 4 * 1024 * 1024


async def read_body(receive: Receive) -> tuple[list[Message], bytes | None]:
    """What was received, the body in one piece, and the body; `None` if it is too long or doesn't end.

    In one piece: a body of many tiny parts would take a hundred times its length.
    """
    body = bytearray()
    more = True
    while more and len(body) <= _MOST_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return [_part(body, more=True), message], None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    is_whole = not more and len(body) <= _MOST_BYTES
    return [_part(body, more=more)], bytes(body) if is_whole else None


def _part(body: bytearray, *, more: bool) -> Message:
    return {"type": "http.request", "body": bytes(body), "more_body": more}


async def next_of(messages: list[Message], receive: Receive) -> Message:
    """The `receive` that begins with the messages that were read."""
    return messages.pop(0) if messages else await receive()


def called_tools(body: bytes | None) -> set[str] | None:
    """The names of the tools that a JSON-RPC message calls; `None` if two parsers might read it differently."""
    try:
        read: object = None if body is None else json.loads(body.decode("utf-8"), object_pairs_hook=unique_members)
    except (ValueError, RecursionError):
        read = None
    called = set[str]()
    for message in read if isinstance(read, list) else [read]:
        if not isinstance(message, dict):
            return None
        if message.get("method") == "tools/call":
            parameters = message.get("params")
            name = parameters.get("name") if isinstance(parameters, dict) else None
            if not isinstance(name, str):
                return None
            called.add(name)
    return called
