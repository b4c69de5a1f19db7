"""Where Redis is: from a URL to a client of redis-py, whose connections are opened when they are needed."""

import re
from typing import Any
from urllib.parse import unquote

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from dpop_asgi.stores.redis.sentinel import Sentinels

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

Client = Redis | RedisCluster

# What a URL of several hosts is made of. Its parts are read by redis-py, as those of a URL of one host.
_SEVERAL = re.compile(
    r"rediss?\+(?:sentinel|cluster)://(?P<credentials>[^/?#]*@)?(?P<hosts>[^/?#@]+)"
    r"(?:/(?P<service>[^/?#]*))?(?:/(?P<db>\d+))?(?:\?(?P<options>[^#]*))?"
)

_SENTINEL_PORT = 26379
_CLUSTER_PORT = 6379


def make_client(url: str, *, timeout: float) -> Client:
    """The client for `url`: a single server's, a Sentinel's master's or a cluster's.

    Args:
        url: see `SCHEMES`.
        timeout: seconds for connecting. There is none for replies: the lane has one for whole pipelines.

    Raises:
        ValueError: the URL is not well-formed. Without the URL: it may hold a password.
    """
    # One more attempt is made by the wire; with more of them here nothing would be left of the deadline.
    never = Retry(NoBackoff(), 0)
    ours: dict[str, Any] = {"socket_timeout": None, "socket_connect_timeout": timeout, "retry": never, "protocol": 2}
    scheme = url.partition("://")[0]
    if scheme.endswith("+sentinel"):
        return _master(url, ours, timeout)
    if scheme.endswith("+cluster"):
        return _cluster(url, ours, timeout)
    return Redis.from_url(url, **ours)


def _master(url: str, ours: dict[str, Any], timeout: float) -> Redis:
    hosts, service, options = _several(url, _SENTINEL_PORT)
    if not service:
        raise ValueError
    # Each Sentinel may be asked, and the master connected to, within the deadline: the first may be gone.
    share = timeout / (len(hosts) + 1)
    asking = {**ours, "socket_timeout": share, "socket_connect_timeout": share}
    for name in ("username", "password"):
        asking[name] = options.pop(f"sentinel_{name}", None)
    asking |= {name: value for name, value in options.items() if name.startswith("ssl")}
    sentinel = Sentinels(hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    master: Redis = sentinel.master_for(service, **ours | options)
    return master


def _cluster(url: str, ours: dict[str, Any], timeout: float) -> RedisCluster:
    hosts, path, options = _several(url, _CLUSTER_PORT)
    if path not in {"", "0"}:
        raise ValueError
    options.pop("db", None)
    nodes = [ClusterNode(host, port) for host, port in hosts]
    try:
        # A cluster that lost some slots can still serve the others. A frozen node must not keep us from asking the
        # next one for the slots, so here there is a timeout for replies.
        wanted = ours | {"socket_timeout": timeout, "require_full_coverage": False} | options
        return RedisCluster(startup_nodes=nodes, **wanted)
    except TypeError:
        raise ValueError from None


def _several(url: str, default_port: int) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """Hosts and ports, the first part of the path, and the options of redis-py's connections."""
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
    """Close what `make_client` made."""
    if isinstance(client, RedisCluster):
        # Its own `aclose` closes nothing unless it was the one to ask for the slots.
        await client.nodes_manager.aclose()
        await client.nodes_manager.aclose("startup_nodes")
        return
    await client.aclose()
    if isinstance(client.connection_pool, SentinelConnectionPool):
        await client.connection_pool.sentinel_manager.aclose()
