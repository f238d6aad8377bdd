# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a fault does to a stack on Kubernetes, what undoes it, and how its symptoms are seen: by kubectl, and the packet filter of the test cluster's node.

A step that Compose has, too, (override, setting, …) takes effect at once, as there: pods of the version before do not go on serving.
A step of Kubernetes alone (edit, patch, …) is what an operator's hand does, and a rolling update protects whom it protects.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from cluster_bench import PASSING_METADATA, ClusterBench, containers_of, first_container, is_ready, pods_of, secrets_of, wanted_of
from injection import FIND_MODULE, LEAK, LEAK_MARK, STEP, Bench, FaultError, _Url, drop_app_sessions, listed, undo, until_saved

MARK = "gameday"  # the beginning of the names of what faults add
NOWHERE = 9  # a port on which nothing of a stack listens
PROCESSES = 'for d in /proc/[0-9]*; do read -r s < $d/stat; s=${s##*) }; set -- $s; printf "%s %s " "${d#/proc/}" "$2"; tr "\\0" " " < $d/cmdline; echo; done'

Spec = dict[str, Any]

# Changing workloads ---------------------------------------------------------------------------------------------------


def change(bench: ClusterBench, service: str, how: Callable[[Spec], None], at_once: bool = True) -> None:
    """A workload changed by hand; `how` is given its spec. at_once: what ran before is gone when this returns."""
    before = portable(bench.workload(service))
    bench.later("put_back", content=before)
    after = json.loads(json.dumps(before))
    how(after["spec"])
    rolling = before["spec"].get("strategy") if at_once and before["spec"].get("strategy", {}).get("type") == "RollingUpdate" else None
    if rolling:
        after["spec"]["strategy"] = {"type": "Recreate"}
    old = {pod["metadata"]["uid"] for pod in bench.pods(service)}
    bench.kubectl("replace", "-f", "-", stdin=json.dumps(after))
    if not at_once:
        return
    end = time.monotonic() + 60
    while old & {pod["metadata"]["uid"] for pod in bench.everything()[1]}:
        if time.monotonic() > end:
            raise FaultError("the pods of %s are not gone after 60 s" % service)
        time.sleep(0.3)
    if rolling:
        words = ["-n", after["metadata"]["namespace"], "patch", "%s/%s" % (after["kind"], service), "--type", "json"]
        bench.kubectl(*words, "-p", json.dumps([{"op": "replace", "path": "/spec/strategy", "value": rolling}]))


def portable(one: Mapping[str, Any]) -> dict[str, Any]:
    """An object that can be given back: without what only the cluster may say."""
    metadata = {key: value for key, value in one["metadata"].items() if key not in PASSING_METADATA and key not in ("ownerReferences", "finalizers")}
    content = {**one, "metadata": metadata}
    content.pop("status", None)
    if one["kind"] == "Service":
        content["spec"] = {key: value for key, value in one["spec"].items() if key != "clusterIPs"}
    return content


def give(container: Spec, values: Mapping[str, str]) -> None:
    """Settings with these values, however they were given before."""
    kept = [entry for entry in container.get("env", []) if entry["name"] not in values]
    container["env"] = kept + [{"name": name, "value": value} for name, value in values.items()]


def of_spec(spec: Spec) -> Spec:
    return first_container({"spec": spec})


def place(bench: ClusterBench, order: Mapping[str, Any]) -> str:
    """The namespace that an order names, itself (namespace) or by a component that lies there (of); else the stack's first."""
    if "of" in order:
        return bench.place_of(order["of"])
    namespace = str(order.get("namespace") or bench.namespaces[0])
    if namespace not in bench.namespaces:
        bench.expect_own_cluster("things in the namespace %s are changed" % namespace)
    return namespace


def keep(bench: ClusterBench, namespace: str, name: str) -> dict[str, Any]:
    """Note an object as it is, so that it is put back; it."""
    found = bench.object(namespace, name)
    if not found:
        raise FaultError("there is no %s in %s" % (name, namespace))
    bench.later("put_back", content=portable(found))
    return found


# Steps of both platforms ----------------------------------------------------------------------------------------------


def stop(bench: ClusterBench, services: Any) -> None:
    for service in listed(services):
        change(bench, service, lambda spec: spec.update(replicas=0))


def start(bench: ClusterBench, services: Any) -> None:
    for service in listed(services):
        change(bench, service, lambda spec: spec.update(replicas=1), at_once=False)


