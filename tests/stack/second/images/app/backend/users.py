"""Users, their passwords and their tokens. `python3 -m backend.users` makes the first user."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

import jwt
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from backend.database import session
from backend.models import User
from backend.settings import SECRETS, settings

COST = {"n": 2**13, "r": 8, "p": 1}


def hash_password(password: str) -> str:
    salt = secrets.token_bytes(16)
    return salt.hex() + "$" + hashlib.scrypt(password.encode(), salt=salt, **COST).hex()


def same_password(password: str, kept: str) -> bool:
    salt, _dollar, digest = kept.partition("$")
    return hmac.compare_digest(hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **COST).hex(), digest)


def login(email: str, password: str) -> str | None:
    with session() as db:
        user = db.execute(select(User).where(User.email == email)).scalar_one_or_none()
    if user is None or not same_password(password, user.password):
        return None
    now = int(time.time())
    claims = {"sub": str(user.id), "email": user.email, "iat": now, "exp": now + settings().token_minutes * 60}
    return jwt.encode(claims, settings().token_key, algorithm="HS256")


def read_token(token: str) -> dict:
    return jwt.decode(token, settings().token_key, algorithms=["HS256"])


def main() -> None:
    email = os.environ.get("ORDERS_FIRST_USER")
    path = Path(os.environ.get("ORDERS_FIRST_USER_PASSWORD_FILE", SECRETS / "first_user_password"))
    if not email or not path.exists():
        return
    with session() as db:
        if db.execute(select(User.id).where(User.email == email)).first():
            return
        password = hash_password(path.read_text(encoding="utf-8").strip())
        db.execute(insert(User).values(email=email, password=password).on_conflict_do_nothing())


if __name__ == "__main__":
    main()
