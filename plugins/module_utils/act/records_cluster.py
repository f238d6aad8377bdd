# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The records of acting on a stack of a cluster, in the cluster: whoever acts next, from wherever, finds them.

    lease/aiops-runbook              who is at work, renewed while it is held; its annotations name the last runs
    secret/aiops-runbook-<run>       journal: one JSON object a line, acknowledged by the API server before what it announces happens
                                     evidence-<step>.json.gz

Both stand in the first of the stack's namespaces by name; with a selector the hash of what it says is part of the names, in whatever order
and form it is written. The Lease of the whole namespace names those by selectors: who takes either looks at the other, too. Earlier
versions of ours went by the namespace that was given first and the selector as it was written: where that is another place and a Lease is
there, it is held as well, and the runs that it names are read and gone on with. Secrets are asked for by name, never listed.
A journal is written only by who holds the lease, and only on top of what it was when that one read it: of a holder that was taken for
dead and one that takes its work over, only one can announce what it does.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from functools import partial
from typing import Any, Callable, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.records import (
    RUN,
    BaseJournal,
    BaseRecords,
    Records,
    holder_facts,
    leased,
    news,
    read_entries,
    run_name,
)
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_settings import secrets_referred
from ansible_collections.aiops.runbook.plugins.module_utils.probes import Probes
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

NAME = "aiops-runbook"
JOURNAL_TYPE = "aiops.runbook/journal"
HOLDER = "aiops.runbook/holder"
RUNS = "aiops.runbook/runs"
# On the Lease of the whole namespace: the names of those by selectors.
PARTS = "aiops.runbook/parts"
BY = {"fieldManager": NAME}
MERGE_PATCH = "application/merge-patch+json"
PART = re.compile(NAME + r"-[0-9a-f]{8}")
KEEP_RUNS = 50

# A lease that was not renewed for so long is free. Its holder renews it more often, and stops long before others take it for dead.
LEASE_SECONDS = 60
RENEW_SECONDS = 15.0
RETRY_SECONDS = 3.0
STOP_SECONDS = 45.0
POLL_SECONDS = 1.0
ATTEMPTS = 4
# After these nobody knows whether a write was done: what is there now tells.
UNCLEAR = ("timeout", "reset", "server_error")

# A Secret holds 1 MiB. What follows a step's announcement (done, taken back, the end) must find room.
MOST_BYTES = 1 << 20
RESERVE_BYTES = 128 << 10
EVIDENCE_BYTES = 256 << 10
# What is left of too large an evidence: the last so many entries of each list (a log's lines).
FEWER = (1000, 300, 100, 30, 10)
LONGEST_TEXT = 2000


def records_of(params: Mapping[str, Any], platform: Any) -> BaseRecords:
    """Where the records of acting on this stack are kept. params: state_dir, for those on a host."""
    if platform.name == "kubernetes":
        return ClusterRecords(platform.cluster, min(platform.namespaces), platform.selector, partial(hidden, platform), platform.namespace)
    return Records(params.get("state_dir") or "", platform.project)


def hidden(platform: Any) -> bytes:
    """What the stack's Secrets hold, as far as its workloads refer to them and this account may read them."""
    specs = [(one.namespace, one.template["spec"]) for one in platform.workloads.values() if one.template and not one.finite]
    found = []
    referred = secrets_referred(specs)
    for place in sorted(referred):
        data, keys = platform.settings.held("secret", *place).data, referred[place]
        found.append([place, {key: value.hex() for key, value in sorted(data.items()) if keys is None or key in keys}])
    return json.dumps(found).encode("utf-8")