def recreate(bench: ClusterBench, services: Any) -> None:
    for service in listed(services):
        change(bench, service, lambda spec: spec["template"]["metadata"].setdefault("annotations", {}).update({"gameday/at": str(time.time())}))


def override(bench: ClusterBench, services: dict[str, Any]) -> None:
    """{service: {environment, command}}, as on Compose."""
    for service, wants in services.items():

        def how(spec: Spec, wants: dict[str, Any] = wants) -> None:
            give(of_spec(spec), {name: str(value) for name, value in wants.get("environment", {}).items()})
            if "command" in wants:
                of_spec(spec)["command"] = wants["command"]
                of_spec(spec).pop("args", None)

        change(bench, service, how)


def setting(bench: ClusterBench, order: dict[str, Any]) -> None:
    """As on Compose: another host, port or password, or a malformed value, where services look for a server."""
    where, wants = bench.spec["settings"][order["name"]], dict(order["change"])
    for service in listed(order["services"]):
        if "variable" in where:
            url = _Url(bench.environment(service)[where["variable"]])
            text = url.changed(**wants) if "malformed" not in wants else url.changed().replace("://", ":", 1)
            change(bench, service, lambda spec, text=text: give(of_spec(spec), {where["variable"]: text}))
        elif "password" in wants and "mounted" in where:
            other_secret(bench, service, where["mounted"], str(wants["password"]))
        else:
            values = {"port": "5432;"} if "malformed" in wants else wants
            if set(values) - set(where):
                raise FaultError("settings.%s of %s does not say where its %s is" % (order["name"], bench.stack.name, ", ".join(set(values) - set(where))))
            change(bench, service, lambda spec, values=values: give(of_spec(spec), {where[key]: str(value) for key, value in values.items()}))


