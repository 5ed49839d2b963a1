"""What a client is told once: where the server is, how to reach it, and when to give up.

Nothing here opens a connection.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from facematch.errors import UsageError

__all__ = ["Endpoint", "Limits", "Reconnect", "Retry"]

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Retry:
    """When a broken call is repeated, and when the client gives up. Times are in seconds.

    The pause before retry number n (from 0) is random, from 0 to ``first * 2**n``, and at most
    ``longest``. A delay that the server asks for takes its place.
    """

    first: float = 0.2
    longest: float = 5.0
    #: The longest time from the first broken call without progress in between. ``watch_all`` has no
    #: such limit. None: no limit.
    give_up_after: float | None = 300.0
    #: The most retries in a row without progress. None: no limit.
    tries: int | None = None

    def __post_init__(self) -> None:
        _require(0 < self.first <= self.longest, "retry: 0 < first <= longest")
        _require(self.give_up_after is None or self.give_up_after > 0, "retry: give_up_after > 0")
        _require(self.tries is None or self.tries >= 0, "retry: tries >= 0")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of single calls and messages. Times are in seconds, sizes in bytes."""

    #: Of get, list, cancel and delete, retries included, if the caller gives no timeout.
    call_timeout: float = 30.0
    #: How long one request of ``wait`` asks the server to wait.
    wait_step: float = 30.0
    #: A stream is dead after three heartbeat intervals of silence, but at least this long.
    silence_least: float = 15.0
    #: The same, before the first heartbeat has told the interval.
    silence_unknown: float = 60.0
    #: Of one answer.
    receive_bytes: int = 16 * _MIB
    #: Of one request: a photo is at most 10 MiB.
    send_bytes: int = 12 * _MIB

    def __post_init__(self) -> None:
        for name in ("call_timeout", "wait_step", "silence_least", "silence_unknown"):
            _require(getattr(self, name) > 0, f"limits: {name} > 0")
        _require(self.wait_step <= 600, "limits: wait_step <= 600")
        _require(min(self.receive_bytes, self.send_bytes) > 0, "limits: sizes > 0")


@dataclass(frozen=True, kw_only=True)
class Reconnect:
    """A broken call that is about to be repeated."""

    #: The number of the retry, from 1; again from 1 after progress.
    attempt: int
    #: Why the call broke, as the error that would be raised without a retry.
    error: Exception
    #: The pause before the retry, in seconds.
    wait: float
    #: The rpc that broke, such as ``RunMatch``.
    rpc: str
    #: The match, as far as the call is about one and knows its id.
    match_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """A server's address, and how to connect to it. Certificates are read at each connect."""

    target: str
    plaintext: bool
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    limits: Limits = field(default_factory=Limits)
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(
        cls,
        target: str,
        *,
        plaintext: bool | None,
        ca_file: str | os.PathLike[str] | None,
        cert_file: str | os.PathLike[str] | None,
        key_file: str | os.PathLike[str] | None,
        server_name: str | None,
        limits: Limits,
        options: Iterable[tuple[str, Any]],
    ) -> Endpoint:
        """The endpoint that a client's arguments describe; :class:`UsageError` if they conflict."""
        address, from_scheme = _address(target)
        asks_tls = any(it is not None for it in (ca_file, cert_file, key_file, server_name))
        if plaintext is None:
            plaintext = from_scheme
        if plaintext is None:
            plaintext = not asks_tls and is_loopback(address)
        if plaintext and asks_tls:
            raise UsageError("certificates and server_name are for TLS, and plaintext was chosen")
        if from_scheme is not None and plaintext is not from_scheme:
            raise UsageError("plaintext contradicts the scheme of the target")
        if (cert_file is None) != (key_file is None):
            raise UsageError("cert_file and key_file belong together")
        for file in (ca_file, cert_file, key_file):
            _require_readable(file)
        return cls(
            target=address,
            plaintext=plaintext,
            ca_file=_text(ca_file),
            cert_file=_text(cert_file),
            key_file=_text(key_file),
            server_name=server_name,
            limits=limits,
            options=tuple(options),
        )

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.target)

    def credentials(self) -> grpc.ChannelCredentials | None:
        """The channel's credentials; None for plaintext. Reads the files."""
        if self.plaintext:
            return None
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca_file),
            private_key=_read(self.key_file),
            certificate_chain=_read(self.cert_file),
        )

    def channel_options(self) -> list[tuple[str, Any]]:
        """gRPC's options: the library's own, then the caller's, which win."""
        own: dict[str, Any] = {
            "grpc.max_receive_message_length": self.limits.receive_bytes,
            "grpc.max_send_message_length": self.limits.send_bytes,
            # The library repeats calls itself, by the reasons of their errors.
            "grpc.enable_retries": 0,
            "grpc.service_config_disable_resolution": 1,
            # A new channel must not share the connection of the old one, which may be dead.
            "grpc.use_local_subchannel_pool": 1,
            # By default a channel waits up to two minutes before it connects again. The second one
            # is the time limit of a connection with its handshake.
            "grpc.initial_reconnect_backoff_ms": 200,
            "grpc.min_reconnect_backoff_ms": 10_000,
            "grpc.max_reconnect_backoff_ms": 5_000,
        }
        if self.target.startswith("dns:"):
            own["grpc.lb_policy_name"] = "round_robin"
        if self.server_name is not None:
            own["grpc.ssl_target_name_override"] = self.server_name
            own["grpc.default_authority"] = self.server_name
        return list((own | dict(self.options)).items())


def is_loopback(target: str) -> bool:
    """Whether a target of gRPC is on this machine for certain."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in ("dns:", "ipv4:", "ipv6:"):
        target = target.removeprefix(scheme)
    host = target.rpartition("/")[2]
    if not host.endswith("]") and host.count(":") == 1:
        host = host.partition(":")[0]
    elif host.startswith("["):
        host = host[1:].partition("]")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(target: str) -> tuple[str, bool | None]:
    """gRPC's form of a target, and whether its scheme asks for plaintext."""
    _require(bool(target.strip()), "target: an address is needed, such as facematch:50051")
    for scheme, plaintext, port in (("http://", True, 80), ("https://", False, 443)):
        if target.startswith(scheme):
            address = target.removeprefix(scheme).rstrip("/")
            _require("/" not in address, "target: a URL without a path is needed")
            has_port = address.rpartition("]")[2].count(":") == 1
            return (address if has_port else f"{address}:{port}"), plaintext
    return target, None


def bearer_allowed(endpoint: Endpoint, allow_plaintext_token: bool) -> None:
    """Refuses a token that would cross a network in plaintext."""
    if endpoint.plaintext and not endpoint.is_loopback and not allow_plaintext_token:
        raise UsageError(
            "the token would be sent in plaintext: use TLS, or set allow_plaintext_token"
        )


def metadata_of(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers as gRPC's metadata."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(key.lower(), value) for key, value in pairs]


OnReconnect = Callable[[Reconnect], None]


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise UsageError(rule)


def _require_readable(file: str | os.PathLike[str] | None) -> None:
    try:
        _read(_text(file))
    except OSError as error:
        raise UsageError(f"can't read a file of certificates: {error.strerror}") from error


def _text(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()
