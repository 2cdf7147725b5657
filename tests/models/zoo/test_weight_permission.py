"""Whose weights may be read: a caller's from afar only out of folders that the server's owner allows."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from actmax.models.permissions import PERMISSIONS, Permissions
from actmax.models.zoo.generators import WeightOptions


def test_a_path_from_afar_is_refused_by_name(tmp_path: Path):
    path = str(tmp_path / "own.safetensors")
    with pytest.raises(ValidationError, match="--allow-import"):
        WeightOptions.model_validate({"weights": path}, context={PERMISSIONS: Permissions()})
    with pytest.raises(ValidationError, match="--allow-import"):
        WeightOptions.model_validate({"weights": path}, context={PERMISSIONS: Permissions(folders=(str(tmp_path / "other"),))})
    assert WeightOptions.model_validate({"weights": path}, context={PERMISSIONS: Permissions(folders=(str(tmp_path),))}).weights == path
    assert WeightOptions.model_validate({"weights": path}).weights == path
    assert WeightOptions.model_validate({}, context={PERMISSIONS: Permissions()}).weights is None
