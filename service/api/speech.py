"""Read and set a lender's own words for the speech engine."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from service import speech
from service.api.deps import Administrator, Overseer, TenantSession
from service.clock import now

router = APIRouter(prefix="/v1/parameters/speech", tags=["parameters"])


class SpeechIn(BaseModel):
    """Words that the engine should expect; what is left out is empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(
        default="",
        max_length=1000,
        description=f"Opening words of a usual call, up to {speech.MAX_PROMPT} characters; "
        "empty: the product's own.",
        examples=["您好,汇民银行信用卡中心,工号一二三,通话有录音。"],
    )
    hotwords: list[str] = Field(
        default=[],
        max_length=1000,
        description=f"Up to {speech.MAX_HOTWORDS} names and terms of 2 to {speech.MAX_HOTWORD} "
        "characters. What is heard only with them is for review.",
        examples=[["汇民银行", "安正催收"]],
    )


class SpeechOut(BaseModel):
    """The words in force; revision 0: the lender has set none."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    revision: int
    since: datetime | None
    prompt: str
    hotwords: list[str]


@router.get("", summary="Read the words for the speech engine")
def get_speech(caller: Overseer, session: TenantSession) -> SpeechOut:
    """Show the prompt and the hotwords that recordings are heard with now."""
    del caller
    return SpeechOut.model_validate(speech.find_bias(session))


@router.put("", summary="Set the words for the speech engine")
def put_speech(caller: Administrator, session: TenantSession, wish: SpeechIn) -> SpeechOut:
    """Put a prompt and hotwords in force for recordings heard from now on."""
    made = speech.set_bias(
        session,
        tenant_id=caller.tenant_id,
        prompt=wish.prompt,
        hotwords=wish.hotwords,
        by=caller.key_id,
        now=now(),
    )
    return SpeechOut.model_validate(made)