class ClusterRecords(BaseRecords):
    """What is kept of one stack. cluster: connect.kubernetes.Cluster. hidden: gives all that is secret in it. held: the lease, while it is ours.

    first: the namespace that was given first. former: what earlier versions of ours kept of it, where that is another place.
    """

    def __init__(self, cluster: Any, namespace: str, selector: str = "", hidden: Callable[[], bytes] = bytes, first: str = "") -> None:
        self.cluster, self.namespace, self._hidden = cluster, namespace, hidden
        self.selector = normal(selector)
        self.name = named(self.selector)
        self.held: ClusterLease | None = None
        self._uid = b""
        self.former: ClusterRecords | None = None
        place = (first or namespace, named("".join(selector.split())))
        if place != (self.namespace, self.name):
            self.former = ClusterRecords(cluster, place[0], self.selector, hidden)
            self.former.name = place[1]  # of the selector as it is written

    def key(self) -> bytes:
        """Made of what is there, so that a diagnosis need not keep one: the same for all who see the same of the stack.

        A hash keyed with it can rest on a secret: who wanted to try out guesses would have to guess every Secret of the stack at once,
        and needs an id that the API server has drawn and no report tells.
        """
        if not self._uid:
            account = self.cluster.get("/api/v1/namespaces/%s/serviceaccounts/default" % self.namespace)
            self._uid = str(account["metadata"]["uid"]).encode("ascii")
        return hmac.new(self._uid, self._hidden(), hashlib.sha256).digest()

    def now(self) -> float:
        """The API server's clock, UNIX seconds: those of two controllers differ."""
        return time.time() + float(self.cluster.ahead)

    # runs

    def runs(self) -> list[ClusterJournal]:
        former = self.former.runs() if self.former else []
        return former + self._journals(entry["run"] for entry in self._index())

    def run(self, name: str) -> ClusterJournal:
        found = self._journal(name) if RUN.fullmatch(name) else None
        if found is None and self.former:
            return self.former.run(name)
        if found is None:
            raise StackError("there is no record of a run %s in the namespace %s" % (name, self.namespace), kind="bad_option", option="run")
        return found

    def unfinished(self) -> list[ClusterJournal]:
        former = self.former.unfinished() if self.former else []
        return former + [journal for journal in self._journals(entry["run"] for entry in self._index() if entry["open"]) if journal.died]

    def at_work(self) -> dict[str, Any]:
        told = self._at_work()
        if self.former:
            former = self.former.at_work()
            told = {"lease": told["lease"] or former["lease"], **{key: former[key] + told[key] for key in ("unfinished", "overdue")}}
        return told

    def _at_work(self) -> dict[str, Any]:
        lease = self.read_lease()
        holder, standing = holder_of(lease, self.now()), [entry for entry in index_of(lease) if entry["open"]]
        try:
            return news(holder, self._journals(entry["run"] for entry in standing))
        except StackError as error:
            if error.kind != "denied":
                raise
        # Who may not read Secrets hears what the lease says.
        return {"lease": holder, "unfinished": [] if holder else [{**entry, "last": "begin"} for entry in standing], "overdue": []}

    def new_run(self) -> ClusterJournal:
        lease = self._lease()
        name = run_name(self.now())
        while any(entry["run"] == name for entry in lease.index):
            time.sleep(0.001)
            name = run_name(self.now())
        # One that ended while its mark could not be written ends here.
        for entry in lease.index:
            entry["open"] = entry["open"] and is_open(self._journal(entry["run"]))
        kept = [entry for entry in lease.index[: -KEEP_RUNS + 1] if not self._removed(entry)] + lease.index[-KEEP_RUNS + 1 :]
        lease.set_index([*kept, {"run": name, "by": lease.facts.get("by"), "at": round(self.now(), 3), "open": True}])
        return ClusterJournal(self, name)

    def mark(self, run: str, left: bool) -> None:
        """Say beside a run's name whether something of it may be left: who looks for that need not read the journals of all others."""
        lease = self._lease()
        lease.set_index([{**entry, "open": left} if entry["run"] == run else entry for entry in lease.index])

    def _removed(self, entry: dict[str, Any]) -> bool:
        """Whether an old run is gone."""
        if entry["open"]:
            return False
        try:
            self.cluster.change("DELETE", self.secret_path(entry["run"]))
        except StackError as error:
            return error.kind == "not_found"
        return True

    def _index(self) -> list[dict[str, Any]]:
        return self.held.index if self.held else index_of(self.read_lease())

    def _journal(self, name: str) -> ClusterJournal | None:
        try:
            return ClusterJournal(self, name, self.cluster.get(self.secret_path(name)))
        except StackError as error:
            if error.kind == "not_found":
                return None
            raise

    def _journals(self, names: Iterable[str]) -> list[ClusterJournal]:
        """Those of these journals that are there, in this order, read side by side."""
        names = list(names)
        found = Probes(timeout=3 * self.cluster.timeout).gather({name: partial(self._read, name) for name in names})
        for answer in found.values():
            why = why_unseen(answer)
            if why:
                raise StackError("the records of earlier runs cannot be read: %s" % why["reason"], kind=why["kind"], fix=why["fix"])
        return [journal for name in names for journal in found[name]]

    def _read(self, name: str) -> list[ClusterJournal]:
        found = self._journal(name)
        return [] if found is None else [found]

    def secret_name(self, run: str) -> str:
        return "%s-%s" % (self.name, run.lower())

    def secret_path(self, run: str = "") -> str:
        path = "/api/v1/namespaces/%s/secrets" % self.namespace
        return "%s/%s" % (path, self.secret_name(run)) if run else path

    # the lease

    def lease(self, holder: dict[str, Any], wait: float = 0.0) -> ClusterLease:
        return ClusterLease(self, holder, wait)

    def lease_holder(self) -> dict[str, Any] | None:
        found = holder_of(self.read_lease(), self.now())
        return found or (self.former.lease_holder() if self.former else None)

    def read_lease(self, name: str = "") -> dict[str, Any] | None:
        """The Lease, or the one of this name; None when nobody ever acted here."""
        try:
            found: dict[str, Any] = self.cluster.get(self.lease_path + "/" + (name or self.name))
            return found
        except StackError as error:
            if error.kind == "not_found":
                return None
            raise

    @property
    def lease_path(self) -> str:
        return "/apis/coordination.k8s.io/v1/namespaces/%s/leases" % self.namespace

    def _lease(self) -> ClusterLease:
        if self.held is None:
            raise StackError("a record is written under the lease only", kind="internal")
        return self.held

    def check(self) -> None:
        """StackError when the lease is not surely ours any more."""
        self._lease().check()

    def unrecorded(self, where: str, error: StackError) -> StackError:
        return StackError(
            "the record cannot be kept as %s in the namespace %s: %s; nothing is done that is not recorded first" % (where, self.namespace, error.message),
            kind="no_record",
            fix=error.details.get("fix", ""),
        )


