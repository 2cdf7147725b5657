"""The base of all components' options, and the error of an unusable one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class OptionsModel(BaseModel):
    """Options of a component: immutable, and unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    former_names: ClassVar[Mapping[str, str]] = {}
    """Present names by former ones; a former name is accepted with a warning."""

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not cls.former_names.keys() & data.keys():
            return data
        for name in cls.former_names.keys() & data.keys():
            warnings.warn(f"the option {name} is called {cls.former_names[name]} now", FutureWarning, stacklevel=2)
        return {cls.former_names.get(name, name): value for name, value in data.items()}


class InvalidOption(ValueError):
    """An option whose value has the right type but can't be used (a weight file that doesn't fit, say).

    Parameters
    ----------
    option : str
        Name of the option.
    message : str
        The reason, and what would work.
    """

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option
