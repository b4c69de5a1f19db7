"""What an error of redis-py means: to a request, and to an operator."""

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

# The server itself says so. To redis-py a replica that lost its master is a kind of a cluster that is down.
_SAYS_SO = (BusyLoadingError, ClusterDownError)

# What a host that is down, or that nobody listens at, does to a connection. Not among them: what we lack ourselves,
# such as file descriptors, and a name that does not resolve, which may be for want of them.
_GONE = frozenset(
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

# What redis-py says when it reads the end of a connection.
_CLOSED = "Connection closed by server."

# Of several addresses some may be IPv6, which not every host has.
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def failure(error: Exception) -> StoreError:
    """What a call fails with: `StoreUnavailable` only where the server was seen to be."""
    kind = StoreUnavailable if isinstance(error, _SAYS_SO) or _is_gone(error) else StoreError
    return kind(explain(error))


def _is_gone(error: Exception) -> bool:
    """Whether a connection was refused or broken. Not the other way round: whatever is not known opens no door."""
    if type(error) is RedisConnectionError:
        if str(error) == _CLOSED:
            return True
        # Its own cause and no earlier one: an attempt before this may have failed in another way.
        cause = error.__cause__ or error.__context__
    else:
        cause = error
    if not isinstance(cause, OSError):
        return False
    if isinstance(cause, (ConnectionRefusedError, ConnectionResetError, BrokenPipeError)):
        # Of a connection that broke while it was written to asyncio gives no number.
        return True
    numbers = {cause.errno} if cause.errno else {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(cause))}
    return bool(numbers & _GONE) and numbers <= _GONE | _NO_IPV6


# The first that fits is told. Kinds of connection errors stand before the connection error itself.
_EXPLANATIONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    ((AuthenticationError, AuthorizationError), "the Redis store refuses the user name or password"),
    (
        NoPermissionError,
        (
            "the Redis store's ACL must allow this user SET and PING on our keys,"
            " on a cluster CLUSTER SLOTS and ASKING too, on Sentinels SENTINEL GET-MASTER-ADDR-BY-NAME"
        ),
    ),
    (ReadOnlyError, READ_ONLY),
    (BusyLoadingError, "the Redis store is still loading its data"),
    (MasterDownError, "the Redis store is a replica that lost its master"),
    (MovedError, "the Redis store is a node of a cluster: use redis+cluster://"),
    (ClusterDownError, "the Redis Cluster is down: some slots have no master"),
    ((RedisTimeoutError, TimeoutError), "the Redis store did not answer in time"),
    (MaxConnectionsError, "the Redis client's pool has no connection left for the store"),
)


def explain(error: Exception) -> str:
    """What an operator can do about it. redis-py reports a wrong password as a kind of connection error."""
    # Redis repeats the arguments of a command that it does not know: one of ours may be a nonce.
    said = str(error).partition(", with args")[0] or type(error).__name__
    if isinstance(error, ResponseError) and "syntax" in said.lower():
        return (
            "the Redis store is older than 7.0: it does not know SET with NX and GET. Use Redis 7.0, Valkey, or newer"
        )
    if isinstance(error, ResponseError) and "command 'SENTINEL'" in said:
        return "this is a Redis server and no Sentinel: use redis://, or give the Sentinels' addresses"
    if isinstance(error, MasterNotFoundError):
        return _no_master(said)
    for kind, meaning in _EXPLANATIONS:
        if isinstance(error, kind):
            return f"{meaning}: {said}"
    return f"the Redis store failed: {type(error).__name__}: {said}"


def _no_master(said: str) -> str:
    """redis-py tells of each Sentinel in vain with all options of its connections, and of the failures the kind."""
    outcome, _, failures = said.partition(" :")
    kinds = sorted(set(re.findall(r" - (?:\w+:)?(\w+Error)\b", failures)))
    refused = AuthenticationError.__name__ in kinds
    meaning = "the Sentinels refuse the user name or password" if refused else "no Sentinel names a master"
    return f"{meaning}: {outcome} ({', '.join(kinds) or 'none knows it'})"