class ClusterLease:
    """The Lease object, held: a thread renews it until the end of the block, and who finds it not renewed takes it over.

    former: the one of an earlier version of ours, held as well, where there is one.
    """

    def __init__(self, records: ClusterRecords, holder: dict[str, Any], wait: float) -> None:
        self.records, self.cluster, self._holder = records, records.cluster, holder
        self.facts = {**holder_facts(holder, records.now()), **({"selector": records.selector} if records.selector else {})}
        self.identity = "%s/%s/%d/%s" % (holder.get("by") or "somebody", self.facts["host"], self.facts["pid"], secrets.token_hex(4))
        self.index: list[dict[str, Any]] = []
        self._object: dict[str, Any] = {}
        self._lock, self._done = threading.Lock(), threading.Event()
        self._problem, self._lost = "", ""
        self._renewed = 0.0
        self.former: ClusterLease | None = None
        self._take(wait)

    def __enter__(self) -> ClusterLease:
        self.records.held = self
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewer.start()
        if self.former:
            self.former.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self.records.held = None
        if self.former:
            self.former.__exit__()
        self._give_back()

    def _give_back(self) -> None:
        with self._lock, contextlib.suppress(StackError):  # else it runs out by itself, or is somebody else's already
            for _attempt in range(ATTEMPTS):
                try:
                    self._patch({HOLDER: None}, {"holderIdentity": None, "acquireTime": None, "renewTime": None})
                    return
                except StackError as error:
                    if error.kind != "conflict":
                        raise
                # Who wants a part of the namespace writes on it, too.
                self._object = self.records.read_lease() or {}
                if (self._object.get("spec") or {}).get("holderIdentity") != self.identity:
                    return

    def check(self) -> None:
        """StackError when it was not renewed for so long that another one may take it soon."""
        if self.former:
            self.former.check()
        silent = time.monotonic() - self._renewed
        if self._lost or silent >= STOP_SECONDS:
            why = self._lost or "the lease on this stack could not be renewed for %d s (%s)" % (silent, self._problem or "this program stood still")
            raise StackError(
                "%s: nothing more is done, and the next run finishes or takes back what this one has begun" % why,
                kind="lease_lost",
                fix="run it again: it finds what was begun",
            )

    def set_index(self, index: list[dict[str, Any]]) -> None:
        """Keep the names of the last runs."""
        try:
            self._write({RUNS: json.dumps(index)})
        except StackError as error:
            if error.kind == "lease_lost":
                raise
            raise self.records.unrecorded("lease/" + self.records.name, error) from error
        self.index = index

    # taking it

    def _take(self, wait: float) -> None:
        end = time.monotonic() + wait
        if self.records.selector:
            self._announce()
        while True:
            problem = self._refusal()
            if problem is None:
                return
            if time.monotonic() >= end:
                raise problem
            time.sleep(min(POLL_SECONDS, max(0.1, end - time.monotonic())))

    def _refusal(self) -> StackError | None:
        """Take it, and the former one; who has it or acts on some of the same, when that is not possible: then it is not kept."""
        other = self._try()
        if other is not None:
            return leased(other, _more(other))
        try:
            # Of two that take overlapping ones at the same moment, each sees the other only now.
            other = self._beside(self._object)
            if other is not None:
                raise leased(other, _more(other))
            former = self.records.former
            if former is not None and former.read_lease() is not None:
                self.former = ClusterLease(former, self._holder, 0.0)
        except StackError as error:
            self._give_back()
            if error.kind != "leased":
                raise
            return error
        return None

    def _announce(self) -> None:
        """Name it on the Lease of the whole namespace, before it is taken: who takes that one looks at it from then on."""
        problem = StackError("the lease changes hands all the time", kind="conflict")
        for _attempt in range(ATTEMPTS):
            found = self.records.read_lease(NAME)
            parts = parts_of(found)
            if self.records.name in parts:
                return
            metadata: dict[str, Any] = {"annotations": {PARTS: json.dumps(sorted([*parts, self.records.name]))}}
            try:
                if found is None:
                    metadata.update(name=NAME, labels={"app.kubernetes.io/managed-by": NAME})
                    self.cluster.change("POST", self.records.lease_path, {"metadata": metadata, **_kind("coordination.k8s.io/v1", "Lease")}, BY)
                else:
                    metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
                    self.cluster.change("PATCH", "%s/%s" % (self.records.lease_path, NAME), {"metadata": metadata}, BY, MERGE_PATCH)
                return
            except StackError as error:
                if error.kind == "denied":
                    raise self.records.unrecorded("lease/" + NAME, error) from error
                if error.kind not in ("conflict", "not_found", *UNCLEAR):
                    raise
                problem = error
        raise problem

    def _beside(self, lease: dict[str, Any] | None) -> dict[str, Any] | None:
        """Who acts on some of the same: on the whole namespace, or on a part of it that the Lease of the whole names; "of" says on what."""
        for name in [NAME] if self.records.selector else parts_of(lease):
            other = holder_of(self.records.read_lease(name), self.records.now())
            if other is not None and self.records.selector:
                return {**other, "of": "the whole namespace %s" % self.records.namespace}
            if other is not None:
                return {**other, "of": "what %s picks of the namespace %s" % (other.get("selector") or "a selector", self.records.namespace)}
        return None

    def _try(self) -> dict[str, Any] | None:
        """Take it; who has it, when that is not possible."""
        problem = StackError("the lease changes hands all the time", kind="conflict")
        for _attempt in range(ATTEMPTS):
            found = self.records.read_lease()
            if ((found or {}).get("spec") or {}).get("holderIdentity") != self.identity:
                other = holder_of(found, self.records.now()) or self._beside(found)
                if other is not None:
                    return other
            started = time.monotonic()
            try:
                self._object = self._create() if found is None else self._take_over(found)
            except StackError as error:
                if error.kind == "denied":
                    raise self.records.unrecorded("lease/" + self.records.name, error) from error
                if error.kind not in ("conflict", "not_found", *UNCLEAR):
                    raise
                problem = error
                continue
            self._renewed, self.index = started, index_of(self._object)
            return None
        raise problem

    def _create(self) -> dict[str, Any]:
        made: dict[str, Any] = self.cluster.change("POST", self.records.lease_path, {**self._taken(0), **_kind("coordination.k8s.io/v1", "Lease")}, BY)
        return made

    def _take_over(self, found: dict[str, Any]) -> dict[str, Any]:
        self._object = found
        taken = self._taken(int((found.get("spec") or {}).get("leaseTransitions") or 0) + 1)
        return self._patch(taken["metadata"]["annotations"], taken["spec"])

    def _taken(self, transitions: int) -> dict[str, Any]:
        now = micro_time(self.records.now())
        return {
            "metadata": {
                "name": self.records.name,
                "labels": {"app.kubernetes.io/managed-by": NAME},
                "annotations": {HOLDER: json.dumps({**self.facts, "identity": self.identity})},
            },
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }

    # keeping it

    def _renew(self) -> None:
        while not self._done.wait(RETRY_SECONDS if self._problem else RENEW_SECONDS):
            try:
                self._write({})
                self._problem = ""
            except StackError as error:
                self._problem = error.message
                if self._lost:
                    return

    def _write(self, annotations: dict[str, str]) -> None:
        """Change annotations, and renew; StackError (lease_lost) when it is not ours any more."""
        again = ("conflict", "not_found", *(UNCLEAR if annotations else ()))  # who only renews comes back soon
        for attempt in range(ATTEMPTS):
            with self._lock:
                if self._done.is_set():
                    return
                started = time.monotonic()
                try:
                    self._object = self._patch(annotations, {"renewTime": micro_time(self.records.now())})
                    if started - self._renewed >= STOP_SECONDS:
                        self._look_beside()
                    self._renewed = started
                    return
                except StackError as error:
                    if error.kind not in again or attempt + 1 == ATTEMPTS:
                        raise
                self._look()

    def _look(self) -> None:
        """See whether it is still ours after somebody has changed it."""
        found = self.records.read_lease()
        if ((found or {}).get("spec") or {}).get("holderIdentity") != self.identity:
            other = holder_of(found, self.records.now())
            self._lost = "the lease on this stack was taken %s" % ("over by %s" % other.get("by") if other else "away")
            self.check()
        self._object = found or {}

    def _look_beside(self) -> None:
        """See whether somebody took it for dead and acts on some of the same: that changes nothing of this Lease."""
        other = self._beside(self._object)
        if other is not None:
            self._lost = "the lease on this stack had run out, and %s is at work on %s" % (other.get("by"), other["of"])
            self.check()

    def _patch(self, annotations: Mapping[str, str | None], spec: dict[str, Any]) -> dict[str, Any]:
        """Change it if it is what it was when it was read last; conflict otherwise."""
        body = {"metadata": {"resourceVersion": self._object["metadata"]["resourceVersion"], "annotations": annotations}, "spec": spec}
        done: dict[str, Any] = self.cluster.change("PATCH", "%s/%s" % (self.records.lease_path, self.records.name), body, BY, MERGE_PATCH)
        return done


