"""Read and set a lender's values for the parameters of rules."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from rules import resolve_parameters
from rules.rule import Parameter, Rule
from service import parameters
from service.api.deps import Administrator, Overseer, TenantSession
from service.clock import now
from service.packs import load_pack

router = APIRouter(prefix="/v1/parameters", tags=["parameters"])

Value = bool | int | float | str | list[str]


class ParametersIn(BaseModel):
    """Values by rule and parameter; what is left out has the pack's own value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, dict[str, Value]] = Field(
        max_length=200, examples=[{"FRQ-01": {"limit": 2}, "TIM-02": {"enabled": True}}]
    )


class ParameterOut(BaseModel):
    """One parameter: what it is, how far it may be moved, what it is now."""

    model_config = ConfigDict(frozen=True)

    rule: str
    name: str
    label_zh: str
    label_en: str
    basis: str = Field(description="law, guideline or policy: where the default comes from.")
    default: Any
    minimum: Any
    maximum: Any
    choices: list[str]
    value: Any


class ParametersOut(BaseModel):
    """The set in force; revision 0 is the pack's own."""

    model_config = ConfigDict(frozen=True)

    revision: int
    since: datetime | None
    items: list[ParameterOut]


@router.get("", summary="Read the parameters in force")
def get_parameters(caller: Overseer, session: TenantSession) -> ParametersOut:
    """List every parameter of every rule with its bounds and the lender's value."""
    del caller
    return _shown(parameters.list_settings(session)[-1])


@router.put("", summary="Set parameters")
def put_parameters(
    caller: Administrator, session: TenantSession, wish: ParametersIn
) -> ParametersOut:
    """Put a new set in force for contacts that start from now on; it replaces the one before."""
    made = parameters.set_parameters(
        session,
        load_pack(),
        tenant_id=caller.tenant_id,
        values=wish.values,
        by=caller.key_id,
        now=now(),
    )
    return _shown(made)


def _shown(setting: parameters.Setting) -> ParametersOut:
    values = resolve_parameters(load_pack(), setting.values)
    items = {
        (rule.id, parameter.name): _item(rule, parameter, values[rule.id][parameter.name])
        for rule in load_pack().rules
        for parameter in rule.parameters
    }
    return ParametersOut(revision=setting.revision, since=setting.since, items=list(items.values()))


def _item(rule: Rule, parameter: Parameter, value: object) -> ParameterOut:
    return ParameterOut(
        rule=rule.id,
        name=parameter.name,
        label_zh=parameter.label.zh,
        label_en=parameter.label.en,
        basis=parameter.basis,
        default=parameter.default,
        minimum=parameter.minimum,
        maximum=parameter.maximum,
        choices=list(parameter.choices),
        value=value,
    )