def other_secret(bench: ClusterBench, service: str, path: str, value: str) -> None:
    """One service alone reads another Secret in the place of its own: the same with another value at this path."""
    secret, key = bench.mounted(service, path)
    namespace = bench.place_of(service)
    copy = bench.object(namespace, "secret/%s" % secret)
    name = "%s-%s" % (MARK, secret)
    data = {**copy.get("data", {}), key: base64.b64encode(value.encode()).decode()}
    create(bench, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": data})

    def how(spec: Spec) -> None:
        for volume in spec["template"]["spec"].get("volumes", []):
            for source in [volume, *volume.get("projected", {}).get("sources", [])]:
                if "secret" in source and secret in secrets_of(source):
                    source["secret"].update({("secretName" if "secretName" in source["secret"] else "name"): name})

    change(bench, service, how)


def unset(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A variable that is not there any more; {service, variable}. One that comes with a whole ConfigMap or Secret: a copy of that without it."""
    service, variable = order["service"], order["variable"]
    found = bench.workload(service)
    namespace, copies = found["metadata"]["namespace"], {}
    for source in first_container(found).get("envFrom", []):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            held = bench.object(namespace, "%s/%s" % (kind, source[key]["name"])) if key in source else {}
            if variable in held.get("data", {}):
                copies[source[key]["name"]] = name = "%s-%s" % (MARK, source[key]["name"])
                data = {one: value for one, value in held["data"].items() if one != variable}
                create(bench, {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "data": data})

    def how(spec: Spec) -> None:
        one = of_spec(spec)
        one["env"] = [entry for entry in one.get("env", []) if entry["name"] != variable]
        for source in one.get("envFrom", []):
            for key in ("configMapRef", "secretRef"):
                if key in source:
                    source[key]["name"] = copies.get(source[key]["name"], source[key]["name"])

    change(bench, service, how)


def unpublish(bench: ClusterBench, service: str) -> None:
    """No port of the nodes leads to it any more, and no Ingress."""
    namespace = bench.place_of(service)
    for one in bench.objects(namespace, "ingresses"):
        if ('"service": {"name": "%s"' % service) in json.dumps(one["spec"]):
            keep(bench, namespace, "ingress/%s" % one["metadata"]["name"])
            bench.kubectl("-n", namespace, "delete", "ingress", one["metadata"]["name"])
    keep(bench, namespace, "service/%s" % service)
    inner = [{"op": "replace", "path": "/spec/type", "value": "ClusterIP"}]
    bench.kubectl("-n", namespace, "patch", "service", service, "--type", "json", "-p", json.dumps(inner))


def misdirect(bench: ClusterBench, service: str) -> None:
    """Its published ports lead to one on which nothing listens."""
    found = keep(bench, bench.place_of(service), "service/%s" % service)
    ports = [{**port, "targetPort": NOWHERE} for port in found["spec"]["ports"]]
    wrong = [{"op": "replace", "path": "/spec/ports", "value": ports}]
    bench.kubectl("-n", found["metadata"]["namespace"], "patch", "service", service, "--type", "json", "-p", json.dumps(wrong))


def add_memory_limit(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A limit below what the service needs; {service, percent} of what it uses now."""
    limit = str(max(8 << 20, int(bench.memory(order["service"])[0] * order["percent"] / 100)))

    def how(spec: Spec) -> None:
        resources = of_spec(spec).setdefault("resources", {})
        for word in ("requests", "limits"):
            resources[word] = {**resources.get(word, {}), "memory": limit}

    change(bench, order["service"], how)


def leak(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A process inside that takes memory until so much of the limit is used; {service, percent}."""
    service = order["service"]
    limit = bench.memory(service)[1]
    if limit > 1 << 40:
        raise FaultError("%s has no memory limit" % service)
    pod = bench.running(service)
    bench.later("end_inside", namespace=pod["metadata"]["namespace"], pod=pod["metadata"]["name"])
    script = 'python3 -c "$0" "$1" "$2" >/dev/null 2>&1 </dev/null &'
    bench.inside(service, "sh", "-c", script, LEAK, LEAK_MARK, str(limit * order["percent"] // 100))


@undo
def undo_end_inside(bench: ClusterBench, namespace: str, pod: str) -> None:
    script = "for d in /proc/[0-9]*; do grep -q %s $d/cmdline 2>/dev/null && [ ${d#/proc/} != $$ ] && kill -9 ${d#/proc/}; done; true" % LEAK_MARK
    with contextlib.suppress(FaultError):
        bench.in_pod(namespace, pod, "sh", "-c", script, check=False)


def break_code(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A line of Python that fails, at the end of the module that makes the application: a release with a mistake in it; {service, line}."""
    service = order["service"]
    path = bench.inside(service, "sh", "-c", FIND_MODULE).strip()
    if not path:
        raise FaultError("no module that makes the application in %s" % service)
    text = "%s\n%s\n" % (bench.inside(service, "cat", path).rstrip(), order["line"])
    name, key = "%s-release" % MARK, PurePosixPath(path).name
    namespace = bench.place_of(service)
    create(bench, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {key: text}})

    def how(spec: Spec) -> None:
        spec["template"]["spec"].setdefault("volumes", []).append({"name": name, "configMap": {"name": name}})
        of_spec(spec).setdefault("volumeMounts", []).append({"name": name, "mountPath": path, "subPath": key})

    change(bench, service, how)


def exec_inside(bench: ClusterBench, order: dict[str, Any]) -> None:
    if "user" in order:
        raise FaultError("on Kubernetes a command runs as the container's own user")
    bench.inside(order["service"], *order["command"])


def signal_inside(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A signal to processes, from inside their container; as on Compose: {service, processes, children, signal}."""
    pod = bench.running(order["service"])
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    rows = []
    for line in bench.in_pod(namespace, name, "sh", "-c", PROCESSES).splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and re.search(order["processes"], words[2]):
            rows.append(words)
    numbers = {row[0] for row in rows}
    chosen = [row[0] for row in rows if row[0] != "1" and (not order.get("children") or row[1] in numbers)]
    if not chosen:
        raise FaultError("no process of %s matches %s" % (order["service"], order["processes"]))
    bench.later("continue_inside", namespace=namespace, pod=name, processes=chosen)
    bench.in_pod(namespace, name, "sh", "-c", "kill -%s %s" % (order["signal"], " ".join(chosen)))


@undo
def undo_continue_inside(bench: ClusterBench, namespace: str, pod: str, processes: list[str]) -> None:
    """A pod that is gone has taken them along; one that was started again has others, which go on anyway."""
    with contextlib.suppress(FaultError):
        bench.in_pod(namespace, pod, "sh", "-c", "kill -CONT %s" % " ".join(processes), check=False)


def network_disconnect(bench: ClusterBench, service: str) -> None:
    """A policy that lets nobody reach it, enforced."""
    found = bench.workload(service)
    spec = {"podSelector": {"matchLabels": found["spec"]["selector"]["matchLabels"]}, "policyTypes": ["Ingress"]}
    meta = {"name": "%s-isolation" % service, "namespace": found["metadata"]["namespace"]}
    create(bench, {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec})
    cut(bench, {"to": service})


def stray_container(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A pod that has nothing to do with the stack; {name, command}. Beside it where a label tells them apart, else in a namespace of its own."""
    service = bench.spec["services"]["api"]
    namespace = bench.namespaces[0]
    if not bench.selector:
        namespace = "%s-stray" % MARK
        bench.later("gone", namespace="", name="namespace/%s" % namespace)
        bench.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}))
    container = {
        "name": "main",
        "image": first_container(bench.workload(service))["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", order["command"]],
    }
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    create(bench, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "%s-%s" % (MARK, order["name"]), "namespace": namespace}, "spec": spec})


