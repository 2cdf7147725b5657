"""Which files of a folder are pictures, and what is said of the others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import kinds

NAMED = 20
"""Names that are kept of each kind of file that isn't used; beyond, they are only counted."""
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir"})


@dataclass
class Group:
    """Files of a folder of which the same is to be said: how many, and the names of the first :data:`NAMED`."""

    count: int = 0
    names: list[str] = field(default_factory=list[str])

    def add(self, name: str) -> None:
        """Count a file."""
        self.count += 1
        if len(self.names) < NAMED:
            self.names.append(name)


@dataclass
class FolderReading:
    """What was read of a folder of pictures, and what was not.

    Attributes
    ----------
    folder : str
        As it was named, fit to be written.
    option : str
        What named it, such as ``generator.options.images``.
    used : int
        Pictures that were read.
    unread : dict of str to str
        Why each picture that can't be read is left out, by its name below the folder.
    left_out : int
        Pictures beyond the most that are read.
    most : int
        That limit; 0 where none was met.
    others : dict of str to Group
        Files that were passed over, by what they are: no pictures, hidden files, links to folders.
    remarks : dict of str to Group
        What was decided about pictures that leave a choice, such as which frame of an animation is used.
    """

    folder: str
    option: str = ""
    used: int = 0
    unread: dict[str, str] = field(default_factory=dict[str, str])
    left_out: int = 0
    most: int = 0
    others: dict[str, Group] = field(default_factory=dict[str, Group])
    remarks: dict[str, Group] = field(default_factory=dict[str, Group])

    def pass_over(self, what: str, name: str) -> None:
        """Count a file that is passed over."""
        self.others.setdefault(what, Group()).add(name)

    def remark(self, what: str, name: str) -> None:
        """Count a picture about which something was decided."""
        self.remarks.setdefault(what, Group()).add(name)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "option": self.option,
            "source": self.folder,
            "account": self.account(),
            "used": self.used,
            "unread": [{"name": name, "why": why} for name, why in self.unread.items()],
            "left_out": self.left_out,
            "passed_over": _groups(self.others),
            "remarks": _groups(self.remarks),
        }

    def account(self) -> str:
        """Return in words how many pictures were used, and :meth:`sentence`."""
        return "; ".join(filter(None, [f"{_pictures(self.used)} of {self.folder} used", self.sentence()]))

    def sentence(self) -> str:
        """Return in words what was not read or was decided, empty where there is nothing to say."""
        parts: list[str] = []
        if self.unread:
            shown = [f"{name} ({why})" for name, why in list(self.unread.items())[:3]]
            parts.append(f"{_pictures(len(self.unread))} can't be read: {_listed(shown, len(self.unread))}")
        if self.left_out:
            parts.append(f"{_pictures(self.left_out, 'further ')} left out, since at most {self.most:,} are read, by name")
        for what, group in self.others.items():
            files = "file" if group.count == 1 else "files"
            parts.append(f"{group.count:,} {files} passed over ({what}): {_listed(group.names[:3], group.count)}")
        for what, group in self.remarks.items():
            parts.append(f"{_pictures(group.count)} ({what}): {_listed(group.names[:3], group.count)}")
        return "; ".join(parts)


def shown_name(path: Path | str) -> str:
    """Return a path as text that can be written anywhere: bytes that are no UTF-8, and control characters, as escapes."""
    text = os.fsencode(path.as_posix() if isinstance(path, Path) else path).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def picture_files(root: Path, reading: FolderReading) -> list[Path]:
    """Return the files below ``root`` that are pictures by their content or claim to be by their name, sorted by path.

    Everything else is counted in ``reading.others``. Folder links aren't followed: they may lead anywhere, and round in circles.
    """
    found: list[Path] = []
    for path, what in sorted(_files(root)):
        name = shown_name(path.relative_to(root))
        if what:
            reading.pass_over(what, name)
            continue
        head = _head(path)
        if kinds.is_picture_name(path.name) or (head is not None and kinds.kind_of(head) is not None):
            found.append(path)
        else:
            reading.pass_over("no picture", name)
    return found


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file, and what it is where it isn't looked into."""
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            yield folder, "folder that can't be opened"
            continue
        for entry in entries:
            path, name = folder / entry.name, entry.name.lower()
            if entry.is_dir(follow_symlinks=False):
                if name.startswith(".") or name in SYSTEM_FOLDERS:
                    yield path, "hidden"
                else:
                    folders.append(path)
            elif name.startswith(".") or name in SYSTEM_FILES:
                yield path, "hidden"
            elif entry.is_symlink() and path.is_dir():
                yield path, "link to a folder, not followed"
            else:
                yield path, "" if path.is_file() or kinds.is_picture_name(name) else "no picture"


def _head(path: Path) -> bytes | None:
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with path.open("rb") as file:
            return file.read(kinds.HEAD)
    except OSError:
        return None


def _groups(groups: Mapping[str, Group]) -> list[dict[str, Any]]:
    return [{"what": what, "count": group.count, "names": group.names} for what, group in groups.items()]


def _pictures(count: int, kind: str = "") -> str:
    return f"{count:,} {kind}picture{'' if count == 1 else 's'}"


def _listed(names: list[str], count: int) -> str:
    return ", ".join(names) + (f" and {count - len(names):,} more" if count > len(names) else "")
