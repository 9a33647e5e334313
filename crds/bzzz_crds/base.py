"""What every part of a custom resource shares: read as strictly as the API server reads it, and no more so."""

from __future__ import annotations

from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from bzzz_crds.rules import Rule, check


class Model(BaseModel):
    """A frozen part of a manifest: camelCase outside, unknown fields refused, nothing coerced between types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, validate_default=True
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    """What must hold between the fields."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        """The API server drops a known field's null before it fills in defaults; so do we."""
        if not isinstance(value, dict):
            return cast("object", value)
        fields = cast("dict[object, object]", value)
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {name: entry for name, entry in fields.items() if entry is not None or name not in known}

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        check(self.rules, self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rules in CEL to the model's own schema."""
        schema = handler(core_schema)
        if cls.rules:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = [r.to_cel() for r in cls.rules]
        return schema

    def to_object(self) -> dict[str, Any]:
        """Return the value as JSON-ready data under its manifest names, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
