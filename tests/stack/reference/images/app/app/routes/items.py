from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from ..cache import cache_get, cache_set
from ..db import get_session
from ..models import Item
from ..security import User
from . import API

router = APIRouter(prefix=f"{API}/items", tags=["items"])
Status = Literal["draft", "active", "archived"]


class ItemIn(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    description: str = ""
    status: Status = "draft"
    price: Decimal = Field(ge=0, max_digits=12, decimal_places=2)
    tags: list[str] = []


class ItemOut(ItemIn):
    model_config = ConfigDict(from_attributes=True)

    id: int
    owner_id: int
    created_at: datetime
    updated_at: datetime


@router.get("")
def list_items(
    user: User,
    session: Annotated[Session, Depends(get_session)],
    status: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[ItemOut]:
    """The newest items first."""
    query = select(Item).order_by(Item.id.desc()).limit(limit).offset(offset)
    if status:
        query = query.where(Item.status == status)
    return [ItemOut.model_validate(item) for item in session.scalars(query)]


@router.get("/{item_id}")
def get_item(item_id: int, user: User, session: Annotated[Session, Depends(get_session)]) -> Response:
    body = cache_get(f"item:{item_id}")
    if body is None:
        item = session.get(Item, item_id)
        if item is None:
            raise HTTPException(404, f"There is no item {item_id}")
        body = ItemOut.model_validate(item).model_dump_json()
        cache_set(f"item:{item_id}", body)
    return Response(body, media_type="application/json")


@router.post("", status_code=201)
def create_item(new: ItemIn, user: User, session: Annotated[Session, Depends(get_session)]) -> ItemOut:
    item = Item(**new.model_dump(), owner_id=user.id)
    session.add(item)
    session.commit()
    return ItemOut.model_validate(item)
