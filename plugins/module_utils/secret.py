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
import json
import os
import re
from typing import Any, Iterable
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
_HIDDEN = r"\g<1>" + MASK

# Of a shorter word too much would be hidden.
SHORTEST = 6
# A secret that holds others: a .env, JSON, a keyword DSN, a key of many lines.
_LONGEST_LIST = 16384
_MOST_LINES = 200
_ACCOUNT = re.compile(r"://[^\s:/@]*:(.+)@")
_ENTRY = re.compile(r"""([\w.-]{1,60})["']?\s{0,9}[:=]\s{0,9}("[^"\n]*"|'[^'\n]*'|[^\s,;"']+)""")
_HEX_PAIR = re.compile(r"%[0-9A-F]{2}")

# What people leave in place; told as a flag, and too common a word to be blotted out of text.
DEFAULTS = frozenset(
    "admin change-me change_me changeme default dev development example guest insecure key mysecret pass passw0rd password "
    "postgres redis root secret secretkey secret_key secret-key test user your-secret-key your_secret_key".split()
)

SECRET_NAME = re.compile(
    r"(pass(word|wd|phrase)?|secret|token|api_?key|private_?key|access_?key|signing_?key|credential|auth(?!or)|authorization|dsn|salt|jwt|cookie"
    r"|session_?key|account_?key|master_?key|connection_?str(ing)?|(^|_)keys?\d*$|(^|_)pw$|_pwd$|_pin$|_pat$)",
    re.IGNORECASE,
)
# Names with such a word that tell how a secret is used, and hold none.
_ABOUT_SECRETS = re.compile(
    r"(_(minutes|seconds|hours|days|expir(e|es|y|ation)|ttl|lifetime|leeway|algorithms?|types?|issuer|audience|length|rounds|enabled|required|file|path"
    r"|host(name)?|port|user(name)?|name|prefix|hashers?|policy|header)"
    r"|max_(\w+_)?tokens)$",
    re.IGNORECASE,
)

# Quoted (also inside a quoted text, where the quotes are escaped), or up to the next space.
_VALUE = r"""(?:\\+"(?:[^"\\]|\\+[^"\\])*\\*"|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s&;]+)"""
# After "token: " or "password " these are the rest of a sentence, which says what is wrong.
_PROSE = (
    r"""(?!["']?(?:\*\*\*|a|an|and|are|as|at|auth\w*|been|but|by|can(?:not)?|check\w*|could|denied|does|empty|error|exceeded|expected|expired|expires|fail\w*"""
    r"|false|for|format|from|has|have|header|in|incorrect|invalid|is|it|malformed|mismatch|missing|must|no|none|not|null|of|on|or|provided|refused|rejected"
    r"|required|revoked|scheme|signature|supplied|the|to|too|token|true|type|undefined|unknown|unset|was|were|with|without|wrong)\b(?![\w=-]))"
)
# After "token=" only these are no token.
_NOTHING = r"""(?!["']?(?:\*\*\*|true|false|none|null|nil|undefined|unset|empty)\b(?![\w=-]))"""
_WORD = (
    r"(?:password|passwd|passphrase|passcode|(?:_|\b)pass|(?:_|\b)pwd|secret"
    r"""|token(?!s?[_-]?(?:type|count|limit|usage)|s?["'\\]{0,9}\s{0,9}[:=]{1,2}\s{0,9}\d{1,7}\b)"""
    r"|api[_-]?key|private[_-]?key|access[_-]?key(?![_-]?name\b)|account[_-]?key|signing[_-]?key|encryption[_-]?key|credential|session[_-]?id|sess(?:ion)?id)"
)
_WORD_HINTS = ["pass", "pwd", "secret", "token", "key", "credential", "sess", "csrf", "jwt"]
# What stands between two words of a command line: blanks, or the marks of a list.
_NEXT = r"""(?:["'\\]{0,9}\s{1,9}|["'\\]{1,9}\s{0,9},\s{0,9})"""
_AUTH = r"""(?<![\w-])["']?AUTH""" + _NEXT + r"(?!(?:commands?|extensions?|handshakes?|mechanisms?|methods?|requests?|responses?|repl(?:y|ies))\b)"
_BESIDE = r"""(?:["'\\]{0,9}[^\S\n]{1,9}|["'\\]{1,9}\s{0,9},\s{0,9})"""
# What follows a user is no password where it is a mark of a shell, or a plain word before others than those of a refusal: a sentence.
_NO_SENTENCE = _PROSE + r"(?![|;&<>)])(?![a-z]{1,20}\s{1,9}" + _PROSE + r"\w)"
# How pydantic and FastAPI name a value that was sent to them, in an error's dictionary; the marks may be escaped.
_SENT = r"""["'\\]{1,9}input["'\\]{1,9}\s{0,9}:\s{0,9}"""
_WHERE_SENT = r"""["'\\]{1,9}loc["'\\]{1,9}\s{0,9}:\s{0,9}[\[(][^\n]{0,150}?[\])],\s{0,9}["'\\]{1,9}msg["'\\]{1,9}\s{0,9}:"""
# Such a value as far as it can be told where it ends: a text, a word, a list or dictionary of a few levels.
_TEXT = r"""(?:\\{1,9}"(?:[^"\\]|\\{1,9}[^"\\]){0,999}\\{1,9}"|"(?:[^"\\]|\\.){0,999}"|'(?:[^'\\]|\\.){0,999}')"""
_ITEM = r"""(?:[^\[\](){}"'\\\n]|""" + _TEXT + ")"
_LIST = r"[\[({](?:" + _ITEM + r"|[\[({](?:" + _ITEM + r"|[\[({]" + _ITEM + r"{0,300}[\])}]){0,300}[\])}]){0,300}[\])}]"
_WHOLE = r"(?:b?" + _TEXT + r"|[\w.+-]{1,60}|\*\*\*|" + _LIST + r")(?=\s{0,9}(?:[,}\])]|$))"
_KEYS = (
    r"sk-[\w*-]{8,}|hf_[A-Za-z0-9]{20,}|gsk_\w{16,}|pplx-\w{16,}|r8_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{30,}|SG\.[\w-]{10,}\.[\w-]{10,}|ya29\.[\w-]{16,}"
    r"|whsec_\w{10,}|xai-\w{16,}|nvapi-[\w-]{16,}|[sprw]k_(?:live|test)_\w{8,}|gh[opusr]_\w{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|xox[abeprs]-[\w-]{8,}"
    r"|AKIA\w{8,}|AIza[\w-]{8,}"
)

