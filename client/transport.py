"""How a client reaches its server: plain, by TLS, with a token."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from .errors import InvalidInput

SECURE = "grpcs://"


class Credentials(NamedTuple):
    """What a client shows and trusts: a bearer token, and PEM files of the authority to trust and of its own certificate and key."""

    token: str = ""
    authority: str = ""
    certificate: str = ""
    key: str = ""

    @classmethod
    def from_environment(cls) -> Credentials:
        """From ACTMAX_TOKEN or the file named by ACTMAX_TOKEN_FILE, ACTMAX_CA, ACTMAX_CERT and ACTMAX_KEY.

        Raises
        ------
        InvalidInput
            The token's file can't be read.
        """
        token = os.environ.get("ACTMAX_TOKEN", "")
        if not token and (file := os.environ.get("ACTMAX_TOKEN_FILE")):
            token = _read(file, "ACTMAX_TOKEN_FILE").decode("ascii", "replace").strip()
        return cls(token, *(os.environ.get(f"ACTMAX_{name}", "") for name in ("CA", "CERT", "KEY")))


def open_channel(address: str, credentials: Credentials, options: Sequence[tuple[str, Any]]) -> grpc.Channel:
    """A channel to ``address``: by TLS where that begins with ``grpcs://`` or where there are files for it.

    Raises
    ------
    InvalidInput
        A file can't be read; or the token would go over a network in plain sight.
    """
    host = address.removeprefix(SECURE)
    if address.startswith(SECURE) or credentials.authority or credentials.certificate:
        channel = grpc.secure_channel(host, tls(credentials), options=list(options))
    else:
        if credentials.token and not _is_here(host):
            raise InvalidInput(f"a token is sent to another machine only by TLS: write {SECURE}{host}")
        channel = grpc.insecure_channel(host, options=list(options))
    return grpc.intercept_channel(channel, _Bearer(credentials.token)) if credentials.token else channel


def tls(credentials: Credentials) -> grpc.ChannelCredentials:
    """What a channel by TLS needs of these; InvalidInput where a file can't be read, or the key is missing."""
    authority = _read(credentials.authority, "the authority to trust") if credentials.authority else None
    if not credentials.certificate:
        return grpc.ssl_channel_credentials(authority)
    if not credentials.key:
        raise InvalidInput("a client's certificate needs its key")
    return grpc.ssl_channel_credentials(authority, _read(credentials.key, "the key"), _read(credentials.certificate, "the certificate"))


def _read(file: str, what: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{what}: {file}: {error.strerror}") from None


def _is_here(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or address.startswith("unix:") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Call(NamedTuple):
    method: str
    timeout: float | None
    metadata: Sequence[tuple[str, str | bytes]] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any) -> Any:
        return continuation(self._with(client_call_details), request)

    def intercept_unary_stream(self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any) -> Any:
        return continuation(self._with(client_call_details), request)

    def _with(self, call: Any) -> _Call:
        metadata = [*(call.metadata or ()), self._header]
        return _Call(call.method, call.timeout, metadata, call.credentials, call.wait_for_ready, call.compression)