class ClusterJournal(BaseJournal):
    """A run's journal in a Secret of its own. found: the Secret as it was read; None for a run that begins."""

    def __init__(self, records: ClusterRecords, name: str, found: dict[str, Any] | None = None) -> None:
        self.records, self.name = records, name
        self.folder = "secret/%s in the namespace %s" % (records.secret_name(name), records.namespace)
        self._data: dict[str, str] = (found or {}).get("data") or {}
        self._version = str(((found or {}).get("metadata") or {}).get("resourceVersion") or "")
        self._text = _decoded(self._data.get("journal")).decode("utf-8", "replace")
        self.entries = list(read_entries(self._text.splitlines()))

    def write(self, event: str, **facts: Any) -> None:
        if event == "undo":
            self.records.mark(self.name, True)
        super().write(event, **facts)
        if event == "end":
            with contextlib.suppress(StackError):  # the journal itself says so
                self.records.mark(self.name, is_open(self))

    def _keep_entry(self, entry: dict[str, Any]) -> None:
        text = self._text + json.dumps(entry) + "\n"
        self._put("journal", text.encode("utf-8"), RESERVE_BYTES if entry["event"] in ("begin", "acting") else 0)
        self._text = text

    def keep(self, name: str, content: Any) -> None:
        used = sum(len(_decoded(value)) for key, value in self._data.items() if key not in ("journal", name + ".gz"))
        self._put(name + ".gz", fitting(content, EVIDENCE_BYTES - used), RESERVE_BYTES)

    def _put(self, key: str, value: bytes, reserve: int) -> None:
        """Keep this in the Secret; StackError when the API server has not acknowledged it."""
        self.records.check()
        data = {**self._data, key: base64.b64encode(value).decode("ascii")}
        size = sum(len(_decoded(one)) for one in data.values())
        where = "secret/" + self.records.secret_name(self.name)
        if size > MOST_BYTES - reserve:
            raise self.records.unrecorded(where, StackError("it would have %d KiB, and a Secret holds %d" % (size >> 10, MOST_BYTES >> 10)))
        try:
            self._version = self._written(key, data)
        except StackError as error:
            if error.kind == "lease_lost":
                raise
            raise self.records.unrecorded(where, error) from error
        self._data = data

    def _written(self, key: str, data: dict[str, str]) -> str:
        """Write this key on top of what was read last; the new version. What is there tells what became of a write without an answer."""
        problem = StackError("it was not written")
        for attempt in range(ATTEMPTS):
            try:
                return str(self._send({key: data[key]})["metadata"]["resourceVersion"])
            except StackError as error:
                if error.kind not in ("conflict", *UNCLEAR):
                    raise
                problem = error
            time.sleep(0.2 * attempt)
            self.records.check()
            found = self._there()
            if (found.get("data") or {}) == data:
                return str(found["metadata"]["resourceVersion"])
            if (found.get("data") or {}) != self._data:
                raise StackError("another one has gone on with the run %s: nothing more is done here" % self.name, kind="lease_lost")
            self._version = str((found.get("metadata") or {}).get("resourceVersion") or "")
        raise problem

    def _send(self, data: dict[str, str]) -> dict[str, Any]:
        metadata: dict[str, Any] = {"labels": {"app.kubernetes.io/managed-by": NAME}}
        if self._version:
            metadata["resourceVersion"] = self._version
            body = {"metadata": metadata, "data": data}
            sent: dict[str, Any] = self.records.cluster.change("PATCH", self.records.secret_path(self.name), body, BY, MERGE_PATCH)
            return sent
        metadata["name"] = self.records.secret_name(self.name)
        new = {"metadata": metadata, "data": data, "type": JOURNAL_TYPE, **_kind("v1", "Secret")}
        made: dict[str, Any] = self.records.cluster.change("POST", self.records.secret_path(), new, BY)
        return made

    def _there(self) -> dict[str, Any]:
        """The Secret as it is now; {} when there is none."""
        try:
            found: dict[str, Any] = self.records.cluster.get(self.records.secret_path(self.name))
            return found
        except StackError as error:
            if error.kind == "not_found":
                return {}
            raise


