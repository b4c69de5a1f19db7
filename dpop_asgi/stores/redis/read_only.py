"""A store for tools that look: it responds as a `RedisStore` does, and writes nothing."""

from dpop_asgi.stores.redis.connection import Command
from dpop_asgi.stores.redis.store import RedisStore


class ReadOnlyRedisStore(RedisStore):
    """`put_if_absent` returns what is stored under the key, or `value` as if it had been stored. Needs `GET`."""

    def _command(self, key: str, value: str, milliseconds: int) -> Command:  # noqa: ARG002 - of RedisStore
        return ("GET", key)

    async def replace(self, key: str, value: str, *, ttl: float) -> None:
        """Nothing is stored."""