def rotate_database_password(bench: ClusterBench, new: str) -> None:
    """Another password in the server and in the Secrets that hold it, as a rotation does; the application is not told."""
    role, old = bench.spec["postgres"]["app_user"], bench.database_password()
    held = [
        one
        for namespace in bench.namespaces
        for one in bench.objects(namespace, "secrets")
        if any(old in base64.b64decode(value).decode(errors="replace") for value in one.get("data", {}).values()) and is_read(bench, one)
    ]
    if not held:
        raise FaultError("the password of %s stands in no Secret" % bench.stack.name)
    kept = bench.psql("SELECT rolpassword FROM pg_authid WHERE rolname = '%s'" % role)
    bench.later("drop_app_sessions")
    bench.later("role_password", role=role, password=kept)
    for one in held:
        bench.later("put_back", content=portable(one))
    bench.psql("ALTER ROLE \"%s\" PASSWORD '%s'" % (role, new))
    for one in held:
        data = {key: base64.b64encode(base64.b64decode(value).replace(old.encode(), new.encode())).decode() for key, value in one["data"].items()}
        bench.kubectl("replace", "-f", "-", stdin=json.dumps({**portable(one), "data": data}))
    drop_app_sessions(bench)


def is_read(bench: ClusterBench, secret: Mapping[str, Any]) -> bool:
    """Whether a workload of the stack reads this Secret; one of a neighbour's may hold the same."""
    name, namespace = secret["metadata"]["name"], secret["metadata"]["namespace"]
    return any(one["metadata"]["namespace"] == namespace and ('"%s"' % name) in json.dumps(one["spec"]) for one in bench.everything()[0].values())


def redis_save_fails(bench: ClusterBench, _order: Any = True) -> None:
    """The folder of the snapshots cannot be written any more."""
    folder = bench.redis_setting("dir")
    service = bench.spec["services"]["redis"]
    mode = bench.inside(service, "stat", "-c", "%a", folder).strip()
    bench.later("redis_save_inside", folder=folder, mode=mode)
    bench.inside(service, "chmod", "0555", folder)
    bench.redis("BGSAVE")


@undo
def undo_redis_save_inside(bench: ClusterBench, folder: str, mode: str) -> None:
    bench.inside(bench.spec["services"]["redis"], "chmod", mode, folder)
    until_saved(bench)


# Steps of Kubernetes alone --------------------------------------------------------------------------------------------