# Pure.


def normal(selector: str) -> str:
    """A label selector as all who mean the same write it: no spaces, = for ==, its requirements and the values of each in order."""
    terms = set()
    # Commas stand between requirements, and within the brackets of one.
    for term in re.split(r",(?![^(]*\))", "".join(selector.split())):
        key, bracket, values = term.rstrip(")").partition("(")
        terms.add("%s(%s)" % (key, ",".join(sorted({*values.split(",")}))) if bracket else term.replace("==", "="))
    return ",".join(sorted(terms - {""}))


def named(selector: str) -> str:
    """What the Lease of such a part of a namespace is called, and the journals under it begin with; "": of the whole namespace."""
    return NAME + ("-" + hashlib.sha256(selector.encode("utf-8")).hexdigest()[:8] if selector else "")


def parts_of(lease: dict[str, Any] | None) -> list[str]:
    """The names of the leases on parts of a namespace that the Lease of the whole names."""
    return [name for name in _parsed(lease, PARTS, list) if PART.fullmatch(str(name))]


def holder_of(lease: dict[str, Any] | None, now: float) -> dict[str, Any] | None:
    """{"by", "since", …, "quiet": seconds since it was renewed} of who holds a Lease; None when nobody does, or did for too long."""
    spec = (lease or {}).get("spec") or {}
    identity = spec.get("holderIdentity")
    duration = int(spec.get("leaseDurationSeconds") or LEASE_SECONDS)
    quiet = now - read_time(spec.get("renewTime") or spec.get("acquireTime"))
    if not identity or quiet > duration:
        return None
    facts = _parsed(lease, HOLDER, dict)
    if facts.pop("identity", None) != identity:  # somebody took it by other means
        facts = {"by": identity, "since": spec.get("acquireTime")}
    return {**facts, "quiet": round(max(0.0, quiet), 1), "duration": duration}