# What a text must hold, in lower case, for the shape to be worth looking for; the shape: what stands in its first group stays.
# Repetitions are bounded where they could run over the same text again and again: a hostile log line must cost no time.
_SHAPES: list[tuple[list[str], re.Pattern[str]]] = [
    # user:password@ in any URL, whatever the driver, also with a raw "@" or "/" in the password; a long user alone is a key
    (["://"], re.compile(r"""(://[^\s:/@"']*:)(?:(?!://)[^\s"'])+(?=@)""")),
    (["://"], re.compile(r"""(://)[^\s:/@"'*]{16,}(?=@)""")),
    # with a quote or blanks in the password; cut off before the "@": what is no port; all of it URL-encoded
    (
        ["://"],
        re.compile(
            r"""(://[^\s:/@"'*\[]{0,60}:)(?!\d{1,5}(?:\D|$))[^\s@"']{0,60}(?:["'][^\s@]{1,60}|(?:\x20[^\s@"']{1,60}){1,3})(?=@[\w.-]{1,60}(?:[:/"'\s]|$))"""
        ),
    ),
    (["://"], re.compile(r"""((?:://(?!localhost:)[^\s:/@"'*\[]{1,60}|rediss?://):)(?!\d{1,5}(?:\D|$))[^\s"'/@*$<{%]+""")),
    (["%3a%2f%2f"], re.compile(r"""(%3A%2F%2F(?:(?!%3A|%40)[^\s&"']){0,60}%3A)(?:(?!%40)[^\s&"']){1,200}(?=%40)""", re.IGNORECASE)),
    (["%3d"], re.compile("(" + _WORD + r"""[\w.-]{0,40}%3D)(?:(?!%26)[^\s&"'])+""", re.IGNORECASE)),
    # what signs or opens a URL
    (
        ["sig", "code=", "key=", "hmac=", "otp=", "assertion="],
        re.compile(r"""([?&;](?:[\w-]{0,30}(?:sig|signature|hmac|assertion)|otp|key|code)=)(?!\d{1,4}\b)[^\s&"'#]+""", re.IGNORECASE),
    ),
    # headers, to their end: "Authorization: Basic …", "Cookie: a=b; c=d"
    (
        ["authorization"],
        re.compile(
            r"""(\bauthorization["'\\]{0,9}\s{0,9}(?:=>|[:=,])\s{0,9}["'\\]{0,9})(?:(?:digest|hawk|oauth|aws4[\w-]{0,20})\s[^\n]*|"""
            r"""(?:(?:bearer|basic|token|negotiate|api-?key|key)\s+)?""" + _PROSE + r"""[^\s"',]+)""",
            re.IGNORECASE,
        ),
    ),
    (["cookie"], re.compile(r"""(cookie["'\\]{0,9}\s{0,9}(?:=>|[:=])\s{0,9})""" + _PROSE + r"""(?:"[^"\n]*"?|'[^'\n]*'?|[^\n"']+)""", re.IGNORECASE)),
    (["bearer"], re.compile(r"(\bBearer\s{1,9})" + _PROSE + r"[\w.~+/=:-]+", re.IGNORECASE)),
    (["basic", "token"], re.compile(r"(\b(?:Basic|Token)\s{1,9})(?=[\w.~+/-]{0,99}[\d=])[\w.~+/=-]{8,}", re.IGNORECASE)),
    # name=value, "name": "value", name => value, --name value
    (_WORD_HINTS, re.compile("((?:" + _WORD + r"""|csrf|\bjwt)[\w.-]{0,40}["'\\]{0,9}=)""" + _NOTHING + _VALUE, re.IGNORECASE)),
    (_WORD_HINTS, re.compile("(" + _WORD + r"""[\w.-]{0,40}["'\\]{0,9}\s{0,9}(?:=>|[:=]{1,2})\s{0,9})""" + _PROSE + _VALUE, re.IGNORECASE)),
    # (name, value), {"name": name, "value": value}
    (
        _WORD_HINTS,
        re.compile(r"""([(\[]b?["'][\w.-]{0,40}""" + _WORD + r"""[\w.-]{0,40}["'],\s{0,9}b?)(?:"[^"]{0,500}"|'[^']{0,500}')(?=[)\]])""", re.IGNORECASE),
    ),
    (
        ["value"],
        re.compile(
            r"""((?:name|key)["'\\]{0,9}\s{0,9}[:=]\s{0,9}["'\\]{0,9}[\w.-]{0,40}"""
            + _WORD
            + r"""[\w.-]{0,40}["'\\]{0,9}\s{0,9},?\s{0,99}["'\\]{0,9}value["'\\]{0,9}"""
            r"""\s{0,9}[:=]\s{0,9})""" + _VALUE,
            re.IGNORECASE,
        ),
    ),
    (
        [*_WORD_HINTS, "masterauth"],
        re.compile(r"((?<![\w-])--?[\w-]{0,40}?(?:" + _WORD + r"|requirepass|masterauth)[\w-]{0,40}" + _NEXT + ")" + _VALUE, re.IGNORECASE),
    ),
    (["-cli"], re.compile(r"""((?:redis|valkey|keydb)-cli\b[^\n]{0,200}?[\s"',]-a""" + _NEXT + ")" + _VALUE)),
    (["-cli"], re.compile(r"""((?:redis|valkey|keydb)-cli\b[^\n]{0,200}?[\s"',]-a)(?:"(?![\s,\]])[^"\n]+"?|'(?![\s,\]])[^'\n]+'?|[^\s"'\\,]+)""")),
    (["cli_auth"], re.compile(r"""(\b(?:REDIS|VALKEY)CLI_AUTH["'\\]{0,9}\s{0,9}[:=]\s{0,9})""" + _NOTHING + _VALUE)),
    (["curl"], re.compile(r"""(\bcurl\b[^\n]{0,200}?[\s"',](?:-u|--user)(?:=|""" + _NEXT + r""")["'\\]{0,9}[^\s:"'\\]{1,60}:)[^\s"'\\]+""")),
    (["mysql", "mariadb"], re.compile(r"""(\b(?:mysql|mariadb)[\w-]{0,20}\b[^\n]{0,200}?[\s"',]-p)[^\s"',]+""")),
    # SQL and Redis: PASSWORD 'x', IDENTIFIED BY 'x', requirepass x, AUTH [user] x
    (
        ["password", "identified"],
        re.compile(
            r"""(\b(?:password|identified\s{1,9}by)\s{1,9})(?:[eE]?'(?:[^'\\]|''|\\.)*'?|"(?:[^"\\]|\\.)*"?"""
            r"""|\$(?P<tag>\w{0,20})\$.*?(?:\$(?P=tag)\$|$))""",
            re.IGNORECASE | re.DOTALL,
        ),
    ),
    (["password"], re.compile(r"""(\bpassword\s(?:is|was)\s{1,9})(?=[^\s,;]{0,60}\d)[^\s,;]+""", re.IGNORECASE)),
    (["requirepass", "masterauth"], re.compile(r"""(\b(?:requirepass|masterauth)""" + _NEXT + ")" + _VALUE, re.IGNORECASE)),
    (["setuser"], re.compile(r"""(\bsetuser""" + _NEXT + r"""["']?[\w.-]{1,60}["']?)[^\n]*""", re.IGNORECASE)),
    (["user "], re.compile(r"""(\buser\s[^\s]{1,60}\s(?:on|off)\s[^\n>#]{0,200}[>#])\S+""")),
    (
        ["auth2", "hello"],
        re.compile(
            r"""(\b(?:AUTH2|HELLO""" + _NEXT + r"""["']?\d["']?""" + _NEXT + r"""["']?AUTH)""" + _NEXT + r"""["']?[^\s"',]{1,60}""" + _NEXT + ")" + _VALUE,
            re.IGNORECASE,
        ),
    ),
    (["auth"], re.compile("(" + _AUTH + _PROSE + r"""["']?[^\s<"',][^\s"',]{0,60}""" + _BESIDE + ")" + _NO_SENTENCE + _VALUE)),
    (
        ["auth"],
        re.compile("(" + _AUTH + r""")(?:"[^"]*"(?:[\s,]{1,9}"[^"]*")?|'[^']*'(?:[\s,]{1,9}'[^']*')?|""" + _PROSE + r"""(?!<)[^\s"']+)"""),
    ),
    # values that PostgreSQL and SQLAlchemy quote from statements
    (["failing row contains"], re.compile(r"(\bFailing row contains \()[^\n]*", re.IGNORECASE)),
    (["key ("], re.compile(r"(\bKey \([^)\n]{1,200}\)=\()[^\n]{1,1000}?(?=\) (?:already|is not|is still|conflicts)|\n|$)")),
    (["parameters: "], re.compile(r"""(\bparameters: )(?:\$1 = [^\n]*|[(\[{][^\n]*?(?=\](?:[\s\\"']|$)|\n|$))""", re.IGNORECASE)),
    # values that pydantic and FastAPI quote from what was sent, in an error's text and in its dictionary (there in the order of the keys, too)
    (
        ["input_value="],
        re.compile(r"(\binput_value=)(?:" + _TEXT + r"(?=,\s{1,9}input_type=)|[^\n]*?(?=,\s{1,9}input_type=|\n|\Z))"),
    ),
    (["input"], re.compile("(" + _WHERE_SENT + r"[^\n]{1,500}?,\s{0,9}" + _SENT + ")(?:" + _WHOLE + r"|[^\n]*)")),
    (["input"], re.compile("(" + _SENT + r")(?!\*\*\*)(?:" + _WHOLE + r"|[^\n]{1,200}?)(?=,\s{0,9}" + _WHERE_SENT + ")")),
    # what Docker keeps of an account
    (["auth"], re.compile(r"""(["'\\]{1,9}auth["'\\]{1,9}\s{0,9}:\s{0,9}["'\\]{1,9})(?=[A-Za-z+/]{0,200}[\dA-Z=])[A-Za-z0-9+/]{8,}={0,2}""")),
    (["api key"], re.compile(r"""(\bapi key(?:\s(?:provided|given|is|was))?:?\s{1,9}["']?)(?=[^\s,;"']{0,200}[\d*])[^\s,;"']{6,}""", re.IGNORECASE)),
    # what services call their keys
    (["eyj"], re.compile(r"(\b)eyJ[\w-]{5,}\.[\w-]+\.?[\w-]*")),
    (
        ["sk-", "k_", "gh", "glpat-", "xox", "akia", "aiza", "hf_", "pplx-", "r8_", "npm_", "sg.", "ya29.", "whsec_", "xai-", "nvapi-"],
        re.compile(r"(\b)(?:" + _KEYS + ")"),
    ),
    (["private key"], re.compile(r"()-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|$)", re.DOTALL)),
]
# A long word that looks random is a key or an id; neither is needed to understand a message.
_LONG_WORD = re.compile(r"[\w+-]{16,}={0,2}")
_TURN = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")


