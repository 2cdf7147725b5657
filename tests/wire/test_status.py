"""What one side packs into a status the other side reads out of the failed call."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from actmax.wire.errors import FieldViolation, InvalidInput, Refused
from actmax.wire.status import StatusDetails, code_of, details_of, from_rpc, number_of, pack_status, shortened, status_of, trailers

VIOLATIONS = (FieldViolation("spec.optimizer.options.rank", "has to be at least 1"), FieldViolation("", "two units are the same"))


def failed(code: grpc.StatusCode, details: StatusDetails, message: str = "no") -> grpc.RpcError:
    """The error of a call to a server that refuses it."""

    def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(trailers(pack_status(code, message, details, "test")))
        context.abort(code, message)
        raise AssertionError

    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.method_handlers_generic_handler("test.Test", {"Fail": grpc.unary_unary_rpc_method_handler(refuse)})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/test.Test/Fail")(b"")
        return error.value
    finally:
        server.stop(0)


def test_reason_fields_and_pause_come_back():
    details = StatusDetails("INVALID_JOB", VIOLATIONS, 1.25)
    error = failed(grpc.StatusCode.INVALID_ARGUMENT, details)
    assert status_of(error) is grpc.StatusCode.INVALID_ARGUMENT
    assert details_of(error) == details
    found = from_rpc(error, "here:1")
    assert isinstance(found, InvalidInput)
    assert (found.reason, found.violations, found.retry_seconds) == ("INVALID_JOB", VIOLATIONS, 1.25)
    assert str(found) == "no:\n  spec.optimizer.options.rank: has to be at least 1\n  two units are the same"


def test_a_status_without_details_is_one():
    found = from_rpc(failed(grpc.StatusCode.PERMISSION_DENIED, StatusDetails()), "here:1")
    assert isinstance(found, Refused)
    assert (found.reason, found.violations, found.retry_seconds) == ("", (), 0.0)


def test_as_many_fields_are_told_as_a_header_holds():
    many = tuple(FieldViolation(f"units[{number}]", "x" * 900) for number in range(50))
    found = details_of(failed(grpc.StatusCode.INVALID_ARGUMENT, StatusDetails("INVALID_JOB", many)))
    assert 1 < len(found.violations) < 50
    assert found.violations == many[: len(found.violations)]


def test_codes_have_numbers_and_back():
    assert number_of(grpc.StatusCode.NOT_FOUND) == 5
    assert all(code_of(number_of(code)) is code for code in grpc.StatusCode)
    assert code_of(99) is grpc.StatusCode.UNKNOWN
    assert code_of(99, grpc.StatusCode.INTERNAL) is grpc.StatusCode.INTERNAL


def test_text_is_cut_at_whole_characters():
    assert shortened("é" * 10, 20) == "é" * 10
    assert shortened("é" * 11, 20) == "é" * 8 + "…"
