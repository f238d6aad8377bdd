# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Would this client be let in? Told from the server's own records, without trying: a failed login is a trace in its log."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import stringprep
import unicodedata
from typing import Any, Iterable, Mapping

_SCRAM = "SCRAM-SHA-256$"


def password_matches(verifier: str | None, user: str, password: str) -> bool | None:
    """Whether a password fits what pg_authid.rolpassword holds (SCRAM-SHA-256 or md5); None for a verifier of another kind."""
    if not verifier:
        return None
    if verifier.startswith(_SCRAM):
        try:
            rounds_and_salt, keys = verifier[len(_SCRAM) :].split("$")
            rounds, salt = rounds_and_salt.split(":")
            stored_key = base64.b64decode(keys.split(":")[0])
            salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), base64.b64decode(salt), int(rounds))
        except ValueError:
            return None
        client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
        return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key)
    if verifier.startswith("md5") and len(verifier) == 35:
        digest = hashlib.md5((password + user).encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
        return hmac.compare_digest("md5" + digest, verifier)
    return None


def _prepared(password: str) -> bytes:
    """The password after SASLprep (RFC 4013); unchanged where that does not apply, as PostgreSQL does it."""
    raw = password.encode("utf-8", "surrogateescape")
    if password.isascii():
        return raw
    mapped = "".join(" " if stringprep.in_table_c12(char) else char for char in password if not stringprep.in_table_b1(char))
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    prohibited = (
        stringprep.in_table_a1, stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
        stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8, stringprep.in_table_c9,
    )  # fmt: skip
    if not normal or any(check(char) for char in normal for check in prohibited):
        return raw
    if any(stringprep.in_table_d1(char) for char in normal):
        if any(stringprep.in_table_d2(char) for char in normal) or not (stringprep.in_table_d1(normal[0]) and stringprep.in_table_d1(normal[-1])):
            return raw
    return normal.encode("utf-8", "surrogateescape")


def hba_method(rules: Iterable[Mapping[str, Any]], address: str, user: str, database: str, server_has_ssl: bool | None = False) -> str | None:
    """How pg_hba.conf would authenticate this client over TCP: the method of the first rule that fits.

    rules: rows of pg_hba_file_rules. "none": no rule fits. None: cannot be told (host names, groups, TLS or a loopback's samehost).
    """
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return None
    for rule in rules:
        fits = _rule_fits(rule, client, user, database, server_has_ssl)
        if fits is None:
            return None
        if fits:
            return rule["auth_method"]
    return "none"


def _rule_fits(rule: Mapping[str, Any], client: Any, user: str, database: str, server_has_ssl: bool | None) -> bool | None:
    if rule.get("error"):
        return None
    kind = rule.get("type")
    if kind == "local" or kind == "hostgssenc":
        return False
    answers = [
        _name_fits(rule.get("database") or [], database, same="sameuser", same_as=user, groups=("samerole", "samegroup")),
        _name_fits(rule.get("user_name") or [], user),
        _address_fits(rule, client),
    ]
    if kind in ("hostssl", "hostnossl") and server_has_ssl is not False:
        answers.append(None)
    elif kind == "hostssl":
        answers.append(False)
    if False in answers:
        return False
    return None if None in answers else True


def _name_fits(names: Iterable[str], name: str, same: str = "", same_as: str = "", groups: tuple[str, ...] = ()) -> bool | None:
    answer: bool | None = False
    for entry in names:
        if entry == "all" or entry == name:
            return True
        if same and entry == same and same_as == name:
            return True
        if entry.startswith(("+", "/", "@")) or entry in groups:
            answer = None
    return answer


def _address_fits(rule: Mapping[str, Any], client: Any) -> bool | None:
    address, mask = rule.get("address"), rule.get("netmask")
    if address == "all":
        return True
    if address == "samehost":
        return None if client.is_loopback else False
    if not address or address == "samenet" or not mask:
        return None
    try:
        bits = bin(int(ipaddress.ip_address(mask))).count("1")
        network = ipaddress.ip_network("%s/%d" % (address, bits), strict=False)
    except ValueError:
        return None
    return client.version == network.version and client in network
