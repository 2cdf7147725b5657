"""Permissions of a request: the code, files and servers that it may use, made once at the entrance, and checks of options."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo

PERMISSIONS = "permissions"
"""Key of pydantic's validation context that holds the :class:`Permissions` of a request. Without a context, as where a library's user
makes options directly, everything is permitted."""

MAX_PICTURE_BYTES = 4 << 20
"""Most bytes of an encoded picture from a caller who may not name files: the picture is sent and stored with its job."""

_IMAGE_URI = re.compile(r"data:image/(?:png|jpeg);base64,")


@dataclass(frozen=True)
class Permissions:
    """The code, files and servers that a request may use; by default none of them, and small pictures only.

    Attributes
    ----------
    imports : tuple of str
        Packages and modules that ``package:attribute`` names may come from; ``*`` for any.
    folders : tuple of str
        Folders in which, and below which, options may name files.
    servers : tuple of str
        URLs of the servers that options may name; scheme, host and port count.
    relay : str
        The server's own relay to the plugins that have dialled in: ``relay://TICKET@127.0.0.1:PORT``, with ``?patient`` in the processes
        that run jobs. No option can name it. Empty where there is none.
    any_file : bool
        Whether options may name any file and any server, and hold pictures of any size.
    max_picture_bytes : int
        Most bytes of a picture in a data URI.
    """

    imports: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    relay: str = ""
    any_file: bool = False
    max_picture_bytes: int = MAX_PICTURE_BYTES

    @classmethod
    def of(cls, allow_imports: Iterable[str], allow_files: bool | Sequence[str] = False) -> Permissions:
        """Return the permissions of lists, as the command line, the server's settings and keyword arguments have them.

        Parameters
        ----------
        allow_imports : iterable of str
            Packages, folders (with a slash), addresses (with ``://``), or ``*`` for any package.
        allow_files : bool or sequence of str
            True: any file and server. A sequence: further folders, with or without a slash, and addresses.
        """
        entries = tuple(allow_imports)
        places = (*(entry for entry in entries if "/" in entry), *(() if isinstance(allow_files, bool) else allow_files))
        return cls(
            imports=tuple(entry for entry in entries if "/" not in entry),
            folders=tuple(place for place in places if "://" not in place),
            servers=tuple(place for place in places if "://" in place),
            any_file=allow_files is True,
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Permissions:
        """Return the permissions that ``dataclasses.asdict`` and JSON have carried to another process."""
        fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
        return cls(**fields)

    def may_import(self, module: str) -> bool:
        """Return whether components may come from ``module``."""
        return any(entry in ("*", module) or module.startswith(entry + ".") for entry in self.imports)

    def may_read(self, path: str) -> bool:
        """Return whether options may name the file or folder ``path``; symbolic links are resolved first."""
        return self.any_file or any(Path(path).resolve().is_relative_to(Path(folder).resolve()) for folder in self.folders)

    def may_ask(self, url: str) -> bool:
        """Return whether options may name the server at ``url``."""
        return self.any_file or _server(url) in map(_server, self.servers)

    def idle_entries(self) -> list[str]:
        """Return one line for each entry that permits nothing at present: a typo, or a folder or package that doesn't exist yet.

        Nothing is imported, and no server is called.
        """
        found = [f"{folder}: there is no such folder" for folder in self.folders if not Path(folder).exists()]
        for entry in self.imports:
            package = entry.partition(".")[0]
            if entry == "*":
                continue
            if not all(part.isidentifier() for part in entry.split(".")):
                found.append(f"{entry}: neither a package, nor a folder (with a slash), nor an address such as grpc://127.0.0.1:50061")
            elif not _installed(package):
                near = get_close_matches(package, packages_distributions(), n=1, cutoff=0.7)
                hint = f"; did you mean {near[0]}?" if near else ""
                found.append(f"{entry}: no package {package} is installed where the server runs{hint}")
        return found


NOTHING = Permissions()
EVERYTHING = Permissions(imports=("*",), any_file=True)


def permissions_of(info: ValidationInfo) -> Permissions:
    """Return the permissions in a pydantic validation context."""
    return EVERYTHING if info.context is None else info.context.get(PERMISSIONS, NOTHING)


def permitted_path(value: str, info: ValidationInfo) -> str:
    """Return ``value``, a path; raise ValueError where the request may not read it."""
    if not permissions_of(info).may_read(value):
        raise ValueError("a job may not read files here; a picture is given as data:image/png;base64,…, in a job file as file:picture.png")
    return value


def permitted_model(value: str, info: ValidationInfo) -> str:
    """Return ``value``, the path of a model; raise ValueError where the request may not read it."""
    if not permissions_of(info).may_read(value):
        raise ValueError(f"a job may not read {value!r} here; start the server with --allow-import and the folder that it is in")
    return value


def permitted_address(value: str, info: ValidationInfo) -> str:
    """Return ``value``, a server's URL; raise ValueError where the request may not use that server."""
    if not permissions_of(info).may_ask(value):
        raise ValueError(f"a job may not ask {value!r} here; start the server with --allow-import and that address")
    return value


def permitted_image(value: str, info: ValidationInfo) -> str:
    """Return ``value``, a path or data URI; raise ValueError for a path that may not be read, or a URI of no small PNG or JPEG."""
    if value.startswith("file:"):
        raise ValueError("file: is for job files, which are sent with the picture in them; here give a data URI")
    if not value.startswith("data:"):
        return permitted_path(value, info)
    permissions = permissions_of(info)
    if not permissions.any_file:
        if not _IMAGE_URI.match(value):
            raise ValueError("a data URI begins with data:image/png;base64, or data:image/jpeg;base64,")
        if len(value) > permissions.max_picture_bytes * 4 // 3 + 100:
            raise ValueError(f"the picture is larger than {permissions.max_picture_bytes >> 20} MiB")
    return value


def _server(url: str) -> tuple[str, str]:
    """Return scheme, and host with port: the parts that two URLs of one server share."""
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # a half-imported or broken module counts as installed
        return True


FolderSource = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(permitted_path)]
"""Option type of a folder of pictures."""
