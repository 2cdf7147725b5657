"""TLS of the server's port; files that are replaced on disk take effect without a restart."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import grpc

from ..config import ConfigError, ServerConfig

_log = logging.getLogger(__name__)


def server_credentials(config: ServerConfig) -> grpc.ServerCredentials | None:
    """Return the credentials of the configured certificate; None if none is configured.

    Raises
    ------
    ConfigError
        A file can't be read, or is not PEM.
    """
    if not config.tls_certificate:
        return None
    files = [Path(name) for name in (config.tls_certificate, config.tls_key, config.tls_client_ca) if name]
    first = _configuration(config)
    state = _stamps(files)

    def newer() -> Any:
        nonlocal state
        try:
            now = _stamps(files)
            if now == state:
                return None
            found = _configuration(config)
        except (OSError, ConfigError):
            _log.exception("the new certificate can't be read; the old one stays")
            return None
        state = now
        _log.info("the certificate was replaced")
        return found

    return grpc.dynamic_ssl_server_credentials(first, newer, require_client_authentication=bool(config.tls_client_ca))


def _configuration(config: ServerConfig) -> grpc.ServerCertificateConfiguration:
    try:
        chain, key = Path(config.tls_certificate).read_bytes(), Path(config.tls_key).read_bytes()
        roots = Path(config.tls_client_ca).read_bytes() if config.tls_client_ca else None
    except OSError as error:
        raise ConfigError(f"tls: {error.filename}: {error.strerror}") from None
    if b"-----BEGIN" not in chain or b"-----BEGIN" not in key:
        raise ConfigError(f"tls: {config.tls_certificate} and {config.tls_key} are to be a certificate chain and its key, in PEM")
    return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=roots)


def _stamps(files: list[Path]) -> list[tuple[int, int]]:
    return [(status.st_mtime_ns, status.st_ino) for status in (file.stat() for file in files)]