def _without_random(match: re.Match[str]) -> str:
    """A part of it with letters and digits mixed more than once over: not a container's name, not a setting's."""
    random = any(len(part) >= 8 and len(_TURN.findall(part)) >= 2 for part in re.split(r"[-_+]", match[0]))
    return MASK if random else match[0]


class Mask:
    """Hides the secrets of one run. Its key lives as long as the object: hashes of two runs do not compare."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._known: set[str] = set()
        self._kept: set[str] = set()
        self._longest_first: list[str] | None = None

    def secret(self, value: str | None) -> dict[str, Any]:
        """{set, length, hash, default}: what may be said of a secret; from now on its value is blotted out of text()."""
        if not value:
            return {"set": False}
        self.learn(value)
        return {"set": True, "length": len(value), "hash": self.digest(value), "default": value.lower() in DEFAULTS}

    def digest(self, value: str) -> str:
        """A hash keyed for this run: equal values compare equal, and nothing else can be learned from it."""
        return hmac.new(self._key, value.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:12]

    def keep(self, names: Iterable[str]) -> None:
        """These names of the stack stay readable in every text, also where a secret is the same word, or a part of one."""
        self._kept.update(name for name in names if len(name) >= SHORTEST)

    def learn(self, value: str | None) -> None:
        """Blot this value, and the secrets inside it, out of every text from now on: as it is, URL-encoded and in base64."""
        for piece in _pieces(value or ""):
            if len(piece) >= SHORTEST and piece.lower() not in DEFAULTS:
                self._known.update(_forms(piece))
        self._longest_first = None

    def text(self, text: str) -> str:
        """The text with every known secret, and whatever has the shape of one, replaced by ***."""
        text = self._without_known(text)
        lower = text.lower()
        for hints, shape in _SHAPES:
            if any(hint in lower for hint in hints):
                text = shape.sub(_HIDDEN, text)
        return _LONG_WORD.sub(lambda match: match[0] if match[0] in self._kept else _without_random(match), text)

    def words(self, words: Iterable[str]) -> list[str]:
        """The words of a command line, each as text() has it: what is secret may be known by the word before."""
        words = list(words)
        masked = self.text("\x1f".join(words)).split("\x1f")
        return masked if len(masked) == len(words) else [self.text(word) for word in words]

    def _without_known(self, text: str) -> str:
        if self._longest_first is None:
            self._longest_first = sorted(self._known, key=len, reverse=True)
        found = [value for value in self._longest_first if value in text and value not in self._kept]
        if not found:
            return text
        # A name of which a secret is but a part is passed over whole.
        names = {name for name in self._kept if name in text and any(value in name for value in found)}
        words = [
            r"(?<![\w.-])(?P<name%d>%s)(?![\w-])" % (place, re.escape(word)) if word in names else re.escape(word)
            for place, word in enumerate(sorted([*found, *names], key=len, reverse=True))
        ]
        return re.sub("|".join(words), lambda match: match[0] if match.lastgroup else MASK, text)


def _pieces(value: str) -> set[str]:
    """What of a secret may be met by itself: without the blanks around it, the password of a URL, the lines of a key, the passwords in a list."""
    pieces = {value, value.strip()}
    if len(value) > _LONGEST_LIST:
        return pieces
    account = _ACCOUNT.search(value)
    if account:
        pieces.add(account[1])
    for name, text in _ENTRY.findall(value):
        text = text.strip("\"'")
        # "auth: enabled" is no password; a short word that is one is still hidden by its shape.
        if is_secret_name(name) and not re.fullmatch(r"[A-Za-z]{1,9}|[\d.]+", text):
            pieces.add(text)
    lines = value.split("\n")
    return pieces | {line.strip() for line in lines if len(line) >= 16} if 1 < len(lines) <= _MOST_LINES else pieces


def _forms(value: str) -> set[str]:
    """How a value may be written."""
    forms: set[str] = set()
    for form in (value, unquote(value)):
        if len(form) < SHORTEST:
            continue
        encoded = form.encode("utf-8", "surrogateescape")
        quoted = (quote(encoded, safe=""), quote(encoded), quote_plus(encoded))
        forms.update({form, *quoted, *(_HEX_PAIR.sub(lambda pair: pair[0].lower(), word) for word in quoted)})
        forms.update({json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1], repr(form)[1:-1]})
        forms.update(_base64_cores(encoded))
    return forms


def shortened(text: str, most: int) -> str:
    """The beginning of a raw text, cut between two words: half a secret would not be known any more."""
    return text if len(text) <= most else re.sub(r"\S+$", "", text[:most]) if not text[most].isspace() else text[:most]


def ending(text: str, most: int) -> str:
    """The end of a raw text, cut in the same way."""
    return text if len(text) <= most else re.sub(r"^\S+", "", text[-most:]) if not text[-most - 1].isspace() else text[-most:]


# Scheme, a name, no password (or one that is hidden already), host and port, and one short word after it (a database, not a token), or plain words.
_PLAIN_URL = re.compile(r"^\w[\w+.-]*://(?:[^\s:/@?#]{0,15}(?::\*\*\*)?@)?[\w.\[\]:-]+(?:/[\w.-]{0,15}|(?:/(?:[a-z][a-z_-]{0,19}|v\d{1,2}))+/?)?$")


def is_plain_url(text: str) -> bool:
    """Whether a text is a URL that tells where something is, and nothing that opens it."""
    return bool(_PLAIN_URL.match(text))


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret, by the words people use."""
    return bool(SECRET_NAME.search(name)) and not _ABOUT_SECRETS.search(name)


