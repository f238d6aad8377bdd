# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which version of a workload to go back to, and when that is pointless."""

from __future__ import annotations

import time
from itertools import takewhile
from typing import Any, Iterable

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Revision, Target, bare, unmarked
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError, why_unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.kubernetes_pods import references
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_events import event_start, event_time
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import by_name, changed_at, listed, owner_of
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import is_ready
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

# A version that has run for so long is not what broke it.
PROVEN_SECONDS = 7 * 86400
# What events say of the pods of a version that does not come up.
TROUBLES = ("Failed", "BackOff", "FailedCreate", "FailedScheduling")
# What is told of the same object when such a trouble is over.
OVER = {"FailedCreate": "SuccessfulCreate", "FailedScheduling": "Scheduled"}
# For so long after a version was made its rollout may last: the cluster's own default. What begins later befell a version that had come up.
OWN_SECONDS = 600.0
# What is written at the same time as a rollout belongs to it.
MARGIN_SECONDS = 60.0
MEND = "mend what the finding names"


def present_version(target: Target, known: Iterable[Revision]) -> Revision | None:
    """The version that the workload asks for now; None where the cluster does not know it."""
    return next((one for one in known if bare(one.template) == bare(target.template)), None)


def last_healthy(stage: Stage, step: Step, target: Target) -> Revision:
    """The last version that was healthy: the present one where nothing is found of it and all of its pods serve, else to_go_back_to()."""
    now = present_version(target, target.revisions())
    return now if now is not None and not step.finding and not target.rolled_out() else to_go_back_to(stage, target)


def to_go_back_to(stage: Stage, target: Target) -> Revision:
    """The last version before the present one that was healthy, as far as the cluster can tell; Refused where there is none, or where it is pointless."""
    known = target.revisions()
    now = present_version(target, known)
    status = target.object.get("status") or {}
    # A StatefulSet calls that current which all of its pods were of at last; one that waits for a person (OnDelete) keeps to its first for ever.
    whole = target.by_hand or status.get("currentRevision") == status.get("updateRevision")
    current = "" if whole else str(status.get("currentRevision") or "")
    under_way = bool(current) or (target.kind == "Deployment" and not whole_since(target.object))
    others = [one for one in known if one is now or unmarked(one.template) != unmarked(target.template)]
    ill = troubled(listed(stage.platform.objects, "events"), known, target.pods)
    if under_way and now is not None and only_restarted(known, others, now, current, ill):
        sources = sorted({"%s/%s" % (ref["kind"].lower(), ref["name"]) for ref in references(target.template["spec"])})
        raise Refused(
            "%s was only restarted: its pods are of the version that worked, and something else has changed" % target,
            fix="put back what was changed in %s" % ", ".join(sources) if sources else MEND,
        )
    chosen = choose(others, now, current, ill)
    if chosen is None:
        raise Refused("the cluster knows no earlier version of %s" % target, fix=MEND)
    since = present_since(target, now, known) if now is not None else 0.0
    if since and time.time() - since > PROVEN_SECONDS and not under_way:
        raise Refused("%s has had this version for more than a week: its rollout is not what broke it" % target, fix=MEND)
    later = changed_later(stage, target)
    if later:
        raise Refused(
            "%s had rolled out this version whole before %s was changed: going back to an earlier version leaves that as it is" % (target, ", ".join(later)),
            fix="put back what was changed there, and restart %s" % target.component,
        )
    return chosen


def choose(known: list[Revision], now: Revision | None, current: str = "", ill: Iterable[str] = ()) -> Revision | None:
    """The version to go back to: one that serves still, else the newest earlier one of which nothing bad is known, else the newest earlier one. Pure.

    current: the name of the one that the cluster itself calls the last whole one. ill: the names of those whose pods are known not to have come up.
    """
    earlier = [one for one in known if now is None or one.number < now.number]
    serving = [one for one in earlier if one.name == current] or [one for one in earlier if one.ready]
    well = [one for one in earlier if one.name not in {*ill}]
    return next(iter([*serving, *well, *earlier]), None)


def only_restarted(known: Iterable[Revision], others: list[Revision], now: Revision, current: str, ill: Iterable[str]) -> bool:
    """Whether the present version is but a restart of one that worked, and no other one before it serves still. Pure.

    others: those of known that differ from the present one by more than the mark of a restart. current, ill: as choose() takes them.
    """
    earlier = [one for one in known if one.number < now.number]
    serving = [one for one in earlier if one.ready or one.name == current]
    same = list(takewhile(lambda one: one not in others, earlier))
    if not same or any(one in others for one in serving):
        return False
    # The first of them came with a rollout of its own, which tells whether it ever worked; the rest are restarts, too.
    return any(one in serving for one in same) or same[-1].name not in {*ill}


