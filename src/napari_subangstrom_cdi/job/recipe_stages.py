"""A stage as a table of a recipe, and back; the keys of version 0.1.0 are still read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetPydanticSchema, with_config
from pydantic_core import CoreSchema, core_schema

from napari_subangstrom_cdi.core.phasing.constraints import CONSTRAINTS
from napari_subangstrom_cdi.core.phasing.registry import table_of
from napari_subangstrom_cdi.core.phasing.schedule import Stage

_FORMER = {"image_weight": {"image": "weight"}, "density_threshold": {"low-density": "threshold", "flip": "threshold"}}
"""Keys of a stage that now belong to its constraints: which, and under what name."""


@with_config(extra="forbid")
@dataclass(frozen=True)
class _Table:
    """What a recipe may say of a stage, as :class:`Stage` takes it, and what version 0.1.0 said."""

    name: str
    iterations: int
    update: str | dict[str, Any] = "er"
    constraints: tuple[str | dict[str, Any], ...] = ("support",)
    beta: float | None = None
    q_limits_per_angstrom: tuple[float, float] | None = None
    image_weight: float | None = None
    density_threshold: float | None = None


def _stage_of(table: _Table) -> Stage:
    former: dict[str, dict[str, Any]] = {}
    for key, names in _FORMER.items():
        value = getattr(table, key)
        for kind, name in names.items() if value is not None else ():
            former[kind] = {"kind": kind, name: value}
            CONSTRAINTS.made(former[kind], f"stage {table.name!r}")  # an impossible one is refused, used or not
    return Stage(
        table.name,
        table.iterations,
        table.update,
        tuple(_with_former(each, former) for each in table.constraints),
        table.beta,
        table.q_limits_per_angstrom,
    )


def _with_former(said: str | dict[str, Any], former: Mapping[str, dict[str, Any]]) -> str | dict[str, Any]:
    if isinstance(said, str):
        return former.get(said, said)
    return {**former.get(str(said.get("kind")), {}), **said}


def stage_table(stage: Stage) -> dict[str, Any]:
    """A stage as a recipe says it: names, and a table where a constraint or an update has parameters."""
    update = table_of(stage.update)
    constraints = [table_of(each) for each in stage.constraints]
    table = {
        "name": stage.name,
        "iterations": stage.iterations,
        # β alone stands beside the rule's name, as in Stage itself
        "update": update.pop("kind") if update.keys() <= {"kind", "beta"} else update,
        "constraints": [each if len(each) > 1 else each["kind"] for each in constraints],
        "beta": update.get("beta") if "kind" not in update else None,
        "q_limits_per_angstrom": stage.q_limits_per_angstrom and list(stage.q_limits_per_angstrom),
    }
    return {key: value for key, value in table.items() if value is not None}


def _schema(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    return core_schema.no_info_after_validator_function(_stage_of, handler.generate_schema(_Table))


RecipeStage = Annotated[Stage, GetPydanticSchema(_schema)]
"""A stage of a plan, which pydantic reads from its table."""