def index_of(lease: dict[str, Any] | None) -> list[dict[str, Any]]:
    """[{"run", "by", "at", "open": whether something of it may be left}] of the last runs, oldest first."""
    found = [entry for entry in _parsed(lease, RUNS, list) if isinstance(entry, dict) and RUN.fullmatch(str(entry.get("run")))]
    return [{"by": None, "at": None, "open": True, **entry} for entry in found]


def is_open(journal: BaseJournal | None) -> bool:
    """Whether a run has something that somebody must come back for."""
    return journal is not None and (journal.died or bool(journal.due))


def _parsed(lease: dict[str, Any] | None, annotation: str, kind: type) -> Any:
    text = (((lease or {}).get("metadata") or {}).get("annotations") or {}).get(annotation) or ""
    try:
        found = json.loads(text)
    except ValueError:
        return kind()
    return found if isinstance(found, kind) else kind()


def _more(other: Mapping[str, Any]) -> str:
    """On what else than the same a holder acts, and that it may be dead."""
    return (", on %s" % other["of"] if other.get("of") else "") + _quiet(other)


def _quiet(other: Mapping[str, Any]) -> str:
    """That a holder may be dead, where it was not heard of for a while."""
    if other.get("quiet", 0.0) < 2 * RENEW_SECONDS:
        return ""
    return ", and was not heard of for %d s: it is taken for dead after %d s" % (other["quiet"], other["duration"])


