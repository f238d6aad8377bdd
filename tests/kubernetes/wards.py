# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What namespaces full of broken things are made of, and how they are looked at."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Callable
from typing import Any

import registry
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from there import RESOURCES, workload

ACCOUNT = {"username": registry.USER, "password": registry.PASSWORD}
SLEEP = ["sleep", "infinity"]


def asleep_by(usual: str, name: str, image: str = "", **more: Any) -> list[dict[str, Any]]:
    """A workload that does nothing, of the usual image where no other is named."""
    return workload(name, image or usual, **{"command": SLEEP, **more})


def certificate(host: str, days: float) -> dict[str, str]:
    """A certificate for a host that ends in so many days, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - datetime.timedelta(days=90)).not_valid_after(now + datetime.timedelta(days=days))
    signed = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    return {
        "tls.crt": signed.public_bytes(serialization.Encoding.PEM).decode(),
        "tls.key": key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode(),
    }


def ingress(name: str, host: str, backend: str, tls: str = "", port: int = 8000) -> dict[str, Any]:
    to = {"service": {"name": backend, "port": {"number": port}}}
    rules = [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": to}]}}]
    more = {"tls": [{"hosts": [host], "secretName": tls}]} if tls else {}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": {"rules": rules, **more}}


def secret(name: str, data: dict[str, str], kind: str = "Opaque") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data}


def scaler(name: str, target: str, percent: int = 5000, **spec: Any) -> dict[str, Any]:
    """An autoscaler between 1 and 2 copies, by a percentage of the CPU that they ask for. spec: what differs."""
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}
    to = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    wanted = {"scaleTargetRef": to, "minReplicas": 1, "maxReplicas": 2, "metrics": [metric], **spec}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": wanted}


def job(name: str, image: str, command: list[str], **spec: Any) -> dict[str, Any]:
    one = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": command, "resources": RESOURCES}
    pod = {"metadata": {"labels": {"app": name}}, "spec": {"restartPolicy": "Never", "containers": [one]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": pod, **spec}}


def claim(name: str, storage_class: str, volume: str = "") -> dict[str, Any]:
    spec = {"storageClassName": storage_class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    if volume:
        spec["volumeName"] = volume
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def volume(name: str, where: dict[str, Any]) -> dict[str, Any]:
    """A volume that somebody made by hand: where is its source."""
    wanted = {"capacity": {"storage": "10Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "", **where}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": wanted}


def mounting(claim_name: str) -> dict[str, Any]:
    return {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]}


# Looking ---------------------------------------------------------------------------------------------------------------


def looked(look: Callable[[], dict[str, Any]], wanted: set[tuple[str, str]], patience: float, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The first diagnosis that shows every wanted (finding, component), or the last one after so many seconds. meanwhile: done between two looks."""
    end = time.monotonic() + patience
    while True:
        found = look()
        shown = {(one["id"], one["component"]) for one in found["findings"]}
        if wanted <= shown or time.monotonic() > end:
            return found
        meanwhile()
        time.sleep(5)


class Ward:
    """What is asked of every ward. `model`, a fixture of the file, is its diagnosis; the class that the file makes of this says what must be in it."""

    ILL: set[tuple[str, str]]  # (finding, component): each a root cause of its own
    BEHIND: dict[tuple[str, str], tuple[str, str]]  # those of them that another finding explains
    NOTES: set[tuple[str, str]]  # true, and no illness
    WELL: set[str]  # components
    PASSWORD: str  # that is told nowhere

    def test_each_is_found(self, model: dict[str, Any]) -> None:
        found = {(one["id"], one["component"]) for one in model["findings"] if one["severity"] != "info"}
        assert self.ILL - found == set()

    def test_each_is_the_cause_of_what_else_is_wrong_with_it(self, model: dict[str, Any]) -> None:
        roots = {(root["id"], root["component"]) for root in model["root_causes"] if root["severity"] != "info"}
        assert roots == {self.BEHIND.get(one, one) for one in self.ILL}

    def test_what_is_true_and_no_illness_is_a_note(self, model: dict[str, Any]) -> None:
        notes = {(one["id"], one["component"]) for one in model["findings"] if one["severity"] == "info"}
        assert self.NOTES - notes == set()

    def test_what_is_well_is_left_alone(self, model: dict[str, Any]) -> None:
        assert {(one["id"], one["component"]) for one in model["findings"] if one["component"] in self.WELL} == set()

    def test_every_finding_has_its_words(self, model: dict[str, Any]) -> None:
        """No text of the catalogue lacks a fact that it names."""
        for one in model["findings"]:
            for text in (one["title"], one.get("explanation") or "", *(one.get("do") or [])):
                assert not re.search(r"\{[a-z_]+\}", text), (one["id"], text)
        assert self.PASSWORD not in json.dumps(model)
