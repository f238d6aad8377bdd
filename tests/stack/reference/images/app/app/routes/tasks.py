from __future__ import annotations

from typing import Annotated, Any, Literal

from celery.result import AsyncResult
from fastapi import APIRouter
from kombu.exceptions import OperationalError
from pydantic import BaseModel, Field

from ..logs import trace_id
from ..security import User
from ..tasks import celery
from . import API

router = APIRouter(prefix=f"{API}/tasks", tags=["tasks"])


class TaskIn(BaseModel):
    task: Literal["summarize_text", "tag_item", "export_report", "review_code"]
    arguments: dict[str, Any] = {}
    queue: Literal["celery", "priority"] = "celery"
    priority: Annotated[int, Field(ge=0, le=9, description="0 is served first")] = 0
    countdown: Annotated[float, Field(ge=0, le=86400)] = 0


@router.post("", status_code=202)
def enqueue(new: TaskIn, user: User) -> dict[str, Any]:
    try:
        sent = celery.send_task(
            f"app.tasks.{new.task}",
            kwargs=new.arguments,
            queue=new.queue,
            priority=new.priority,
            countdown=new.countdown or None,
            headers={"trace_id": trace_id.get()},
        )
    except RuntimeError as error:  # Celery's way to say that the result store is away
        raise OperationalError(str(error).strip()) from error
    return {"task_id": sent.id, "queue": new.queue, "status": "PENDING"}


@router.get("/{task_id}")
def get_task(task_id: str, user: User) -> dict[str, Any]:
    result = AsyncResult(task_id, app=celery)
    state = result.state
    answer: dict[str, Any] = {"task_id": task_id, "status": state, "name": result.name}
    if state == "SUCCESS":
        answer["result"] = result.result
    elif state == "FAILURE":
        answer["error"] = repr(result.result)
    return answer
