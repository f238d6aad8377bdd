# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets are replaced where they are read: by flags and by a hash keyed for the run, so that equal still compares equal.

Text (log lines, error messages, query texts) is masked twice: by the values that are known to be secret in this stack,
and by the shapes that secrets have.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

# What people leave in place; told as a flag, and too common a word to be blotted out of text.
DEFAULTS = frozenset(
    "admin change-me change_me changeme default dev development example guest insecure key mysecret pass passw0rd password "
    "postgres redis root secret secretkey secret_key secret-key test user your-secret-key your_secret_key".split()
)

SECRET_NAME = re.compile(
    r"(pass(word|wd|phrase)?|secret|token|api_?key|private_?key|access_?key|signing_?key|credential|auth(?!or)|dsn|salt|jwt|cookie|session_?key|_key$|^key$)",
    re.IGNORECASE,
)

_QUOTED_VALUE = r"(\"[^\"]*\"|'[^']*'|[^\s,;&}\])]+)"
_SHAPES = [
    # user:password@ in any URL, whatever the driver
    (re.compile(r"(?P<head>[A-Za-z][\w+.-]*://[^\s:/@\"']*:)[^\s@\"']+(?=@)"), r"\g<head>" + MASK),
    (re.compile(r"(?P<head>\b(?:Bearer|Basic|Token)\s+)[\w.~+/=:-]+", re.IGNORECASE), r"\g<head>" + MASK),
    # name=value, "name": "value", name: value
    (
        re.compile(
            r"(?P<head>[\w.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|apikey|private[_-]?key|access[_-]?key|credential|authorization|cookie|x-api-key)"
            r"[\w.-]*[\"']?\s*(?:=|:|=>)\s*)" + _QUOTED_VALUE,
            re.IGNORECASE,
        ),
        r"\g<head>" + MASK,
    ),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.?[\w-]*"), MASK),
    (re.compile(r"\b(?:sk|pk|rk|ghp|gho|xox[abpr]|AKIA|AIza)[-_]?[\w-]{8,}"), MASK),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), MASK),
    # A long word of letters and digits mixed is a key or an id; neither is needed to understand a message.
    (re.compile(r"(?<![\w./-])(?=[\w+=-]*[A-Za-z])(?=[\w+=-]*\d)[\w+=-]{16,}(?![\w./-])"), MASK),
]


class Mask:
    """Hides the secrets of one run. Its key lives as long as the object: hashes of two runs do not compare."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def secret(self, value: str | None) -> dict[str, Any]:
        """{set, length, hash, default}: what may be said of a secret; from now on its value is blotted out of text()."""
        if not value:
            return {"set": False}
        self.learn(value)
        digest = hmac.new(self._key, value.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:12]
        return {"set": True, "length": len(value), "hash": digest, "default": value.lower() in DEFAULTS}

    def learn(self, value: str | None) -> None:
        """Blot this value out of every text from now on, as it is, URL-encoded and in base64."""
        if not value or len(value) < 6 or value.lower() in DEFAULTS:
            return
        for form in {value, unquote(value)}:
            self._known.update({form, quote(form, safe=""), quote_plus(form)})
            self._known.update(_base64_cores(form.encode("utf-8", "surrogateescape")))
        self._pattern = None

    def text(self, text: str) -> str:
        """The text with every known secret, and whatever has the shape of one, replaced by ***."""
        if self._known:
            if self._pattern is None:
                longest_first = sorted(self._known, key=len, reverse=True)
                self._pattern = re.compile("|".join(re.escape(value) for value in longest_first))
            text = self._pattern.sub(MASK, text)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret, by the words people use."""
    return bool(SECRET_NAME.search(name))


def masked_query(query: str) -> str:
    """An SQL text without its literals and comments: they can hold personal data and passwords."""
    query = re.sub(r"/\*.*?(\*/|$)", " ", query, flags=re.DOTALL)
    query = re.sub(r"--[^\n]*", " ", query)
    query = re.sub(r"\$(\w*)\$.*?(\$\1\$|$)", "?", query, flags=re.DOTALL)
    query = re.sub(r"[eEbBxX]?'(?:[^'\\]|''|\\.)*('|$)", "?", query, flags=re.DOTALL)
    query = re.sub(r"(?<![\w\"$])\d+(\.\d+)?\b", "?", query)
    return re.sub(r"\s+", " ", query).strip()[:300]


def _base64_cores(value: bytes) -> set[str]:
    """The part of a value's base64 that is the same at each of the three offsets it can stand at in a longer text."""
    cores = set()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + value).decode("ascii").rstrip("=")
        start = (0, 2, 3)[offset]
        core = encoded[start : len(encoded) - (1 if (len(value) + offset) % 3 else 0)]
        if len(core) >= 8:
            cores.update({core, core.replace("+", "-").replace("/", "_")})
    return cores
