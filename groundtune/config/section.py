"""What every table of groundtune.toml is made of: strict, frozen sections and the types that several of them share."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from groundtune.config.toml import shown


class Section(BaseModel):
    """A table of the file: values of exactly the declared types, nothing undeclared, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _model_name(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s:]+:\S.*", value):
        raise ValueError(f"expected 'provider:name', for example 'embedded:smollm2', found {shown(value)}")
    return value


ModelName = Annotated[str, BeforeValidator(_model_name)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
