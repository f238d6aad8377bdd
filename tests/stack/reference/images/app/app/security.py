from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import bcrypt
import jwt
from fastapi import Depends, HTTPException, status
from fastapi.security import OAuth2PasswordBearer

from .settings import get_settings

ALGORITHM = "HS256"
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token")


def hash_password(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=10)).decode()


def verify_password(password: str, hashed: str) -> bool:
    return bcrypt.checkpw(password.encode(), hashed.encode())


def create_token(username: str, user_id: int) -> str:
    now = datetime.now(UTC)
    claims = {"sub": username, "uid": user_id, "iat": now, "exp": now + timedelta(minutes=get_settings().jwt_expire_minutes)}
    return jwt.encode(claims, get_settings().jwt_secret_key, algorithm=ALGORITHM)


def decode_token(token: str) -> dict[str, object]:
    return jwt.decode(token, get_settings().jwt_secret_key, algorithms=[ALGORITHM], options={"require": ["exp", "iat", "sub"]})


class CurrentUser:
    def __init__(self, token: Annotated[str, Depends(oauth2_scheme)]) -> None:
        try:
            claims = decode_token(token)
        except jwt.InvalidTokenError as error:
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, f"Could not validate credentials: {error}", {"WWW-Authenticate": "Bearer"}) from error
        self.username = str(claims["sub"])
        self.id = int(str(claims["uid"]))


User = Annotated[CurrentUser, Depends()]