def edit(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A workload edited by hand, by strategic merges; {service, container: of its first one, pod: of the pod's spec, spec: of its own, at_once: false}."""
    service = order["service"]
    found = bench.workload(service)
    pod = dict(order.get("pod", {}))
    if "container" in order:
        pod["containers"] = [{"name": first_container(found)["name"], **order["container"]}]
    template = {"template": {"spec": pod}} if pod else {}
    words = ["-n", found["metadata"]["namespace"], "patch", "%s/%s" % (found["kind"], service), "--type", "strategic"]
    text = bench.kubectl(*words, "--dry-run=server", "-o", "json", "-p", json.dumps({"spec": {**order.get("spec", {}), **template}}))
    wanted = portable(json.loads(text))["spec"]

    def how(spec: Spec) -> None:
        spec.clear()
        spec.update(wanted)

    change(bench, service, how, at_once=bool(order.get("at_once")))


def patch(bench: ClusterBench, order: dict[str, Any]) -> None:
    """An object changed by a patch; {object: kind/name, change, type of patch (strategic), of: a component in its namespace, or namespace}."""
    namespace = place(bench, order)
    keep(bench, namespace, order["object"])
    bench.kubectl("-n", namespace, "patch", order["object"], "--type", order.get("type", "strategic"), "-p", json.dumps(order["change"]))


def delete(bench: ClusterBench, order: dict[str, Any]) -> None:
    """An object that is gone; {object: kind/name, of or namespace}."""
    namespace = place(bench, order)
    keep(bench, namespace, order["object"])
    bench.kubectl("-n", namespace, "delete", order["object"], timeout=90)


def create(bench: ClusterBench, order: dict[str, Any]) -> None:
    """An object that somebody adds: its manifest; `of` names a component in whose namespace it lies."""
    meta = {"namespace": place(bench, order) if "of" in order else bench.namespaces[0], **order["metadata"]}
    content = {key: value for key, value in {**order, "metadata": meta}.items() if key != "of"}
    bench.later("gone", namespace=meta["namespace"], name="%s/%s" % (order["kind"], meta["name"]))
    bench.kubectl("apply", "-f", "-", stdin=json.dumps(content))


def job(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A Job with the image of a component; {name, of, command}."""
    container = {**first_container(bench.workload(order["of"])), "name": "main", "command": order["command"]}
    container = {key: value for key, value in container.items() if key in ("name", "image", "imagePullPolicy", "command", "resources")}
    template = {"spec": {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}}
    template["metadata"] = {"labels": dict([bench.selector.split("=", 1)])} if bench.selector else {}
    meta = {"name": order["name"], "labels": template["metadata"].get("labels", {})}
    create(bench, {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template, "backoffLimit": 0}, "of": order["of"]})


def autoscaler(bench: ClusterBench, service: str) -> None:
    """An autoscaler for a component that has none."""
    found = bench.workload(service)
    namespace = found["metadata"]["namespace"]
    if any(one["spec"]["scaleTargetRef"]["name"] == service for one in bench.objects(namespace, "horizontalpodautoscalers")):
        return
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 800}}}
    target = {"apiVersion": found["apiVersion"], "kind": found["kind"], "name": service}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, "metrics": [metric]}
    meta = {"name": service, "namespace": namespace, "labels": dict([bench.selector.split("=", 1)]) if bench.selector else {}}
    create(bench, {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": spec})


def nodes(bench: ClusterBench, how: str) -> None:
    """Every node is closed to new pods: `cordon`, or `taint` (pods that run go on)."""
    bench.expect_own_cluster("nodes are closed")
    for one in bench.objects("", "nodes"):
        name = one["metadata"]["name"]
        if how == "cordon" and not one["spec"].get("unschedulable"):
            bench.later("kubectl", words=["uncordon", name])
            bench.kubectl("cordon", name)
        elif how == "taint":
            bench.later("kubectl", words=["taint", "node", name, "%s-" % MARK])
            bench.kubectl("taint", "node", name, "%s=closed:NoSchedule" % MARK, "--overwrite")


def registry_up(bench: ClusterBench, order: dict[str, Any]) -> None:
    """The registry that asks for a password; {push: a component whose image is put there, as: the name it gets}."""
    import registry
    from places import ClusterError

    bench.expect_own_cluster("the registry on loopback is reached")
    try:
        bench.later("registry_down")
        registry.up()
        if "push" in order:
            registry.push(first_container(bench.workload(order["push"]))["image"], order["as"])
    except ClusterError as error:
        raise FaultError(str(error)) from error


def certificate(bench: ClusterBench, order: dict[str, Any]) -> None:
    """A Secret with a certificate of its own signing; {name, hosts, days: until its end, below 0 for one that is over, of}."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, order["hosts"][0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=90))
        .not_valid_after(now + datetime.timedelta(days=order["days"]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in order["hosts"]]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    data = {"tls.crt": made.public_bytes(serialization.Encoding.PEM).decode(), "tls.key": private.decode()}
    content = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": order["name"]}, "stringData": data}
    create(bench, {**content, **({"of": order["of"]} if "of" in order else {})})


def cut(bench: ClusterBench, order: dict[str, Any]) -> None:
    """Packets to a component's pods are dropped by the node: what a policy does where the network enforces it; {to}."""
    if bench.on_foreign:
        return  # its network is expected to enforce policies; the symptom tells
    for target in bench.pods(order["to"]):
        rule = ["-d", target["status"]["podIP"], "-m", "comment", "--comment", MARK, "-j", "DROP"]
        bench.later("uncut", rule=rule)
        subprocess.run(["iptables", "-w", "-I", "FORWARD", *rule], check=True, timeout=20)


# Undoing --------------------------------------------------------------------------------------------------------------


@undo
def undo_uncut(bench: Bench, rule: list[str]) -> None:
    subprocess.run(["iptables", "-w", "-D", "FORWARD", *rule], check=False, timeout=20, capture_output=True)


@undo
def undo_kubectl(bench: ClusterBench, words: list[str]) -> None:
    bench.kubectl(*words, check=False)


@undo
def undo_registry_down(bench: ClusterBench) -> None:
    import registry

    registry.down()


@undo
def undo_put_back(bench: ClusterBench, content: dict[str, Any]) -> None:
    there = bench.object(content["metadata"]["namespace"], "%s/%s" % (content["kind"], content["metadata"]["name"]))
    if there and wanted_of(there) == wanted_of(content):
        return
    bench.kubectl("replace" if there else "create", "-f", "-", stdin=json.dumps(content))


@undo
def undo_gone(bench: ClusterBench, namespace: str, name: str) -> None:
    where = ["-n", namespace] if namespace else []
    bench.kubectl(*where, "delete", name, "--ignore-not-found", timeout=120)


@undo
def undo_kept_objects(bench: ClusterBench, kept: list[dict[str, Any]]) -> None:
    """The objects as they were; what a cure has added goes."""
    known = {(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]) for one in kept}
    for content in kept:
        undo_put_back(bench, content)
    for namespace in bench.namespaces:
        for one in bench.objects(namespace, "configmaps", "secrets"):
            by = {entry.get("manager") for entry in one["metadata"].get("managedFields", [])}
            if "aiops-runbook" in by and (one["kind"], namespace, one["metadata"]["name"]) not in known:
                bench.kubectl("-n", namespace, "delete", one["kind"], one["metadata"]["name"], "--ignore-not-found")


# Symptoms -------------------------------------------------------------------------------------------------------------


def pod_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """{pod: service, phase, waiting: reason, last: reason of its last end, ready: bool, restarts: at least, scheduled: bool, none: true}; one pod suffices."""
    seen = []
    pods = bench.pods(order["pod"])
    if order.get("none"):
        return not pods, "%d pods of %s" % (len(pods), order["pod"])
    for pod in pods:
        status, containers = pod["status"], containers_of(pod)
        waiting = {(one.get("state") or {}).get("waiting", {}).get("reason") for one in containers} - {None}
        last = {((one.get("lastState") or {}).get("terminated") or (one.get("state") or {}).get("terminated") or {}).get("reason") for one in containers}
        conditions = {one["type"]: one["status"] == "True" for one in status.get("conditions", [])}
        restarts = sum(one.get("restartCount", 0) for one in containers)
        seen.append("%s %s %s restarts %d" % (status.get("phase"), "/".join(sorted(map(str, waiting))), "/".join(sorted(map(str, last - {None}))), restarts))
        if (
            ("phase" not in order or status.get("phase") in listed(order["phase"]))
            and ("waiting" not in order or waiting & set(listed(order["waiting"])))
            and ("last" not in order or last & set(listed(order["last"])))
            and ("ready" not in order or is_ready(pod) == order["ready"])
            and ("scheduled" not in order or conditions.get("PodScheduled", False) == order["scheduled"])
            and restarts >= order.get("restarts", 0)
        ):
            return True, seen[-1]
    return False, "pods of %s: %s" % (order["pod"], "; ".join(seen) or "none")


def container_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """As on Compose: {container: service, state, exit_code, oom_killed}; what has no pod any more has ended."""
    pods, wants = bench.pods(order["container"]), listed(order.get("state", "running"))
    if "exited" in wants and not pods:
        return True, "no pod"
    seen = []
    for pod in pods:
        for one in pod["status"].get("containerStatuses", []):
            ends = [state["terminated"] for state in (one.get("state") or {}, one.get("lastState") or {}) if "terminated" in state]
            codes = {shown_code(end) for end in ends}
            seen.append("%s %s" % ("/".join(one.get("state") or {}), ", ".join("%s %s" % (end["exitCode"], end.get("reason")) for end in ends)))
            if (
                ("state" not in order or ("running" in wants and "running" in (one.get("state") or {})) or ("exited" in wants and bool(ends)))
                and ("exit_code" not in order or codes & set(listed(order["exit_code"])))
                and ("oom_killed" not in order or any(end.get("reason") == "OOMKilled" for end in ends))
            ):
                return True, seen[-1]
    return False, "%s is %s" % (order["container"], "; ".join(seen) or "not there")


def shown_code(end: Mapping[str, Any]) -> int:
    """The exit code as Docker would show it: a program that is not there is 127, whatever the kubelet calls it."""
    if end.get("reason") in ("StartError", "ContainerCannotRun"):
        return 127 if re.search(r"not found|no such file", end.get("message", "")) else 126
    return int(end["exitCode"])


def event_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """As on Compose, for the one event that faults wait for: the kernel has ended something for want of memory."""
    if order["event"] != "oom":
        raise FaultError("on Kubernetes only the event oom is known")
    return container_seen(bench, {"container": order["service"], "oom_killed": True})


def log_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """As the Compose side's: since the injection began, in the present container or in the one before."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(bench.began - 1))
    for pod in bench.pods(order["log"]):
        for previous in ("--previous=false", "--previous=true"):
            with contextlib.suppress(FaultError):
                text = bench.kubectl("-n", pod["metadata"]["namespace"], "logs", pod["metadata"]["name"], previous, "--since-time=%s" % since, check=False)
                match = re.search(order["matches"], text)
                if match:
                    return True, match[0]
    return False, "the log of %s says nothing like %s" % (order["log"], order["matches"])


def object_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """{object: kind/name, path: of kubectl's jsonpath, matches: pattern, of or namespace}"""
    text = bench.kubectl("-n", place(bench, order), "get", order["object"], "-o", "jsonpath=%s" % order["path"], check=False)
    return bool(re.search(order["matches"], text)), "%s says %s" % (order["object"], text[:200])


def workload_seen(bench: ClusterBench, order: dict[str, Any]) -> tuple[bool, str]:
    """{workload: service, says: pattern}: one of its conditions, of its pods' conditions, or of the events about any of them says so."""
    found = bench.workload(order["workload"])
    _workloads, pods = bench.everything()
    names = {found["metadata"]["name"], *(pod["metadata"]["name"] for pod in pods_of(found, pods))}
    said = ["%s %s" % (one.get("reason"), one.get("message")) for about in [found, *pods_of(found, pods)] for one in about["status"].get("conditions", [])]
    for one in bench.objects(found["metadata"]["namespace"], "events"):
        about = one["involvedObject"]["name"]
        if about in names or (one["involvedObject"]["kind"] == "ReplicaSet" and about.rpartition("-")[0] in names):
            said.append("%s %s" % (one.get("reason"), one.get("message")))
    match = re.search(order["says"], "\n".join(said))
    return bool(match), match[0] if match else "%s: %s" % (order["workload"], " | ".join(said[-3:])[:300])


# What is done or seen here in another way than on Compose, or only here.
ClusterBench.steps = {
    "stop": stop,
    "start": start,
    "recreate": recreate,
    "restart": recreate,
    "override": override,
    "setting": setting,
    "unset": unset,
    "unpublish": unpublish,
    "misdirect": misdirect,
    "add_memory_limit": add_memory_limit,
    "leak": leak,
    "break_code": break_code,
    "exec": exec_inside,
    "signal": signal_inside,
    "network_disconnect": network_disconnect,
    "stray_container": stray_container,
    "rotate_database_password": rotate_database_password,
    "redis_save_fails": redis_save_fails,
    "edit": edit,
    "patch": patch,
    "delete": delete,
    "create": create,
    "job": job,
    "autoscaler": autoscaler,
    "nodes": nodes,
    "registry": registry_up,
    "certificate": certificate,
    "cut": cut,
}
# What goes through the bench alone, wherever the stack is.
ClusterBench.steps.update(
    {
        name: STEP[name]
        for name in ("sql seed sql_session open_sessions drop_app_sessions redis redis_password redis_fill send enqueue traffic wait wait_ready".split())
    }
)
ClusterBench.symptoms = {
    "container": container_seen,
    "event": event_seen,
    "log": log_seen,
    "pod": pod_seen,
    "object": object_seen,
    "workload": workload_seen,
}
