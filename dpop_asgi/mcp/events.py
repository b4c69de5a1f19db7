"""Streams that are resumed: each caller gets only what was stored for the same caller."""

import json

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import principal_components
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import JSONRPCMessage

from dpop_asgi.core.encoding import sha256_b64url


class EventsOfCallers(EventStore):
    """Around an event store, `events`: a caller who resumes a stream gets only what was stored for the same caller.

    The SDK passes on event ids whoever sends them, and the names of streams are the same in all sessions.
    """

    def __init__(self, events: EventStore) -> None:
        self._events = events

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """See `EventStore`."""
        return await self._events.store_event(_of_caller() + stream_id, message)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """See `EventStore`. Nothing is sent before it is known whose stream it is."""
        found: list[EventMessage] = []

        async def keep(event: EventMessage) -> None:
            found.append(event)

        stream_id = await self._events.replay_events_after(last_event_id, keep)
        if stream_id is None or not stream_id.startswith(own := _of_caller()):
            return None
        for event in found:
            await send_callback(event)
        return stream_id.removeprefix(own)


def _of_caller() -> str:
    """What the names of a caller's streams begin with: a hash of what the SDK tells callers apart by."""
    token = get_access_token()
    return f"{sha256_b64url(json.dumps(token and principal_components(token)))}:"
