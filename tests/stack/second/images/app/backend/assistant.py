"""Questions about the orders, answered by Anthropic's Messages API."""

from __future__ import annotations

import logging
import time

import httpx
from prometheus_client import Counter

from backend.settings import settings

log = logging.getLogger("backend.assistant")
CALLS = Counter("orders_assistant_calls_total", "Calls of the language model", ["status"])
TOKENS = Counter("orders_assistant_tokens_total", "Tokens of the language model", ["direction"])

SYSTEM = "You help the staff of a mail-order shop. Answer in two sentences at most."


class AssistantError(RuntimeError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def ask(question: str, facts: str) -> dict:
    s = settings()
    body = {
        "model": s.assistant_model,
        "max_tokens": 300,
        "system": SYSTEM,
        "messages": [{"role": "user", "content": f"{facts}\n\n{question}"}],
    }
    headers = {"x-api-key": s.assistant_key, "anthropic-version": "2023-06-01"}
    wait = 1.0
    for attempt in range(1, s.assistant_tries + 1):
        try:
            answer = httpx.post(f"{s.assistant_url}/v1/messages", json=body, headers=headers, timeout=s.assistant_timeout)
        except httpx.TimeoutException:
            CALLS.labels("timeout").inc()
            problem = AssistantError(504, f"no answer from {s.assistant_url} within {s.assistant_timeout:g} s")
        except httpx.HTTPError as error:
            CALLS.labels("unreachable").inc()
            problem = AssistantError(502, f"{s.assistant_url} cannot be reached: {error}")
        else:
            CALLS.labels(str(answer.status_code)).inc()
            if answer.status_code == 200:
                return _read(answer)
            problem = AssistantError(503 if answer.status_code in (429, 529) else 502, f"{answer.status_code} {_reason(answer)}")
            if answer.status_code < 500 and answer.status_code != 429:
                raise problem
        if attempt < s.assistant_tries and problem.status != 504:
            log.warning("attempt %d of %d failed: %s", attempt, s.assistant_tries, problem)
            time.sleep(wait)
            wait *= 2
        else:
            raise problem
    raise AssistantError(502, "no attempt allowed")


def _read(answer: httpx.Response) -> dict:
    try:
        message = answer.json()
        text = "".join(part["text"] for part in message["content"] if part["type"] == "text")
        usage = message["usage"]
    except (ValueError, KeyError, TypeError) as error:
        raise AssistantError(502, f"the answer cannot be read: {type(error).__name__}: {error}") from error
    TOKENS.labels("input").inc(usage["input_tokens"])
    TOKENS.labels("output").inc(usage["output_tokens"])
    return {"answer": text, "model": message.get("model"), "stop_reason": message.get("stop_reason")}


def _reason(answer: httpx.Response) -> str:
    try:
        error = answer.json()["error"]
        return f"{error['type']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
