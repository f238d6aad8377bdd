"""Ask the language model of the chosen provider; the providers' libraries do the retries."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import anthropic
import openai

from .settings import get_settings

FALLBACK_MODEL = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-5-20250929"}
PRICES = {  # USD for a million tokens: input, output
    "gpt-4o": (2.5, 10),
    "gpt-4o-mini": (0.15, 0.6),
    "gpt-4.1": (2, 8),
    "claude-sonnet-4-5-20250929": (3, 15),
    "claude-haiku-4-5-20251001": (1, 5),
}
MAX_TOKENS = 1024


class LlmError(Exception):
    def __init__(self, reason: str, status: int, detail: str, retry_after: str | None = None) -> None:
        super().__init__(detail)
        self.reason, self.status, self.detail, self.retry_after = reason, status, detail, retry_after


@dataclass(frozen=True)
class Answer:
    provider: str
    model: str
    text: str
    input_tokens: int
    output_tokens: int

    @property
    def cost_usd(self) -> Decimal:
        price_in, price_out = PRICES.get(self.model, (0, 0))
        return (Decimal(str(price_in)) * self.input_tokens + Decimal(str(price_out)) * self.output_tokens) / 1_000_000


@lru_cache
def _openai() -> openai.OpenAI:
    settings = get_settings()
    return openai.OpenAI(api_key=settings.openai_api_key, base_url=settings.openai_base_url, timeout=settings.llm_timeout, max_retries=settings.llm_max_retries)


@lru_cache
def _anthropic() -> anthropic.Anthropic:
    settings = get_settings()
    return anthropic.Anthropic(
        api_key=settings.anthropic_api_key, base_url=settings.anthropic_base_url, timeout=settings.llm_timeout, max_retries=settings.llm_max_retries
    )


def ask(prompt: str, provider: str | None = None, model: str | None = None) -> Answer:
    settings = get_settings()
    provider = provider or settings.default_llm_provider
    model = model or (settings.default_model if provider == settings.default_llm_provider else FALLBACK_MODEL[provider])
    if not (settings.openai_api_key if provider == "openai" else settings.anthropic_api_key):
        raise LlmError("auth", 503, f"{provider.upper()}_API_KEY is not set")
    try:
        return _ask_openai(model, prompt) if provider == "openai" else _ask_anthropic(model, prompt)
    except (openai.APIError, anthropic.APIError) as error:
        raise _mapped(provider, model, error) from error


def _ask_openai(model: str, prompt: str) -> Answer:
    done = _openai().chat.completions.create(model=model, max_completion_tokens=MAX_TOKENS, messages=[{"role": "user", "content": prompt}])
    used_in, used_out = (done.usage.prompt_tokens, done.usage.completion_tokens) if done.usage else (0, 0)
    return Answer("openai", model, done.choices[0].message.content or "", used_in, used_out)


def _ask_anthropic(model: str, prompt: str) -> Answer:
    done = _anthropic().messages.create(model=model, max_tokens=MAX_TOKENS, messages=[{"role": "user", "content": prompt}])
    text = "".join(block.text for block in done.content if block.type == "text")
    return Answer("anthropic", model, text, done.usage.input_tokens, done.usage.output_tokens)


def _mapped(provider: str, model: str, error: openai.APIError | anthropic.APIError) -> LlmError:
    if isinstance(error, (openai.APITimeoutError, anthropic.APITimeoutError)):
        return LlmError("timeout", 504, f"{provider} did not answer within {get_settings().llm_timeout:g} s")
    if isinstance(error, (openai.APIConnectionError, anthropic.APIConnectionError)):
        return LlmError("connection", 502, f"{provider} cannot be reached: {error.__cause__ or error}")
    if not isinstance(error, (openai.APIStatusError, anthropic.APIStatusError)):
        return LlmError("answer", 502, f"{provider} gave an answer that cannot be read: {error}")
    text = str(error)
    if getattr(error, "code", None) == "insufficient_quota" or "credit balance is too low" in text:
        return LlmError("quota", 503, f"{provider}: the quota is used up: {text}")
    if error.status_code in (401, 403):
        return LlmError("auth", 502, f"{provider} refuses the key: {text}")
    if error.status_code == 404:
        return LlmError("model", 502, f"{provider} does not know the model {model}: {text}")
    if error.status_code == 429:
        return LlmError("rate_limit", 503, f"{provider}: rate limit reached: {text}", error.response.headers.get("retry-after"))
    return LlmError("provider", 503 if error.status_code >= 500 else 502, f"{provider} failed with {error.status_code}: {text}")