# To PostgreSQL every character beyond ASCII is a letter.
_LETTER = r"A-Za-z_\x80-\U0010ffff"
# The parts of an SQL text from left to right, since each may hold the marks of all others. Each begins in its own way and takes what it has
# begun with, to the end where nothing closes it: nothing is read twice. E'…' has escapes; in a plain one (B, N, X and U& too) it is not clear
# how the server reads a backslash before a quote, and the rest goes.
_PART = re.compile(
    r"(?P<escaped>[eE]'(?:[^'\\]|''|\\.|\\\Z)*(?P<escaped_end>')?)"
    r"|(?P<plain>[bBnNxX]?'(?:[^'\\]|''|\\[^'])*(?:(?P<plain_end>')|(?P<unsure>\\'.*)|\\?\Z))"
    r"|\$(?P<tag>(?:[" + _LETTER + r"][" + _LETTER + r"0-9]*)?)\$(?:.*?(?P<tag_end>\$(?P=tag)\$)|.*)"
    r"|(?P<name>\"(?:[^\"]|\"\")*(?P<name_end>\")?)"
    r"|(?P<comment>/\*)|(?P<line>--[^\n\r]*)"
    r"|(?P<number>[0-9][\w.]*)|[" + _LETTER + r"][" + _LETTER + r"0-9$]*|\$[0-9]+",
    re.DOTALL,
)
_COMMENT_MARK = re.compile(r"/\*|\*/")
_DEEPEST_COMMENT = 20
# What must stand before a text so that all of it is hidden: a literal of which nobody can say where it ends.
ALL_HIDDEN = "'\\'"


