# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judgements on images: why one cannot be pulled, and whether the copies of a component run the same one."""

from __future__ import annotations

import re
from typing import Any, Iterator

from ansible_collections.aiops.runbook.plugins.module_utils.judge import kubernetes_view as kube
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import Answer, judges
from ansible_collections.aiops.runbook.plugins.module_utils.model import HIGH, MEDIUM, WARNING, Clear, Finding

WAITING = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed")
# In this order: a registry that cannot be reached says nothing of the name.
CAUSES = (
    ("image.name_invalid", re.compile(r"InvalidImageName|invalid reference format|couldn't parse image|must be lowercase", re.IGNORECASE)),
    ("image.not_on_node", re.compile(r"ErrImageNeverPull|is not present with pull policy of Never", re.IGNORECASE)),
    ("image.pull_limited", re.compile(r"toomanyrequests|\b429\b|rate limit", re.IGNORECASE)),
    ("image.platform_missing", re.compile(r"no match(ing manifest)? for (platform|\w+/\w+)|no matching manifest", re.IGNORECASE)),
    (
        "image.registry_unreachable",
        re.compile(
            r"no such host|i/o timeout|connection refused|connection reset|network is unreachable|no route to host|TLS handshake|x509|deadline exceeded|: EOF"
            r"|server gave HTTP response|(?:50[0234]) (?:Internal|Bad|Service|Gateway)|temporary failure in name resolution|server misbehaving",
            re.IGNORECASE,
        ),
    ),
    (
        "image.denied",
        re.compile(r"unauthorized|authentication required|no basic auth|denied|forbidden|insufficient_scope|authorization failed|\b40[13]\b", re.IGNORECASE),
    ),
    ("image.not_found", re.compile(r"not found|manifest unknown|name unknown|unknown manifest|does not exist|\b404\b", re.IGNORECASE)),
)
# What a registry says of a name that it does not tell a stranger about.
VAGUE = re.compile(r"repository does not exist or may require|insufficient_scope", re.IGNORECASE)
PULL_IDS = tuple(finding for finding, _pattern in CAUSES) + ("image.pull_failed", "image.secret_missing", "image.secret_elsewhere")


