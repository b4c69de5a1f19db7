"""Creates redis-py's client for a URL. Its connections are opened on first use."""

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from dpop_asgi.stores.redis.sentinel import Sentinels

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

Client = Redis | RedisCluster

# A URL with several hosts. redis-py parses its parts, as URLs with one host each.
_SEVERAL = re.compile(
    r"rediss?\+(?:sentinel|cluster)://(?P<credentials>[^/?#]*@)?(?P<hosts>[^/?#@]+)"
    r"(?:/(?P<service>[^/?#]*))?(?:/(?P<db>\d+))?(?:\?(?P<options>[^#]*))?"
)

_DATABASE = re.compile(r"/?\d*")

_SENTINEL_PORT = 26379
_CLUSTER_PORT = 6379


def make_client(url: str, *, timeout: float) -> Client:
    """The client for `url`: for a single server, a Sentinel's master or a cluster.

    Args:
        url: see `SCHEMES`.
        timeout: seconds for connecting. Replies have no timeout of their own: `Pipeline` has one for whole pipelines.

    Raises:
        ValueError: If the URL isn't well-formed. Without the URL, which may contain a password.
    """
    # `RedisConnection` retries once; more retries here would use up the deadline.
    never = Retry(NoBackoff(), 0)
    defaults: dict[str, Any] = {
        "socket_timeout": None,
        "socket_connect_timeout": timeout,
        "retry": never,
        "protocol": 2,
    }
    scheme = url.partition("://")[0]
    if scheme.endswith("+sentinel"):
        return _master(url, defaults, timeout)
    if scheme.endswith("+cluster"):
        return _cluster(url, defaults, timeout)
    if scheme != "unix" and _DATABASE.fullmatch(urlsplit(url).path) is None:
        # redis-py would use database 0.
        raise ValueError
    return Redis.from_url(url, **defaults)


def _master(url: str, defaults: dict[str, Any], timeout: float) -> Redis:
    hosts, service, options = _several(url, _SENTINEL_PORT)
    if not service:
        raise ValueError
    # The deadline leaves time to try every Sentinel, and to connect to the master: the first ones may be down.
    share = timeout / (len(hosts) + 1)
    for_sentinels = {**defaults, "socket_timeout": share, "socket_connect_timeout": share}
    for name in ("username", "password"):
        for_sentinels[name] = options.pop(f"sentinel_{name}", None)
    for_sentinels |= {name: value for name, value in options.items() if name.startswith("ssl")}
    sentinel = Sentinels(hosts, sentinel_kwargs=for_sentinels)  # type: ignore[no-untyped-call]
    master: Redis = sentinel.master_for(service, **defaults | options)
    return master


def _cluster(url: str, defaults: dict[str, Any], timeout: float) -> RedisCluster:
    hosts, path, options = _several(url, _CLUSTER_PORT)
    if path not in {"", "0"}:
        raise ValueError
    options.pop("db", None)
    nodes = [ClusterNode(host, port) for host, port in hosts]
    try:
        # A cluster that lost some slots can still serve the others. Replies have a timeout here, so that a frozen node
        # doesn't block the fetch of the slot map from the next one.
        all_options = defaults | {"socket_timeout": timeout, "require_full_coverage": False} | options
        return RedisCluster(startup_nodes=nodes, **all_options)
    except TypeError:
        raise ValueError from None


def _several(url: str, default_port: int) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """The hosts and ports, the first part of the path, and the options for redis-py's connections."""
    parts = _SEVERAL.fullmatch(url)
    if parts is None:
        raise ValueError
    found: list[dict[str, Any]] = [
        dict(parse_url(f"redis://{parts['credentials'] or ''}{host}/{parts['db'] or 0}?{parts['options'] or ''}"))
        for host in parts["hosts"].split(",")
    ]
    if not all("host" in options for options in found):
        raise ValueError
    hosts = [(options.pop("host"), options.pop("port", default_port)) for options in found]
    if url.startswith("rediss+"):
        found[0]["ssl"] = True
    return hosts, unquote(parts["service"] or ""), found[0]


async def close_client(client: Client) -> None:
    """Close a client that `make_client` created."""
    if isinstance(client, RedisCluster):
        # Its own `aclose` does nothing unless it fetched the slot map itself.
        await client.nodes_manager.aclose()
        await client.nodes_manager.aclose("startup_nodes")
        return
    await client.aclose()
    if isinstance(client.connection_pool, SentinelConnectionPool):
        await client.connection_pool.sentinel_manager.aclose()
