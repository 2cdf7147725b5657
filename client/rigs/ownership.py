"""Which session a folder belongs to."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from ...wire.errors import InvalidInput
from ..sessions.session import Session, Spec
from ..whole_files import write

OWNER = "session.json"


def create_in(folder: Path | str, spec: Spec, address: str, **options: Any) -> Session:
    """The session of a spec in a folder: a new one at first, the same one whenever it is called again.

    Parameters
    ----------
    folder : path
        Remembers the session.
    spec : SessionSpec or mapping
        As of :meth:`Session.create`.
    address : str
        ``host:port`` of the server.
    **options
        As of :class:`Session`.

    Raises
    ------
    ActmaxError
        ALREADY_EXISTS where the folder's session was made of another spec.
    """
    owner = _owner(Path(folder))
    if not owner.get("request_id"):
        if owner.get("session"):
            raise InvalidInput(f"{folder} belongs to {owner['session']}, which was not made there; name it instead of a spec")
        # before the session is made, so that a crash in between leads to the same one
        owner = {"request_id": str(uuid.uuid4())}
        _own(Path(folder), owner)
    session = Session.create(spec, address, request_id=owner["request_id"], **options)
    _own(Path(folder), {**owner, "session": session.name})
    return session


def claim(folder: Path, name: str) -> None:
    """Make a folder a session's."""
    owner = _owner(folder)
    if owner.get("session") != name:
        _own(folder, {**owner, "session": name})


def refuse_others(folder: Path, name: str) -> None:
    """See that a folder is a session's own, or nobody's.

    Raises
    ------
    InvalidInput
        It is another one's.
    """
    owner = _owner(folder)
    if owner.get("session", name) != name:
        raise InvalidInput(f"{folder} belongs to {owner['session']}; use another folder for {name}")


def _owner(folder: Path) -> dict[str, str]:
    try:
        return json.loads((folder / OWNER).read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise InvalidInput(f"{folder / OWNER} is damaged; it holds the name of the folder's session") from None


def _own(folder: Path, owner: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / OWNER, json.dumps(owner) + "\n")