@judges(*PULL_IDS, domain=kube.DOMAIN)
def pulls(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """An image that cannot be pulled, told apart by what the registry or the way to it says; and the secret for it, where that is the cause."""
    for work in kube.workloads(seen):
        name = work["component"]
        groups = [(group, one) for group in kube.staying(work) for one in group["containers"] if one["state"] == "waiting" and one["reason"] in WAITING]
        if not groups:
            yield Clear("image.pull_failed", name, {"images": sorted({one["image"] for one in work["containers"]})})
            continue
        told = set()
        for group, one in groups:
            if one["image"] in told:
                continue
            told.add(one["image"])
            yield from _judge_pull(seen, work, group, one)


def _judge_pull(seen: dict[str, Any], work: dict[str, Any], group: dict[str, Any], one: dict[str, Any]) -> Iterator[Finding]:
    component, severity = work["component"], kube.gravity(seen, work["component"])
    event = group["events"].get("Failed/pull") or {}
    message = one["message"] if "rpc error" in one["message"] or not event else event["message"]
    cause = why_not_pulled(one["reason"], "%s %s" % (one["message"], event.get("message", "")))
    registry = registry_of(one["image"])
    evidence = {**kube.base(work, group), "image": one["image"], "registry": registry, "container": one["name"], "reason": one["reason"], "message": message}
    evidence["secrets"] = group["pull_secrets"]
    evidence.update(before_this(work, group, one["name"], one["image"]))
    evidence["fits"] = fitting(seen, work["namespace"], group["pull_secrets"], registry)
    secret = _secret_cause(seen, work, group, registry) if cause == "image.denied" else None
    if secret:
        yield Finding(secret[0], component, severity, {**evidence, "secret": secret[1], "registries": secret[2]})
    else:
        vague = cause == "image.denied" and VAGUE.search(message) and not group["pull_secrets"]
        yield Finding(cause, component, severity, evidence, MEDIUM if vague else HIGH)


def before_this(work: dict[str, Any], group: dict[str, Any], container: str, image: str) -> dict[str, Any]:
    """{"image_before": what this container had in the version before, "only_image": whether nothing else differs}; "" where it had the same."""
    now, earlier = kube.versions(work)
    before = ((earlier.get("containers") or {}).get(container) or {}).get("image", "")
    if not before or before == image or group["revision"] != now.get("hash"):
        return {"image_before": "", "only_image": False}
    return {"image_before": before, "only_image": earlier["rest"] == now["rest"]}


def fitting(seen: dict[str, Any], namespace: str, used: list[str], registry: str) -> str:
    """The one Secret of the namespace that is for this registry and that the pod does not name; "" where there is none, or more than one."""
    found = {
        one["name"]
        for one in kube.facts(seen)["secrets"]
        if one["namespace"] == namespace and one["name"] not in used and any(serves(place, registry) for place in one.get("registries") or [])
    }
    return found.pop() if len(found) == 1 else ""


def why_not_pulled(reason: str, message: str) -> str:
    """Which finding the words of a kubelet and a registry mean."""
    return next((finding for finding, pattern in CAUSES if pattern.search("%s %s" % (reason, message))), "image.pull_failed")


def registry_of(image: str) -> str:
    """The registry of an image's name, as the container runtime reads it."""
    first, slash, _rest = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def _secret_cause(seen: dict[str, Any], work: dict[str, Any], group: dict[str, Any], registry: str) -> tuple[str, str, list[str]] | None:
    """(finding, secret, registries that it is for) where a pull secret that the pod names is not there, or is for other registries only."""
    known = {one["name"]: one for one in kube.facts(seen)["secrets"] if one["namespace"] == work["namespace"]}
    said = (kube.told(seen, group, "FailedToRetrieveImagePullSecret") or {}).get("message", "")
    # What the kubelet said of a Secret that could be read since is over.
    unread = [name for name in group["pull_secrets"] if known.get(name, {}).get("registries") is None]
    gone = [name for name in unread if known.get(name, {}).get("missing") or re.search(r"\b%s\b" % re.escape(name), said)]
    if gone:
        return "image.secret_missing", gone[0], []
    read = [known[name] for name in group["pull_secrets"] if name not in unread]
    registries = sorted({place for one in read for place in one["registries"]})
    if read and not unread and not any(serves(place, registry) for place in registries):
        return "image.secret_elsewhere", read[0]["name"], registries
    return None


def serves(place: str, registry: str) -> bool:
    """Whether an entry of a pull secret is for this registry ("https://index.docker.io/v1/" is docker.io)."""
    host = re.sub(r"^https?://", "", place).split("/")[0]
    return host == registry or (registry == "docker.io" and host in ("index.docker.io", "registry-1.docker.io"))


def _short(digest: str) -> str:
    """As docker names an image: nobody tells two builds apart by more."""
    return digest.rpartition(":")[2][:12]


@judges("image.digest_drift", domain=kube.DOMAIN)
def drift(seen: dict[str, Any], limits: Limits) -> Iterator[Answer]:
    """Copies of one revision that run different builds of the same tag: it was pushed anew between their starts.

    An image has another digest in a registry than on a node: only those of one kind tell anything of each other.
    """
    for work in kube.workloads(seen):
        builds: dict[tuple[str, ...], dict[str, str]] = {}
        for group in kube.staying(work):
            for one in kube.own(group):
                if one["digest"] and one["state"] == "running":
                    key = (group["revision"], one["name"], one["image"], one.get("digest_of", "node"))
                    builds.setdefault(key, {}).setdefault(_short(one["digest"]), group["names"][0])
        different = next((key for key, found in builds.items() if len(found) > 1), None)
        if different:
            evidence = {**kube.base(work), "image": different[2], "digests": sorted(builds[different]), "instances": sorted(builds[different].values())}
            yield Finding("image.digest_drift", work["component"], WARNING, evidence)
        elif builds and len({key[:3] for key in builds}) == len(builds):
            yield Clear("image.digest_drift", work["component"], {"digests": sorted({digest for found in builds.values() for digest in found})})
