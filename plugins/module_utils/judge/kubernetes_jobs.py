# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on Jobs and CronJobs. A completed Job is well, and so is a failed attempt that a later one made good."""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge.cron import Schedule, read_schedule
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, INFO, WARNING, Clear, Finding, Unseen

# How late a schedule's controller may be without having missed a start.
LATE_SECONDS = 120
# So many starts without a success in between are no accident; so many that a run holds back are no patience.
STARTS_IN_VAIN, HELD_BACK = 3, 2
# A run younger than this may still succeed.
RUN_SECONDS = 3600


@judges("job.failed", "job.suspended", domain=kube.DOMAIN)
def jobs(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """The latest Job of each kind: given up (all attempts failed, or its time was over), or suspended."""
    yield from kube.hidden(seen, "jobs", "job.failed")
    if kube.facts(seen).get("jobs_left_out"):
        reason = "%d Jobs that did not succeed were left out: there are too many" % kube.facts(seen)["jobs_left_out"]
        yield Unseen("job.failed", "stack", reason, "delete those that are over, or give them ttlSecondsAfterFinished")
    latest: dict[str, dict[str, Any]] = {}
    for job in kube.facts(seen)["jobs"]:
        latest[job["component"] or job["name"]] = job
    for component, job in sorted(latest.items()):
        failed, done = job["conditions"].get("Failed") or {}, job["conditions"].get("Complete") or {}
        evidence = {"job": job["name"], "namespace": job["namespace"], "schedule": job["schedule"], "failed": job["failed"], "succeeded": job["succeeded"]}
        evidence.update({"attempts": job["backoff_limit"] + 1, "deadline": job["deadline"]})
        if failed.get("status") == "True":
            # One that ran by its schedule runs again; a Job of its own does not.
            severity = WARNING if job["schedule"] else CRITICAL
            told = {"reason": failed["reason"], "message": failed["message"], "seconds": round(kube.age(seen, failed["since"]))}
            yield Finding("job.failed", component, severity, {**evidence, **told})
        elif job["suspended"] and done.get("status") != "True":
            yield Finding("job.suspended", component, INFO, evidence)
        else:
            yield Clear("job.failed", component, evidence)


@judges("schedule.suspended", "schedule.missed", "schedule.invalid", "schedule.failing", domain=kube.DOMAIN)
def schedules(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """A CronJob that is suspended (a note), that did not start when its time had come, or that starts and gets nothing done."""
    yield from kube.hidden(seen, "cronjobs", "schedule.missed")
    for one in kube.facts(seen)["schedules"]:
        evidence: dict[str, Any] = {"name": one["name"], "namespace": one["namespace"], "schedule": one["schedule"], "time_zone": one["time_zone"] or "UTC"}
        evidence["last_seconds_ago"] = round(kube.age(seen, one["last_at"])) if one["last_at"] else None
        if one["suspended"]:
            yield Finding("schedule.suspended", one["component"], INFO, evidence)
            continue
        read = read_schedule(one["schedule"], one["time_zone"])
        if not isinstance(read, Schedule):
            known = one["events"].get("UnparseableSchedule") or one["events"].get("InvalidSchedule") or one["events"].get("UnknownTimeZone")
            if known:
                yield Finding("schedule.invalid", one["component"], WARNING, {**evidence, "message": known["message"]})
            else:
                yield Unseen("schedule.missed", one["component"], "its schedule %s was not understood: %s" % (one["schedule"], read))
            continue
        yield _judge_schedule(seen, one, read, evidence)
        yield _judge_runs(seen, one, read, evidence)


def _judge_schedule(seen: dict[str, Any], one: dict[str, Any], read: Schedule, evidence: dict[str, Any]) -> Answer:
    since = max(one["created_at"], one["changed_at"])
    due = read.last_before(seen["now"] - LATE_SECONDS)
    # A run that is not over holds the next one back where the policy says so.
    held = one["active"] and one["policy"] == "Forbid"
    if due is None or due <= since or one["last_at"] >= due - 1 or held:
        return Clear("schedule.missed", one["component"], evidence)
    told = next(
        (one["events"][reason] for reason in ("FailedNeedsStart", "TooManyMissedTimes", "MissSchedule", "FailedCreate") if reason in one["events"]), None
    )
    more = {"seconds": round(kube.age(seen, due)), "message": told["message"] if told else "", "starting_deadline": one["starting_deadline"]}
    return Finding("schedule.missed", one["component"], WARNING, {**evidence, **more})


def _judge_runs(seen: dict[str, Any], one: dict[str, Any], read: Schedule, evidence: dict[str, Any]) -> Answer:
    """Whether a schedule that starts gets its work done: runs in vain one after the other, or one run that has held the others back for hours."""
    runs = [job for job in kube.facts(seen)["jobs"] if (job["namespace"], job["schedule"]) == (one["namespace"], one["name"])]
    # A controller tells its last success since there are CronJobs in batch/v1 (1.21); of one before that a Job that is still there may.
    success = one["last_success_at"] or max((job["finished_at"] for job in runs if job["conditions"].get("Complete", {}).get("status") == "True"), default=0.0)
    begun = min((job["started_at"] or job["created_at"] for job in runs if job["active"]), default=one["last_at"])
    evidence = {**evidence, "success_seconds_ago": round(kube.age(seen, success)) if success else None}
    evidence["seconds"] = round(kube.age(seen, success or one["created_at"]))
    if one["active"] and one["policy"] == "Forbid" and kube.age(seen, begun) > RUN_SECONDS:
        held = dues(read, begun, seen["now"] - LATE_SECONDS, HELD_BACK)
        if len(held) == HELD_BACK:
            why = "a run that began %d s ago is not over, and no other may begin beside it" % kube.age(seen, begun)
            return Finding("schedule.failing", one["component"], WARNING, {**evidence, "why": why})
    # One that was made or changed since is judged by what it has done from then on; a Job that went away before its controller saw its end may have succeeded.
    since = max(success, one["created_at"], one["changed_at"])
    until = min(one["last_at"] - 1, seen["now"] - RUN_SECONDS) if one["active"] else one["last_at"]
    if "MissingJob" not in one["events"] and len(dues(read, since, until, STARTS_IN_VAIN)) == STARTS_IN_VAIN:
        return Finding("schedule.failing", one["component"], WARNING, {**evidence, "why": "none of its runs succeeds"})
    return Clear("schedule.failing", one["component"], evidence)


def dues(read: Schedule, since: float, until: float, most: int) -> list[float]:
    """The latest starts that were due after one UNIX time and not after another, at most so many."""
    found: list[float] = []
    while len(found) < most:
        due = read.last_before(found[-1] - 1 if found else until)
        # A time that a clock leaps over comes again and again.
        if due is None or due <= since or due in found:
            break
        found.append(due)
    return found