def troubled(events: Iterable[dict[str, Any]], known: Iterable[Revision], pods: Iterable[dict[str, Any]] = ()) -> set[str]:
    """The names of the versions that did not come up, as events of their own rollouts tell, or of a pod that is still not ready. Pure.

    pods: those that there are now. A version of which one serves has come up; what is over, and what befell it later, says nothing of it.
    """
    events, pods = list(events), list(pods)
    found: set[str] = set()
    waiting = {pod["metadata"]["name"] for pod in pods if not is_ready(pod)}
    serving = {(owner_of(pod) or {}).get("name") for pod in pods if is_ready(pod)}
    last = {(place_of(event), event.get("reason")): event_time(event) for event in sorted(events, key=event_time)}
    for event in events:
        place, reason = place_of(event), str(event.get("reason"))
        if reason not in TROUBLES:
            continue
        over = last.get((place, OVER.get(reason, "")), -1.0) >= event_time(event)
        for one in known:
            if (place == one.name or place.startswith(one.name + "-")) and not one.ready and one.name not in serving:
                if place in waiting or (of_rollout(one, event) and not over):
                    found.add(one.name)
    return found


def place_of(event: dict[str, Any]) -> str:
    """The name of what an event is about."""
    return str((event.get("involvedObject") or {}).get("name") or "")


def of_rollout(one: Revision, event: dict[str, Any]) -> bool:
    """Whether an event may be of the rollout of a version; when that was is not known of one that was deployed again. Pure."""
    made = read_time(one.made_at)
    return one.again or not made or event_start(event) <= made + OWN_SECONDS


def present_since(target: Target, now: Revision, known: Iterable[Revision]) -> float:
    """Since when a version is the present one, in UNIX seconds; 0 where nobody tells. Pure.

    One that is deployed again keeps its object and the time at which that was made: then the workload tells, or the pods of a StatefulSet.
    """
    made = read_time(now.made_at)
    again = now.again or any(one.number < now.number and read_time(one.made_at) > made for one in known)
    return whole_since(target.object, target.pods) if again or not made else made


def whole_since(work: dict[str, Any], pods: Iterable[dict[str, Any]] = ()) -> float:
    """When the present version of a workload had replaced the one before for the first time, in UNIX seconds; 0 where it has not, or nobody tells. Pure.

    pods: those of a StatefulSet, which does not say when: the first of them was there by then, or has been made anew since.
    """
    status = work.get("status") or {}
    if status.get("updateRevision") and status["updateRevision"] == status.get("currentRevision"):
        return min((read_time(pod["metadata"].get("creationTimestamp")) for pod in pods), default=0.0)
    for one in (work.get("status") or {}).get("conditions") or []:
        if one.get("type") == "Progressing" and one.get("reason") == "NewReplicaSetAvailable":
            return read_time(one.get("lastUpdateTime"))
    return 0.0


def changed_later(stage: Stage, target: Target) -> list[str]:
    """The ConfigMaps and Secrets of a workload that were written after its present version had been whole."""
    since = whole_since(target.object, target.pods)
    if not since:
        return []
    found = []
    for ref in references(target.template["spec"]):
        one = source(stage, target.namespace, ref)
        if one is not None and read_time(changed_at(one)) > since + MARGIN_SECONDS:
            found.append("%s/%s" % (ref["kind"].lower(), ref["name"]))
    return sorted({*found})


def source(stage: Stage, namespace: str, ref: dict[str, Any]) -> dict[str, Any] | None:
    """The ConfigMap or Secret that a template names; None where it is not there. What may not be seen is taken to be there, and as it was."""
    if ref["kind"] == "ConfigMap" and not why_unseen(stage.platform.objects.get("configmaps")):
        return by_name(stage.platform.objects, "configmaps", namespace, ref["name"])
    path = "/api/v1/namespaces/%s/%s/%s" % (namespace, ref["kind"].lower() + "s", ref["name"])
    try:
        found: dict[str, Any] = stage.platform.cluster.get(path)
    except StackError as error:
        if error.kind == "not_found":
            return None
        return {"metadata": {}}
    return found


def lost_sources(stage: Stage, target: Target, template: dict[str, Any]) -> list[str]:
    """What a version needs and is not there any more: ConfigMaps and Secrets that it names."""
    refs = [ref for ref in references(template["spec"]) if not ref["optional"]]
    return sorted({"%s/%s" % (ref["kind"].lower(), ref["name"]) for ref in refs if source(stage, target.namespace, ref) is None})
