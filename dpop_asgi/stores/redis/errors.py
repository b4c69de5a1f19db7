"""What redis-py's errors mean: to a request, and to an operator."""

import errno
import re

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dpop_asgi.errors import StoreError, StoreUnavailable
from dpop_asgi.stores.redis.health import READ_ONLY

# What an outage means to requests, for the log.
OUTAGE = "requests that need it get 503, unless on_store_failure is accept"

# The server itself reports that it is unavailable. MasterDownError, of a replica that lost its master, is a subclass.
_UNAVAILABLE_ERRORS = (BusyLoadingError, ClusterDownError)

# What connecting to a host that is down, or to a closed port, fails with. Not listed: a lack of resources here, such as
# file descriptors, and names that don't resolve, which can have the same cause.
_UNREACHABLE = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNABORTED,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENOENT,
    }
)

# redis-py's message for a connection that the server closed.
_CLOSED = "Connection closed by server."

# One of several addresses may be IPv6, which not every host supports.
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def failure(error: Exception, where: str) -> StoreError:
    """The error to raise: `StoreUnavailable` only if the server is known to be unavailable, else `StoreError`.

    Args:
        error: redis-py's.
        where: the server, and the user.
    """
    is_unavailable = isinstance(error, _UNAVAILABLE_ERRORS) or _is_unreachable(error)
    return (StoreUnavailable if is_unavailable else StoreError)(f"{explain(error).rstrip('.')} ({where})")


def _is_unreachable(error: Exception) -> bool:
    """Whether a connection was refused or broken. An allow-list: `on_store_failure="accept"` depends on it."""
    if type(error) is RedisConnectionError:
        if str(error) == _CLOSED:
            return True
        # Only the direct cause: an earlier attempt may have failed in another way.
        cause = error.__cause__ or error.__context__
    else:
        cause = error
    if not isinstance(cause, OSError):
        return False
    if isinstance(cause, (ConnectionRefusedError, ConnectionResetError, BrokenPipeError)):
        # asyncio gives no errno for a connection that broke during a write.
        return True
    numbers = {cause.errno} if cause.errno else {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(cause))}
    return bool(numbers & _UNREACHABLE) and numbers <= _UNREACHABLE | _NO_IPV6


# The first match counts, so subclasses come before their base classes.
_EXPLANATIONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    ((AuthenticationError, AuthorizationError), "the Redis store rejects the user name or password"),
    (
        NoPermissionError,
        (
            "the Redis store's ACL must allow this user SET and PING on dpop_asgi's keys,"
            " on a cluster CLUSTER SLOTS and ASKING too, on Sentinels SENTINEL GET-MASTER-ADDR-BY-NAME"
        ),
    ),
    (ReadOnlyError, READ_ONLY),
    (BusyLoadingError, "the Redis store is still loading its data"),
    (MasterDownError, "the Redis store is a replica that lost its master"),
    (MovedError, "the Redis store is a node of a cluster: use redis+cluster://"),
    (ClusterDownError, "the Redis Cluster is down: some slots have no master"),
    ((RedisTimeoutError, TimeoutError), "the Redis store did not respond in time"),
    (MaxConnectionsError, "the Redis client's pool has no connection left for the store"),
)


def explain(error: Exception) -> str:
    """A message that says what is wrong, and often what to do."""
    # Redis quotes the arguments of an unknown command, and one of them may be a nonce.
    message = str(error).partition(", with args")[0] or type(error).__name__
    if isinstance(error, ResponseError) and "syntax" in message.lower():
        return (
            "the Redis store is older than 7.0, and lacks SET with both NX and GET. Use Redis 7.0 or newer, or Valkey"
        )
    if isinstance(error, ResponseError) and "command 'SENTINEL'" in message:
        return "this is a Redis server, not a Sentinel: use redis://, or give the Sentinels' addresses"
    if isinstance(error, MasterNotFoundError):
        return _no_master(message)
    for error_types, meaning in _EXPLANATIONS:
        if isinstance(error, error_types):
            return f"{meaning}: {message}"
    return f"the Redis store failed: {type(error).__name__}: {message}"


def _no_master(message: str) -> str:
    """redis-py's message may list every failed Sentinel with its connection options. Keep only the error types."""
    outcome, _, failures = message.partition(" :")
    types = sorted(set(re.findall(r" - (?:\w+:)?(\w+Error)\b", failures)))
    rejected = AuthenticationError.__name__ in types
    meaning = "the Sentinels reject the user name or password" if rejected else "no Sentinel names a master"
    return f"{meaning}: {outcome} ({', '.join(types) or 'none knows it'})"
