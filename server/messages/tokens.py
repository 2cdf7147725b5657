"""Formats and strictly parses resource names, request ids, etags, page tokens and resume tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from ..errors import invalid
from ..storage.records import Filter

_PREFIX = "jobs/"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def job_name(job_id: str) -> str:
    """Return a job's resource name, ``jobs/`` and the identifier."""
    return _PREFIX + job_id


def job_id(name: str, field: str = "name") -> str:
    """Return the identifier in a job's resource name.

    Parameters
    ----------
    name : str
        The resource name.
    field : str
        Field of the request, for the violation.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT: the name has another form.
    """
    found = name.removeprefix(_PREFIX)
    if found == name or not found or "/" in found:
        hint = f"; did you mean {_PREFIX}{name}?" if re.fullmatch(r"[0-9a-f]{16}", name) else ""
        raise invalid(field, f"{name[:100]!r} is not a job's name, which is {_PREFIX} and an identifier{hint}")
    return found


def request_id(text: str) -> str:
    """Return a client's UUID in lower case; an empty text stays empty.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT: the text isn't a UUID, or is the UUID of zeros.
    """
    lower = text.lower()
    if lower and (not _UUID.fullmatch(lower) or not lower.strip("0-")):
        raise invalid("request_id", f"{text[:100]!r} is not a UUID such as 123e4567-e89b-42d3-a456-426614174000; leave it out or make one")
    return lower


def version(etag: str) -> int | None:
    """Return the version in an etag; None if the etag is empty.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT: the text isn't an etag of a job.
    """
    if etag and not (etag.isascii() and etag.isdigit() and len(etag) < 19):
        raise invalid("etag", f"{etag[:100]!r} is not the etag of a job")
    return int(etag) if etag else None


def page_token(before: int, which: Filter) -> str:
    """Return a token of the page after the job with number ``before``, bound to the filter ``which``."""
    return _seal(f"p:{before}:{_filter(which)}")


def page_before(token: str, which: Filter) -> int | None:
    """Return the job number in a page token; None if the token is empty.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT: the token is malformed, or belongs to another filter than ``which``.
    """
    if not token:
        return None
    match _open(token, "page_token").split(":"):
        case ["p", before, given] if before.isdigit():
            if given != _filter(which):
                raise invalid("page_token", "it belongs to a list with another filter; keep the same one while turning pages")
            return int(before)
        case _:
            raise invalid("page_token", "it is not a next_page_token of this method")


def resume_token(job_id: str, sequence: int) -> str:
    """Return a token of the position after the job's event ``sequence``."""
    return _seal(f"r:{job_id}:{sequence}")


def resume_after(token: str, job_id: str, last: int) -> int:
    """Return the sequence in a resume token; 0 if the token is empty.

    Parameters
    ----------
    token : str
        The token.
    job_id : str
        Identifier of the job that is watched.
    last : int
        Sequence of the job's newest event.

    Raises
    ------
    ServiceError
        INVALID_ARGUMENT: the token is malformed, or belongs to another job.
    """
    if not token:
        return 0
    match _open(token, "resume_token").split(":"):
        case ["r", given, sequence] if sequence.isdigit():
            if given != job_id or int(sequence) > last:
                raise invalid("resume_token", "it belongs to another job")
            return int(sequence)
        case _:
            raise invalid("resume_token", "it is not the resume_token of a response of this method")


def _filter(which: Filter) -> str:
    text = repr((sorted(which.states), sorted(which.labels), which.since, which.until))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _seal(text: str) -> str:
    data = text.encode()
    return base64.urlsafe_b64encode(binascii.crc32(data).to_bytes(4, "big") + data).decode().rstrip("=")


def _open(token: str, field: str) -> str:
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        text = data[4:].decode("ascii")
    except ValueError:
        raise invalid(field, "it is not a token of this server") from None
    if not token.isascii() or binascii.crc32(data[4:]).to_bytes(4, "big") != data[:4]:
        raise invalid(field, "it is not a token of this server")
    return text
