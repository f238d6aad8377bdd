from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, status
from fastapi.security import OAuth2PasswordRequestForm
from sqlalchemy import select
from sqlalchemy.orm import Session

from .. import ratelimit
from ..db import get_session
from ..models import User
from ..security import CurrentUser, create_token, verify_password
from ..settings import get_settings
from . import API

router = APIRouter(prefix=API, tags=["auth"])


@router.post("/auth/token")
def login(form: Annotated[OAuth2PasswordRequestForm, Depends()], session: Annotated[Session, Depends(get_session)]) -> dict[str, Any]:
    user = session.scalar(select(User).where(User.username == form.username))
    if user is None or not verify_password(form.password, user.password_hash):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "Incorrect username or password", {"WWW-Authenticate": "Bearer"})
    user.last_login_at = datetime.now(UTC)
    session.commit()
    return {"access_token": create_token(user.username, user.id), "token_type": "bearer", "expires_in": get_settings().jwt_expire_minutes * 60}


@router.get("/auth/me")
def me(user: Annotated[CurrentUser, Depends()]) -> dict[str, Any]:
    return {"id": user.id, "username": user.username}


@router.get("/rate-limit-status")
async def rate_limit_status(request: Request) -> dict[str, Any]:
    window = await ratelimit.check(request, count=False)
    if window is None:
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, "Redis does not answer")
    return {"identity": ratelimit.identity(request), "limit": window.limit, "remaining": window.remaining, "reset_seconds": window.reset}
