import asyncio
from typing import Any

import grpc
from calls import spec
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from actmax.v1 import job_service_pb2

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def test_health_answers_by_service_and_first_of_all_when_stopping(serving):
    async with serving() as (server, calls):
        health: Any = health_pb2_grpc.HealthStub(calls.channel)
        for service in ("", "actmax.v1.JobService", "actmax.v1.CatalogService"):
            assert (await health.Check(health_pb2.HealthCheckRequest(service=service))).status == SERVING
        watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
        assert (await watch.read()).status == SERVING
        await calls.create(spec(steps=5000))
        stop = asyncio.create_task(server.stop())
        assert (await asyncio.wait_for(watch.read(), 200)).status == NOT_SERVING
        await stop


async def test_reflection_lists_and_describes_the_services(serving):
    async with serving() as (_, calls):
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(calls.channel)
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="actmax.v1.JobService"),
        ]
        listed, described = [response async for response in stub.ServerReflectionInfo(iter(requests))]
        names = {service.name for service in listed.list_services_response.service}
        assert {"actmax.v1.JobService", "actmax.v1.CatalogService", "grpc.health.v1.Health"} <= names
        files = [descriptor_pb2.FileDescriptorProto.FromString(data) for data in described.file_descriptor_response.file_descriptor_proto]
        assert job_service_pb2.DESCRIPTOR.name in [file.name for file in files]


async def test_an_unknown_method_is_unimplemented(serving):
    async with serving() as (_, calls):
        call = calls.channel.unary_unary("/actmax.v1.JobService/Nonsense")
        try:
            await call(b"")
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED  # noqa: PT017
        else:
            raise AssertionError("it was answered")
