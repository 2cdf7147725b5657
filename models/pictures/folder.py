"""The pictures of a folder, and an account of its other files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import kinds

NAMED = 20
"""Most names that are kept for each kind of unused file; further files are only counted."""
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir"})


@dataclass
class Group:
    """Files of a folder with the same remark: their number, and the names of the first :data:`NAMED`."""

    count: int = 0
    names: list[str] = field(default_factory=list[str])

    def add(self, name: str) -> None:
        """Count a file, and keep its name if there is room."""
        self.count += 1
        if len(self.names) < NAMED:
            self.names.append(name)


@dataclass
class FolderReading:
    """An account of reading a folder of pictures.

    Attributes
    ----------
    folder : str
        The folder as it was named, as printable text.
    option : str
        The option with the folder, such as ``generator.options.images``.
    used : int
        Number of pictures that were read.
    unread : dict of str to str
        Reasons of unreadable pictures, by their names below the folder.
    left_out : int
        Number of pictures beyond the limit.
    most : int
        The limit; 0 where it was not reached.
    others : dict of str to Group
        Skipped files by kind: no pictures, hidden files, links to folders.
    remarks : dict of str to Group
        Decisions about pictures that leave a choice, such as the frame of an animation.
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
        """Count a skipped file.

        Parameters
        ----------
        what : str
            Its kind.
        name : str
            Its name below the folder.
        """
        self.others.setdefault(what, Group()).add(name)

    def remark(self, what: str, name: str) -> None:
        """Count a picture with a remark.

        Parameters
        ----------
        what : str
            The remark.
        name : str
            The picture's name below the folder.
        """
        self.remarks.setdefault(what, Group()).add(name)

    def to_json(self) -> dict[str, Any]:
        """Return the account as plain data."""
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
        """Return the number of used pictures and :meth:`sentence` as text."""
        return "; ".join(filter(None, [f"{_pictures(self.used)} of {self.folder} used", self.sentence()]))

    def sentence(self) -> str:
        """Return unread and skipped files and remarks as text, empty where there are none."""
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
    """Return a path as printable text: bytes that are no UTF-8, and control characters, as escapes."""
    text = os.fsencode(path.as_posix() if isinstance(path, Path) else path).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def picture_files(root: Path, reading: FolderReading) -> list[Path]:
    """Return the pictures below ``root``, by their content or by their name, sorted by path.

    All other files are counted in ``reading.others``. Links to folders aren't followed, since they may lead anywhere and form circles.

    Parameters
    ----------
    root : Path
        The folder.
    reading : FolderReading
        Receives the other files.
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
    """Yield every file, with its kind if it is not to be opened."""
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
    if not path.is_file():  # opening a pipe would wait
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
