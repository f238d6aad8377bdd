# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an X.509 certificate says of itself: from when until when, for which names, by whom. Pure, and no judge of signatures."""

from __future__ import annotations

import base64
import binascii
import calendar
import ipaddress
import re
import time
from typing import Any

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
# Object identifiers as they are encoded.
_COMMON_NAME = b"\x55\x04\x03"
_ORGANISATION = b"\x55\x04\x0a"
_OTHER_NAMES = b"\x55\x1d\x11"
# Tags.
_SEQUENCE, _SET, _OID, _OCTETS, _UTC, _CLOCK = 0x30, 0x31, 0x06, 0x04, 0x17, 0x18
_VERSION, _EXTENSIONS, _DNS, _ADDRESS = 0xA0, 0xA3, 0x82, 0x87

Element = tuple[int, bytes]


def read_certificate(text: bytes) -> dict[str, Any] | None:
    """{"not_before", "not_after" (UNIX seconds), "names", "issuer"} of the first certificate of a PEM text; None where it holds none that can be read."""
    found = _PEM.search(text)
    if not found:
        return None
    try:
        return _read(base64.b64decode(b"".join(found.group(1).split()), validate=True))
    except (binascii.Error, ValueError, IndexError):
        return None


def _read(data: bytes) -> dict[str, Any]:
    fields = elements(elements(elements(data)[0][1])[0][1])
    if fields[0][0] == _VERSION:
        fields = fields[1:]
    _serial, _algorithm, issuer, validity, subject = fields[:5]
    before, after = (_moment(one) for one in elements(validity[1]))
    others = [name for tag, value in fields[5:] if tag == _EXTENSIONS for name in _other_names(value)]
    names = others or _attributes(subject[1], _COMMON_NAME)
    return {"not_before": before, "not_after": after, "names": names, "issuer": next(iter(_attributes(issuer[1], _COMMON_NAME, _ORGANISATION)), "")}


def elements(data: bytes) -> list[Element]:
    """The elements of a DER text, one after another: (tag, what is in it)."""
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("it is cut off")
        found.append((tag, data[at : at + length]))
        at += length
    return found


def _moment(one: Element) -> float:
    """A time, by two digits of the year or by four."""
    tag, value = one
    text = value.decode("ascii").rstrip("Z")
    if tag == _UTC:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return float(calendar.timegm(time.strptime(text[:14], "%Y%m%d%H%M%S")))


def _attributes(name: bytes, *wanted: bytes) -> list[str]:
    """The values of these attributes of a distinguished name, in the order in which they are wanted."""
    pairs = [elements(pair) for tag, group in elements(name) if tag == _SET for inner, pair in elements(group) if inner == _SEQUENCE]
    return [value.decode("utf-8", "replace") for oid in wanted for (_tag, kind), (_other, value) in (pair[:2] for pair in pairs) if kind == oid]


def _other_names(extensions: bytes) -> list[str]:
    found = []
    for _tag, extension in elements(elements(extensions)[0][1]):
        parts = elements(extension)
        if parts[0] != (_OID, _OTHER_NAMES) or parts[-1][0] != _OCTETS:
            continue
        for tag, value in elements(elements(parts[-1][1])[0][1]):
            if tag == _DNS:
                found.append(value.decode("ascii", "replace"))
            elif tag == _ADDRESS and len(value) in (4, 16):
                found.append(str(ipaddress.ip_address(value)))
    return found
