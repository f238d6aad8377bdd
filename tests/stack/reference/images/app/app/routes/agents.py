from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from .. import llm
from ..db import session_factory
from ..metrics import LLM_ERRORS, LLM_TOKENS
from ..security import User
from ..services import record_usage
from ..settings import get_settings
from . import API

router = APIRouter(prefix=f"{API}/agents", tags=["agents"])


class ReviewIn(BaseModel):
    code: str = Field(min_length=1, max_length=100_000)
    language: str = Field("python", max_length=32)
    provider: Literal["openai", "anthropic"] | None = None
    model: str | None = Field(None, max_length=64)


@router.post("/code-review")
def code_review(wanted: ReviewIn, user: User) -> dict[str, Any]:
    """Ask first, then take a database session: none is held while the provider thinks."""
    try:
        answer = llm.ask(f"Review this {wanted.language} code. Name the problems, most serious first.\n\n{wanted.code}", wanted.provider, wanted.model)
    except llm.LlmError as error:
        LLM_ERRORS.labels(wanted.provider or get_settings().default_llm_provider, error.reason).inc()
        raise
    LLM_TOKENS.labels(answer.provider, answer.model, "input").inc(answer.input_tokens)
    LLM_TOKENS.labels(answer.provider, answer.model, "output").inc(answer.output_tokens)
    with session_factory()() as session:
        record_usage(session, answer)
    return {"provider": answer.provider, "model": answer.model, "review": answer.text, "cost_usd": float(answer.cost_usd)}