def masked_query(query: str) -> str:
    """An SQL text without its literals and comments: they can hold personal data and passwords.

    Where it is not clear how the server reads it (a backslash before a quote, a text cut off), the rest goes, too.
    """
    return query_shape(query[:4000])[0][:300]


def query_shape(query: str, opened: str = "") -> tuple[str, str]:
    """(the text without its literals and comments, what is still open at its end: "'", "E'", "$tag$", '"', "/*", ALL_HIDDEN; "" for nothing).

    opened: what the part before this one has left open; the beginning is the rest of that then.
    """
    text = opened + query
    shown: list[str] = []
    place, left = 0, ""
    part = _PART.search(text)
    while part:
        shown.append(text[place : part.start()])
        place = part.end()
        said, left = _part_shape(part)
        if part["comment"]:
            place, depth = _comment_end(text, part.start())
            left = "/*" * depth if depth <= _DEEPEST_COMMENT else ALL_HIDDEN
        # Of a name that goes on over several lines nobody knows that it is one.
        shown.append("?" if part["name"] and opened and not part.start() else said)
        part = _PART.search(text, place)
    shown.append(text[place:])
    return re.sub(r"\s+", " ", "".join(shown)).strip(), left


def _part_shape(part: re.Match[str]) -> tuple[str, str]:
    """(what is shown of a part, what it leaves open)."""
    if part["escaped"]:
        return "?", "" if part["escaped_end"] else "E'"
    if part["plain"]:
        return "?", "" if part["plain_end"] else ALL_HIDDEN if part["unsure"] else "'"
    if part["tag"] is not None:
        return "?", "" if part["tag_end"] else "$%s$" % part["tag"]
    if part["name"]:
        return (part[0], "") if part["name_end"] else ("?", '"')
    if part["comment"] or part["line"]:
        return " ", ""
    return "?" if part["number"] else part[0], ""


def _comment_end(text: str, place: int) -> tuple[int, int]:
    """(where the comment that begins there ends, how many are still open there): comments can stand in comments."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, place):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end(), 0
    return len(text), depth


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
