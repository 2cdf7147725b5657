"""The address and the options of plugins, for ``remote`` targets and generators."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from ..options import OptionsModel
from ..permissions import permissions_of, permitted_address, permitted_model

RELAY = "relay"
"""Scheme of :attr:`actmax.models.permissions.Permissions.relay`. Jobs can't name that address, nor read another owner's ticket."""

TOKENS = "ACTMAX_PLUGIN_TOKENS"
"""Environment variable that names a file of bearer tokens, ``grpcs://host:port token``, one a line. A token is never part of a job, and
is sent to its own address only."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


@dataclass(frozen=True)
class Place:
    """The place of a plugin.

    Attributes
    ----------
    address : str
        ``host:port``.
    secure : bool
        Whether to use TLS.
    shown : str
        The address in messages.
    ticket : str
        Ticket of the server's own relay; empty for a plugin at an address.
    patient : bool
        Whether building a job waits for an absent plugin as long as a running job does; otherwise the job is soon refused.
    """

    address: str
    secure: bool
    shown: str
    ticket: str = ""
    patient: bool = False


class PluginOptions(OptionsModel):
    """Options of a plugin over the wire."""

    address: str = Field(
        default="",
        max_length=2000,
        description="grpc://host:port or grpcs://host:port; none for a plugin that has dialled in to the server.",
    )
    plugin: str = Field(
        default="",
        max_length=200,
        description="Its name, where it has dialled in (another owner's as owner/name) or several share an address.",
    )
    tls: str = Field(default="", max_length=4096, description="PEM file of the authority that its certificate is checked against.")
    version: str = Field(default="", max_length=200, description="Version that it has to have; that which it has when the job begins.")
    deadline_seconds: float = Field(default=60.0, gt=0, le=86400, allow_inf_nan=False, description="Seconds that one call may take.")
    batch: int = Field(default=256, ge=1, le=10**6, description="Most stimuli of one call; fewer where the plugin takes fewer.")
    retries: int = Field(
        default=40, ge=0, le=1000, description="Times that a call is tried again while the plugin is away; the pauses grow to 1 s."
    )

    _relay: Place | None = PrivateAttr(None)

    @field_validator("address")
    @classmethod
    def _spoken(cls, address: str, info: ValidationInfo) -> str:
        if not address:
            return address
        parts = urlsplit(address)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme not in ("grpc", "grpcs") or not parts.hostname or port is None or parts.path not in ("", "/") or parts.query:
            raise ValueError("needs scheme, host and port alone: grpc://host:port, or grpcs:// by TLS")
        if "@" in parts.netloc:
            raise ValueError(f"holds a password, which would be kept with the job; put tokens into the file that {TOKENS} names")
        return permitted_address(address, info)

    @field_validator("tls")
    @classmethod
    def _readable(cls, tls: str, info: ValidationInfo) -> str:
        if tls and not info.data.get("address", "").startswith("grpcs://"):
            raise ValueError("is for an address that begins with grpcs://")
        return permitted_model(tls, info) if tls else tls

    @model_validator(mode="after")
    def _found(self, info: ValidationInfo) -> PluginOptions:
        if relay := permissions_of(info).relay:
            parts = urlsplit(relay)
            ticket, _, address = parts.netloc.rpartition("@")
            patient = "patient" in parse_qs(parts.query, keep_blank_values=True)
            self._relay = Place(address, False, "this server", ticket, patient)
        if not self.address and self._relay is None:
            raise ValueError("address is needed: no plugin can have dialled in, since this is no server")
        if not self.address and not self.plugin:
            raise ValueError("address or plugin is needed: where the plugin is, or under which name it has dialled in to this server")
        return self

    @property
    def place(self) -> Place:
        """The plugin's place."""
        if not self.address:
            assert self._relay is not None
            return self._relay
        parts = urlsplit(self.address)
        patient = self._relay is not None and self._relay.patient
        return Place(parts.netloc, parts.scheme == "grpcs", f"{parts.scheme}://{parts.netloc}", patient=patient)


def token_for(place: Place) -> str:
    """Return the bearer token for a place; empty without one.

    Raises
    ------
    ValueError
        The file of tokens can't be read, or its line for the place holds no token.
    """
    file = os.environ.get(TOKENS, "")
    if not file or place.ticket:
        return ""
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"the file that {TOKENS} names can't be read: {type(error).__name__}") from None
    for line in lines:
        where, _, token = line.strip().partition(" ")
        parts = urlsplit(where)
        if (parts.scheme, parts.netloc.lower()) == ("grpcs" if place.secure else "grpc", place.address.lower()):
            token = token.strip()
            if not _TOKEN.fullmatch(token):
                raise ValueError(f"the token for {place.shown} is not one: 1 to 4096 visible ASCII characters")
            return token
    return ""
