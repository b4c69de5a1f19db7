"""Redis servers and sentinels that can be frozen, cut off, killed and started again: what topologies are made of."""

import os
import random
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis as redis_client
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.processes import HOST, RedisServer, free_port


@dataclass(frozen=True, slots=True)
class Access:
    """How the servers of a topology are protected: by a password for whoever administrates them, and by TLS."""

    password: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def replication(self) -> list[tuple[str, ...]]:
        """Lines for a server that the others log in to, and that logs in to them."""
        secret = [] if self.password is None else [("requirepass", self.password), ("masterauth", self.password)]
        return [*secret, *self._encryption]

    @property
    def _encryption(self) -> list[tuple[str, ...]]:
        if self.certificate is None:
            return []
        return [
            ("tls-cert-file", str(self.certificate)),
            ("tls-key-file", str(self.key)),
            ("tls-ca-cert-file", str(self.certificate)),
            ("tls-auth-clients", "no"),
            ("tls-replication", "yes"),
        ]

    def listening(self, port: int) -> list[tuple[str, ...]]:
        plain, encrypted = (port, 0) if self.certificate is None else (0, port)
        return [("port", str(plain)), *([("tls-port", str(encrypted))] if encrypted else [])]

    def sentinel(self, service: str) -> list[tuple[str, ...]]:
        """Lines for a sentinel that asks for the same password as the servers it watches."""
        if self.password is None:
            return self._encryption
        logins = ("sentinel", "auth-pass", service, self.password), ("sentinel", "sentinel-pass", self.password)
        return [("requirepass", self.password), *logins, *self._encryption]

    @property
    def client(self) -> dict[str, Any]:
        encryption = {} if self.certificate is None else {"ssl": True, "ssl_ca_certs": str(self.certificate)}
        return {"password": self.password, **encryption}


OPEN = Access()


class Node(RedisServer):
    """A server of a topology."""

    def __init__(self, binary: str, *options: tuple[str, ...], access: Access = OPEN) -> None:
        port = free_port()
        lines = [*options, *access.replication, *access.listening(port)]
        super().__init__(binary, *(word for name, *values in lines for word in (f"--{name}", *values)), port=port)
        self.access = access
        self.folder = Path(self._folder.name)
        self._frozen = False

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def client(self, **options: Any) -> redis_client.Redis:
        usual = {"socket_timeout": 2.0, "retry": Retry(NoBackoff(), 0), "protocol": 2, **self.access.client}
        return super().client(**{**usual, **options})

    def ask(self, *words: str | int) -> Any:
        """The reply to one command."""
        with self.client() as connection:
            return connection.execute_command(*words)

    def facts(self, section: str) -> dict[str, Any]:
        with self.client() as connection:
            return connection.info(section)

    def freeze(self) -> None:
        """It still takes connections and bytes, but answers nothing."""
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)
        self._frozen = False

    def stop(self, how: signal.Signals | None = None) -> None:
        super().stop(how)
        self._frozen = False

    def _signal(self, what: signal.Signals) -> None:
        os.kill(self.process_id, what)

    @property
    def is_up(self) -> bool:
        return self.is_running and not self._frozen

    @property
    def is_master(self) -> bool:
        return self.ask("ROLE")[0] == "master"

    def follows(self, master: "Node") -> bool:
        """Whether it is a replica of `master` that has everything."""
        role = self.ask("ROLE")
        return role[0] == "slave" and role[2:4] == [master.port, "connected"]


class SentinelNode(Node):
    """A sentinel. Its configuration file is its own: it writes into it."""

    def __init__(self, binary: str, *, access: Access = OPEN) -> None:
        super().__init__(binary, access=access)
        self.id = f"{random.getrandbits(160):040x}"

    def configure(self, *lines: tuple[str, ...]) -> None:
        usual = [("bind", HOST), ("dir", str(self.folder)), ("sentinel", "myid", self.id)]
        text = "\n".join(" ".join(line) for line in [*usual, *self.access.listening(self.port), *lines])
        self._file.write_text(text + "\n", encoding="utf-8")

    @property
    def _file(self) -> Path:
        return self.folder / "sentinel.conf"

    def _command(self) -> list[str]:
        return [self._binary, str(self._file), "--sentinel"]
