"""A connection to a server, and queries of its catalog: components, targets, limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import grpc

from actmax.v1 import catalog_service_pb2, catalog_service_pb2_grpc, job_pb2

from ...wire.errors import InvalidInput
from ...wire.near_names import hint
from ...wire.retry import RetryPolicy, retrying
from ...wire.status import from_rpc, status_of
from ...wire.transport import DEFAULT_ADDRESS, Credentials, open_channel
from . import jobfile

Answer = TypeVar("Answer")
KINDS = [name.removeprefix("COMPONENT_KIND_").lower() for name in catalog_service_pb2.ComponentKind.keys()[1:]]
"""Kinds of components, without the unspecified one."""


class CatalogClient:
    """A connection to a server with queries of its catalog; the base of :class:`Client`, which has the same parameters."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        credentials: Credentials | None = None,
        timeout: float = 60.0,
        patience: float = 5.0,
    ) -> None:
        self.address = address
        self._timeout = timeout
        self._loading_timeout = 3 * timeout
        self._policy = RetryPolicy(patience)
        self._channel = open_channel(address, credentials)
        self._catalog = catalog_service_pb2_grpc.CatalogServiceStub(self._channel)

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; running calls end."""
        self._channel.close()

    def components(self, kind: str = "") -> tuple[catalog_service_pb2.ComponentInfo, ...]:
        """Return the server's components of a kind, such as "generator" or "analysis"; of all kinds if it is empty.

        Raises
        ------
        InvalidInput
            If there is no such kind.
        """
        return tuple(self._call(self._catalog.ListComponents, catalog_service_pb2.ListComponentsRequest(kind=kind_named(kind))).components)

    def describe_target(self, target: str | Mapping[str, Any] | job_pb2.Component) -> catalog_service_pb2.DescribeTargetResponse:
        """Return stimulus shape, modality and layers of a target, which is given as in a job file.

        Raises
        ------
        InvalidInput
            If the target is wrong; ``violations`` names its fields.
        """
        request = catalog_service_pb2.DescribeTargetRequest(target=component(target))
        return self._call(self._catalog.DescribeTarget, request, timeout=self._loading_timeout)

    def limits(self) -> catalog_service_pb2.Limits:
        """Return the server's limits."""
        return self._call(self._catalog.GetLimits, catalog_service_pb2.GetLimitsRequest())

    def ready(self, timeout: float = 30.0) -> catalog_service_pb2.Limits:
        """Wait until the server answers, at most ``timeout`` seconds, and return its limits.

        Raises
        ------
        Unavailable
            If it does not answer in time.
        """
        try:
            return self._catalog.GetLimits(catalog_service_pb2.GetLimitsRequest(), timeout=timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            raise from_rpc(error, self.address) from None

    def _call(self, method: Callable[..., Answer], request: Any, *, timeout: float | None = None) -> Answer:
        return retrying(lambda: method(request, timeout=timeout or self._timeout), self.address, self._policy)

    def _call_once(self, method: Callable[..., Answer], request: Any, done_before: Callable[[grpc.StatusCode], Answer | None]) -> Answer:
        """Return the answer of a call that the server refuses once it has been made.

        If a try's answer was lost, the call may have been made: then ``done_before`` is asked with the status of the next try, and returns
        the answer where that status says so, else None.
        """
        maybe_made = False

        def once(request: Any, timeout: float) -> Answer:
            nonlocal maybe_made
            try:
                return method(request, timeout=timeout)
            except grpc.RpcError as error:
                code = status_of(error)
                if maybe_made and (answer := done_before(code)) is not None:
                    return answer
                # RESOURCE_EXHAUSTED says that the server did nothing
                maybe_made = maybe_made or code is not grpc.StatusCode.RESOURCE_EXHAUSTED
                raise

        return self._call(once, request)


def component(value: str | Mapping[str, Any] | job_pb2.Component) -> job_pb2.Component:
    """Return a component given as in a job file: its name, or its name and options."""
    if isinstance(value, job_pb2.Component):
        return value
    return jobfile.from_plain({"target": value}, source="the target").target


def kind_named(kind: str) -> str:
    """Return the wire's name of the kind ``kind``; that of all kinds if it is empty.

    Raises
    ------
    InvalidInput
        If there is no such kind.
    """
    if not kind:
        return "COMPONENT_KIND_UNSPECIFIED"
    if kind not in KINDS:
        raise InvalidInput(f"there is no kind {kind!r}; {hint(kind, KINDS)}")
    return f"COMPONENT_KIND_{kind.upper()}"