def micro_time(when: float) -> str:
    """UNIX seconds as the API writes a MicroTime."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when)) + ".%06dZ" % (when % 1 * 1e6)


def fitting(content: Any, most: int) -> bytes:
    """Content as compressed JSON of at most so many bytes: its lists (the lines of logs) are cut where it would be more."""
    packed = _packed(content)
    for number in FEWER:
        if len(packed) <= most:
            return packed
        packed = _packed(fewer(content, number))
    return packed if len(packed) <= most else _packed({"left_out": "it has %d KiB, and there is no room for it" % (len(_packed(content)) >> 10)})


def fewer(content: Any, number: int) -> Any:
    """The same with at most so many entries, the last, of each list, and no long text."""
    if isinstance(content, dict):
        return {key: fewer(value, number) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        cut = ["(%d before these are left out)" % (len(content) - number)] if len(content) > number else []
        return cut + [fewer(value, number) for value in content[-number:]]
    return content[:LONGEST_TEXT] + "…" if isinstance(content, str) and len(content) > LONGEST_TEXT else content


def _packed(content: Any) -> bytes:
    return gzip.compress(json.dumps(content, default=str).encode("utf-8"), mtime=0)


def _decoded(value: str | None) -> bytes:
    return base64.b64decode(value or "")


def _kind(version: str, kind: str) -> dict[str, str]:
    return {"apiVersion": version, "kind": kind}
