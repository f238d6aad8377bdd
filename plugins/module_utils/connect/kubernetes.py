# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Kubernetes API, asked raw: the client library's model objects cost more than the requests, and its import more than a look.

No exception of ours holds a header, a body that was sent, or what a Secret holds.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Mapping
from urllib.parse import urlencode

from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import USER_AGENT
from ansible_collections.aiops.runbook.plugins.module_utils.connect.kubeconfig import Access
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

IMPORT_ERROR = ""
try:
    import urllib3
    import urllib3.exceptions
except ImportError as error:
    urllib3 = None
    IMPORT_ERROR = str(error)

# Objects on one page of a list.
PAGE = 500
# Requests at once: a guest does not use up its share of the API server's seats.
AT_ONCE = 8
# A server that asks to wait is waited for, so often and so long at most.
ATTEMPTS = 3
LONGEST_WAIT = 5.0

Query = Mapping[str, Any]
Trim = Callable[[dict[str, Any]], dict[str, Any]]


class Cluster:
    """One API server, asked as one user. Every call has a time-out; what goes wrong is a StackError.

    Its kinds: auth (401), denied (403; fix names the rule that is missing), not_found, conflict, gone (410), invalid (422),
    throttled (429), server_error (5xx), timeout, unreachable, tls, protocol.
    timeout: seconds for one request. ahead: by how many seconds its clock is ahead of ours, give or take one; 0 for less.
    """

    def __init__(self, access: Access, timeout: float = 10.0) -> None:
        if urllib3 is None:
            raise StackError("the Python library urllib3 is missing (%s): run the role aiops.runbook.prepare" % IMPORT_ERROR, kind="missing_library")
        self.access = access
        self.timeout = timeout
        self.ahead = 0.0
        how: dict[str, Any] = {"maxsize": AT_ONCE, "block": True, "retries": False}
        if access.context is not None:
            how["ssl_context"] = access.context
            if access.tls_name:
                how["server_hostname"] = how["assert_hostname"] = access.tls_name
        self._http = urllib3.ProxyManager(access.proxy, **how) if access.proxy else urllib3.PoolManager(**how)

    def get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """The object at a path of the API."""
        return self._parsed(path, self.request("GET", path, query))

    def every(self, path: str, query: Query | None = None, trim: Trim | None = None) -> list[dict[str, Any]]:
        """All objects of a list, page by page, so that no page is held twice. trim: what of each is kept."""
        try:
            return self._pages(path, dict(query or {}), trim)
        except StackError as error:
            if error.kind != "gone":
                raise
        return self._pages(path, dict(query or {}), trim)  # it took so long that the first page is history: once more

    def _pages(self, path: str, query: dict[str, Any], trim: Trim | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        query["limit"] = PAGE
        while True:
            page = self._parsed(path, self.request("GET", path, query))
            items = page.get("items") or []
            found.extend(map(trim, items) if trim else items)
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return found
            query["continue"] = token

    def text(self, path: str, query: Query | None = None) -> str:
        """What stands at a path, as text (logs)."""
        return self.request("GET", path, query, accept="*/*").decode("utf-8", "replace")

    def change(self, method: str, path: str, body: Any = None, query: Query | None = None, content_type: str = "application/json") -> dict[str, Any]:
        """POST, PUT, PATCH or DELETE an object: what the server answers. content_type: which kind of patch."""
        data = None if body is None else json.dumps(body).encode("utf-8")
        return self._parsed(path, self.request(method, path, query, data, content_type))

    def request(
        self, method: str, path: str, query: Query | None = None, body: bytes | None = None, content_type: str = "", accept: str = "application/json"
    ) -> bytes:
        """The body of the answer. What only reads is asked again when the server stumbles; nothing that writes is sent twice but when it says so."""
        url = self.access.server + path + ("?" + urlencode(query, doseq=True) if query else "")
        attempt, renewed, until = 0, False, time.monotonic() + LONGEST_WAIT
        while True:
            attempt += 1
            try:
                status, headers, answer = self._send(method, url, body, content_type, accept)
            except StackError as error:
                if error.kind == "reset" and method == "GET" and attempt < ATTEMPTS:
                    continue
                raise
            if status < 300:
                return answer
            if status == 401 and not renewed and self.access.forget():
                renewed = True
                continue
            pause = _pause(status, headers, attempt, method == "GET")
            if pause is None or attempt >= ATTEMPTS or time.monotonic() + pause > until:
                raise refusal(status, answer, method, path)
            time.sleep(pause)

    def _send(self, method: str, url: str, body: bytes | None, content_type: str, accept: str) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Accept": accept, "Accept-Encoding": "gzip", "User-Agent": USER_AGENT, **self.access.headers()}
        if content_type:
            headers["Content-Type"] = content_type
        wait = urllib3.Timeout(connect=min(self.timeout, 5.0), read=self.timeout)
        try:
            answer = self._http.request(method, url, body=body, headers=headers, timeout=wait, redirect=False)
            self._compare_clocks(answer.headers.get("Date"))
            return answer.status, answer.headers, answer.data
        except urllib3.exceptions.SSLError as error:
            raise self._failure("cannot be trusted: %s" % _tls_reason(error), "tls") from None
        except urllib3.exceptions.NewConnectionError as error:  # to urllib3 a kind of time-out
            refused = "refused" in str(error)
            raise self._failure("does not answer (%s)" % ("connection refused" if refused else "no way to it"), "unreachable") from None
        except (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ReadTimeoutError):
            raise self._failure("did not answer in time", "timeout") from None
        except urllib3.exceptions.ProtocolError:
            raise self._failure("closed the connection", "reset") from None
        except urllib3.exceptions.HTTPError as error:
            raise self._failure("cannot be asked (%s)" % type(error).__name__, "unreachable") from None

    def _compare_clocks(self, date: str | None) -> None:
        """An answer tells whole seconds: what differs by less than one is no news."""
        with contextlib.suppress(TypeError, ValueError):  # no date, or none that can be read
            ahead = parsedate_to_datetime(date or "").timestamp() + 0.5 - time.time()
            self.ahead = ahead if abs(ahead - self.ahead) > 1.0 else self.ahead

    def _failure(self, what: str, kind: str) -> StackError:
        return StackError(
            "the API server %s %s" % (self.access.server, what), kind=kind, fix="check the kubeconfig's server and the network" if kind != "timeout" else ""
        )

    @staticmethod
    def _parsed(path: str, answer: bytes) -> dict[str, Any]:
        try:
            found = json.loads(answer)
        except ValueError:
            raise StackError("what answers at %s is no Kubernetes API" % path, kind="protocol") from None
        return found if isinstance(found, dict) else {}


def refusal(status: int, answer: bytes, method: str, path: str) -> StackError:
    """What an answer other than 2xx means. The message is the server's own where it is one; it never quotes what was sent."""
    try:
        told = json.loads(answer)
        said = str(told.get("message") or "") if isinstance(told, dict) else ""
    except ValueError:
        said = ""
    if status == 401:
        return StackError(
            "the API server does not accept these credentials (401)", kind="auth", fix="log in anew: the token or certificate is wrong or has expired"
        )
    if status == 403:
        rule = rule_of(method, path)
        who = re.search(r'User "([^"]+)"', said)
        words = "%s %s%s" % (rule["verb"], rule["resource"], " in the namespace " + rule["namespace"] if rule["namespace"] else "")
        return StackError("%s may not %s" % (who.group(1) if who else "this account", words), kind="denied", fix=rule_text(rule), rule=rule)
    kind = {404: "not_found", 409: "conflict", 410: "gone", 422: "invalid", 429: "throttled"}.get(status, "server_error" if status >= 500 else "refused")
    if status == 429:
        return StackError("the API server is throttling (429)", kind=kind, fix="wait a moment, or look less often")
    # A refused write may quote what was written (a Secret's data, for example).
    said = said[:300] if method == "GET" and "/secrets/" not in path else ""
    return StackError("the API server answered %d to %s %s%s" % (status, method, path, ": " + said if said else ""), kind=kind)


def rule_of(method: str, path: str) -> dict[str, str]:
    """What RBAC would have to allow for this request: {"group", "resource", "verb", "namespace", "name"}."""
    words = path.strip("/").split("/")
    group = ""
    if words[0] == "apis":
        group, words = words[1], words[3:]
    else:
        words = words[2:]
    namespace = ""
    if len(words) > 2 and words[0] == "namespaces":
        namespace, words = words[1], words[2:]
    elif len(words) == 2 and words[0] == "namespaces":
        namespace = words[1]
    name = words[1] if len(words) > 1 else ""
    resource = "/".join([words[0], *words[2:3]]) if words else ""
    verbs = {"GET": "get" if name else "list", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    if resource in ("pods/exec", "pods/portforward"):
        return {"group": group, "resource": resource, "verb": "create", "namespace": namespace, "name": ""}
    return {"group": group, "resource": resource, "verb": verbs.get(method, method.lower()), "namespace": namespace, "name": name}


def rule_text(rule: Mapping[str, str]) -> str:
    """The rule as a line for a Role."""
    return 'grant it in a %s: {apiGroups: ["%s"], resources: ["%s"], verbs: ["%s"]}' % (
        "Role" if rule["namespace"] else "ClusterRole",
        rule["group"],
        rule["resource"],
        rule["verb"],
    )


def _pause(status: int, headers: Mapping[str, str], attempt: int, reads: bool) -> float | None:
    """Seconds after which it is worth asking again; None where it is not."""
    if status == 429:
        told = headers.get("Retry-After", "")
        return float(told) if told.isdigit() else 0.5 * attempt
    return 0.2 * attempt if status in (500, 502, 503, 504) and reads else None


def _tls_reason(error: Exception) -> str:
    found = re.search(r"certificate verify failed: ([^(\]]+)|(hostname mismatch[^(\]]*)", str(error), re.IGNORECASE)
    return (found.group(1) or found.group(2)).strip() if found else "TLS failed"
