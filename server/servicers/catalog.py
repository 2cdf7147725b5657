"""``actmax.v1.CatalogService``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from google.protobuf.struct_pb2 import Struct

from actmax.v1 import catalog_service_pb2 as pb

from ...engine.session.errors import LARGEST_RESPONSE
from ..config import ServerConfig
from ..errors import invalid
from ..execution.inspector import Inspector
from ..messages.specs import plain
from .guard import unary


class CatalogServicer:
    """Answers what this server can do, with the inspector's results."""

    def __init__(self, config: ServerConfig, inspector: Inspector) -> None:
        self._config = config
        self._inspector = inspector
        self._components: list[pb.ComponentInfo] | None = None

    @unary
    async def ListComponents(self, request: pb.ListComponentsRequest) -> pb.ListComponentsResponse:
        """Return the components of a kind, or all; read once, since what is installed does not change while a server runs.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT: there is no such kind.
        """
        if request.kind not in pb.ComponentKind.values():
            raise invalid("kind", f"{request.kind} is not a kind of component; leave it out for all of them")
        if self._components is None:  # what is installed does not change while a server runs
            self._components = [component_info(entry) for entry in await self._inspector.components()]
        wanted = [component for component in self._components if request.kind in (component.kind, pb.COMPONENT_KIND_UNSPECIFIED)]
        return pb.ListComponentsResponse(components=wanted)

    @unary
    async def DescribeTarget(self, request: pb.DescribeTargetRequest) -> pb.DescribeTargetResponse:
        """Build the target in the inspector's process and return its stimulus shape, modality and layers.

        Raises
        ------
        ServiceError
            INVALID_ARGUMENT: the target or its options are missing or wrong; and the errors of ``Inspector.check``.
        """
        if not request.HasField("target"):
            raise invalid("target", "it is needed: the target's name, and its options where it has any")
        try:
            target = plain(request.target)
        except ValueError as error:
            raise invalid("target.options", f"they hold what a job file can't: {error}") from None
        return description(await self._inspector.describe(target))

    @unary
    async def GetLimits(self, request: pb.GetLimitsRequest) -> pb.Limits:
        """Return the limits in the server's settings, and its version."""
        del request
        return pb.Limits(
            max_receive_bytes=self._config.max_receive_bytes,
            workers=self._config.workers,
            max_evaluations=self._config.max_evaluations,
            max_searches=self._config.max_searches,
            max_queued_per_owner=self._config.max_queued_per_owner,
            max_running_per_owner=self._config.max_running_per_owner,
            max_stored_bytes_per_owner=self._config.max_stored_bytes_per_owner,
            max_open_sessions_per_owner=self._config.max_open_sessions_per_owner,
            version=_version(),
            largest_response=LARGEST_RESPONSE,
        )


def description(found: Mapping[str, Any]) -> pb.DescribeTargetResponse:
    """Return what an engine's ``describe`` returned as a message."""
    return pb.DescribeTargetResponse(
        layers=[pb.Layer(**layer) for layer in found["layers"]],
        stimulus_shape=found["shape"],
        modality=found["modality"],
        differentiable=found["differentiable"],
    )


def component_info(entry: Mapping[str, Any]) -> pb.ComponentInfo:
    """Return one entry of an engine's ``components`` as a message."""
    schema = Struct()
    schema.update(_finite(entry["options_schema"]))
    kind = f"COMPONENT_KIND_{entry['kind'].upper()}"
    return pb.ComponentInfo(
        kind=kind, name=entry["name"], summary=entry["summary"], options_schema=schema, unavailable=entry["unavailable"]
    )


def _finite(value: Any) -> Any:
    # JSON has no infinity, and clients read the schema as JSON.
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _version() -> str:
    try:
        return version("actmax")
    except PackageNotFoundError:
        return "unknown"
