# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster has besides its node: names (CoreDNS), usage (metrics-server), a class of volumes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from shutil import copy2
from typing import Any

import binaries
from node import kubectl, load_images
from places import DNS_SERVICE, HERE, run, wait


def apply() -> None:
    images = {name: _image(name) for name in ("coredns", "metrics-server")}
    load_images(list(images.values()))
    text = (HERE / "addons.yml").read_text(encoding="utf-8")
    for name, value in {"COREDNS_IMAGE": images["coredns"], "METRICS_IMAGE": images["metrics-server"], "DNS_SERVICE": DNS_SERVICE}.items():
        text = text.replace("${%s}" % name, value)
    kubectl("apply", "-f", "-", stdin=text)

    def problem() -> str:
        found: list[dict[str, Any]] = json.loads(kubectl("-n", "kube-system", "get", "deployments", "-o", "json"))["items"]
        waiting = [one["metadata"]["name"] for one in found if not one["status"].get("readyReplicas")]
        return "waiting for %s" % ", ".join(waiting) if waiting else ""

    wait("CoreDNS or metrics-server", problem, 90)


def _image(name: str) -> str:
    """An image with nothing but this program."""
    tag = "aiops.local/%s:%s" % (name, binaries.folder().name)
    if not run(["docker", "image", "ls", "-q", tag]).strip():
        with tempfile.TemporaryDirectory() as context:
            copy2(binaries.folder() / name, Path(context, name))
            Path(context, "Dockerfile").write_text('FROM scratch\nCOPY %s /%s\nENTRYPOINT ["/%s"]\n' % (name, name, name), encoding="ascii")
            run(["docker", "build", "-q", "-t", tag, context])
    return tag
