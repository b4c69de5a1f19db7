"""Which server a client is for, and as which user: for messages, so without its password."""

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool


def addresses_and_user(client: Redis | RedisCluster) -> str:
    """The addresses and the user of `client`."""
    if isinstance(client, RedisCluster):
        nodes = client.nodes_manager.startup_nodes.values()
        return ", ".join([*sorted(node.name for node in nodes), *_user(client.nodes_manager.connection_kwargs)])
    pool = client.connection_pool
    if not isinstance(pool, SentinelConnectionPool):
        return ", ".join([_address(pool.connection_kwargs), *_user(pool.connection_kwargs)])
    asked = _sentinels(pool)
    sentinels = " ".join([*map(_address, asked), *_user(asked[0])])
    return ", ".join([f"{pool.service_name} of the Sentinels {sentinels}", *_user(pool.connection_kwargs)])


def node_and_user(name: str, client: RedisCluster) -> str:
    """The same of one node of a cluster."""
    return ", ".join([name, *_user(client.nodes_manager.connection_kwargs)])


def kind_and_addresses(client: Redis | RedisCluster) -> str:
    """The kind of store that `client` connects to, and where it is; without user name and password."""
    if isinstance(client, RedisCluster):
        return f"Redis Cluster at {', '.join(node.name for node in client.nodes_manager.startup_nodes.values())}"
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        return f"Redis Sentinel {pool.service_name} at {', '.join(map(_address, _sentinels(pool)))}"
    return f"Redis at {_address(pool.connection_kwargs)}, database {pool.connection_kwargs.get('db') or 0}"


def _sentinels(pool: SentinelConnectionPool) -> list[dict[str, Any]]:
    return [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]


def _address(options: Mapping[str, Any]) -> str:
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")


def _user(options: Mapping[str, Any]) -> list[str]:
    """Not without a password: then what stands in its place in the URL may be one."""
    name = options.get("username")
    if name and not options.get("password"):
        return []
    return [] if options.get("credential_provider") else [f"user {name or 'default'}"]
