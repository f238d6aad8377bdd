# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a fault does to its stack, seen by means of our own: each symptom says whether it is there, and what was seen."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

from faultfile import FaultError
from injection import Bench, ctl, listed

SYMPTOM: dict[str, Callable[..., tuple[bool, str]]] = {}


def symptom(function: Callable[..., tuple[bool, str]]) -> Callable[..., tuple[bool, str]]:
    SYMPTOM[function.__name__.removeprefix("sees_")] = function
    return function


@symptom
def sees_request(bench: Bench, order: dict[str, Any]) -> tuple[bool, str]:
    """{request: path, and one of fails: true, succeeds: true, status: one or a list, slower_than_seconds: n}.

    `inside: service` asks the container's own address instead of the published one.
    """
    slow = order.get("slower_than_seconds")
    client = bench.client(slow + 1 if slow else 8)
    if "inside" in order:
        stack = ctl.Stack(bench.stack.folder)
        stack.__dict__["spec"] = {**bench.spec, "url": "http://%s:%s" % (bench.address(order["inside"]), bench.port(order["inside"]))}
        client = ctl.Client(stack, timeout=client.timeout)
    begun = time.monotonic()
    status = client.send_as_user({"path": order["request"]})[0]
    seconds = time.monotonic() - begun
    seen = "%s answers %s after %.1f s" % (order["request"], status, seconds)
    if slow:
        return seconds >= slow, seen
    if "status" in order:
        return status in [str(one) for one in listed(order["status"])], seen
    if order.get("succeeds"):
        return status.startswith("2"), seen
    return not status.isdigit() or status.startswith("5"), seen


@symptom
def sees_container(bench: Bench, order: dict[str, Any]) -> tuple[bool, str]:
    """{container: service, state: one or a list, exit_code: one or a list, oom_killed: true, restarts: at least}; one instance suffices."""
    seen = []
    for about in bench.inspect(order["container"]):
        state = about["State"]
        seen.append("%s exit %s oom %s restarts %s" % (state["Status"], state["ExitCode"], state["OOMKilled"], about["RestartCount"]))
        if (
            ("state" not in order or state["Status"] in listed(order["state"]))
            and ("exit_code" not in order or state["ExitCode"] in listed(order["exit_code"]))
            and ("oom_killed" not in order or state["OOMKilled"] == order["oom_killed"])
            and about["RestartCount"] >= order.get("restarts", 0)
        ):
            return True, seen[-1]
    return False, "%s is %s" % (order["container"], "; ".join(seen) or "not there")


@symptom
def sees_event(bench: Bench, order: dict[str, Any]) -> tuple[bool, str]:
    """{event: action of the engine, service}; since the injection began."""
    found = bench.docker("events", "--since", str(int(bench.began)), "--until", str(int(time.time()) + 1), "--format", "{{.Action}}",
                         "--filter", "label=com.docker.compose.project=%s" % bench.stack.project,
                         "--filter", "label=com.docker.compose.service=%s" % order["service"]).split("\n")  # fmt: skip
    return order["event"] in found, "events of %s: %s" % (order["service"], ", ".join(sorted(set(filter(None, found)))) or "none")


@symptom
def sees_log(bench: Bench, order: dict[str, Any]) -> tuple[bool, str]:
    """{log: service, matches: pattern}; since the injection began."""
    for container in bench.ids(order["log"]):
        done = subprocess.run(
            ["docker", "logs", "--since", str(int(bench.began)), container], capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
        match = re.search(order["matches"], done.stdout + done.stderr)
        if match:
            return True, match[0]
    return False, "the log of %s says nothing like %s" % (order["log"], order["matches"])


@symptom
def sees_memory(bench: Bench, order: dict[str, Any]) -> tuple[bool, str]:
    """{memory: service, at_least: percent of its limit}; without what the kernel can take back."""
    percent = bench.memory_percent(order["memory"])
    return percent >= order["at_least"], "%s uses %.0f %% of its memory limit" % (order["memory"], percent)


@symptom
def sees_sql(bench: Bench, order: dict[str, Any]) -> tuple[bool, str]:
    """{sql: text, and one of is: text, at_least: n}"""
    try:
        answer = bench.psql(order["sql"])
    except ctl.CtlError as error:
        answer = str(error)
    if "is" in order:
        return answer == str(order["is"]), "SQL says %s" % answer
    return answer.isdigit() and int(answer) >= order["at_least"], "SQL says %s" % answer


@symptom
def sees_redis(bench: Bench, order: dict[str, Any]) -> tuple[bool, str]:
    """{redis: [words], matches: pattern}"""
    answer = bench.redis(*map(str, order["redis"]))
    match = re.search(order["matches"], answer, re.MULTILINE)
    return bool(match), "Redis says %s" % (match[0] if match else " ".join(answer.split())[:200])


@symptom
def sees_task(bench: Bench, order: dict[str, Any]) -> tuple[bool, str]:
    """{task: {stuck_seconds: n}}: a task that was sent now is not done after that time; {task: {refused: true}}: it cannot be sent."""
    trip, client = bench.spec["roundtrip"], bench.client(5)
    status, body = client.send_as_user(trip)
    if order["task"].get("refused"):
        return not status.startswith("2"), "%s answers %s" % (trip["path"], status)
    if not isinstance(body, dict) or trip["id"] not in body:
        return False, "%s answers %s" % (trip["path"], status)
    path = trip["result"].replace("{id}", str(body[trip["id"]]))
    end, state = time.monotonic() + order["task"]["stuck_seconds"], None
    while time.monotonic() < end:
        body = client.send_as_user({"path": path})[1]
        state = body.get(trip["state"]) if isinstance(body, dict) else None
        if state == trip["success"]:
            return False, "a task is done"
        time.sleep(0.3)
    return True, "a task is still %s" % state


def look(bench: Bench, order: dict[str, Any]) -> tuple[bool, str]:
    """Whether a symptom is there, and what was seen; by the means of its platform where those are others."""
    found = {**SYMPTOM, **bench.symptoms}
    return found[next(kind for kind in found if kind in order)](bench, order)


def wait_for(bench: Bench, symptoms: Any) -> None:
    """Wait for every symptom in turn; each has its own within_seconds (30), and for_seconds (0) during which it must stay."""
    for order in symptoms:
        end, since = time.monotonic() + order.get("within_seconds", 30), None
        while True:
            there, seen = look(bench, order)
            since = (since or time.monotonic()) if there else None
            if since and time.monotonic() - since >= order.get("for_seconds", 0):
                break
            if time.monotonic() > end:
                raise FaultError("the symptom did not come: %s%s" % (seen, " (%s)" % bench.said if bench.said else ""))
            time.sleep(0.3)
