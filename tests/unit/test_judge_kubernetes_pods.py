"""Why pods do not come up, and what is no illness: one row a case. The messages are those of a Kubernetes 1.34."""

from __future__ import annotations

import pytest
from samples_cluster import RUNS, ago, answers, deployment, ended, event, judged, node, pod, replicaset, seen, waits

from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_images import registry_of, serves, why_not_pulled
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_pods import missing_source
from ansible_collections.aiops.runbook.plugins.module_utils.model import Unseen, unseen

SET = [deployment(), replicaset()]
NO_ROOM = (
    "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)
CORDONED = "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
TAINT = "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}. preemption: 0/1 nodes are available: 1 Preemption is not helpful."
SELECTOR = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 nodes are available: 1 Preemption is not helpful."
CONTROL = "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient memory."
NOT_READY = "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."
PORTS = "0/3 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 2 node(s) had untolerated taint {gpu: true}."
HUGE = {"resources": {"requests": {"cpu": "64"}}}

SCHEDULING = [
    ("runs", pod(), [node()], {}, []),
    ("no room", pod(seconds=60, unscheduled=NO_ROOM), [node()], {}, ["pod.no_room"]),
    ("no room, just now", pod(seconds=5, unscheduled=NO_ROOM), [node()], {}, []),
    ("no room, and a node is being added", pod(seconds=60, unscheduled=NO_ROOM), [node()], {"events": "TriggeredScaleUp"}, []),
    ("cordoned", pod(seconds=60, unscheduled=CORDONED), [node(spec={"unschedulable": True})], {}, ["pod.node_cordoned"]),
    ("a taint", pod(seconds=60, unscheduled=TAINT), [node()], {}, ["pod.taint_not_tolerated"]),
    ("a selector", pod(seconds=60, unscheduled=SELECTOR), [node()], {}, ["pod.no_matching_node"]),
    ("the control plane's own taint is no cause", pod(seconds=60, unscheduled=CONTROL), [node()], {}, ["pod.no_room"]),
    ("its port is taken where it may run", pod(seconds=60, unscheduled=PORTS), [node()], {}, ["pod.unschedulable"]),
    ("larger than any node, which is cordoned besides", pod(seconds=60, unscheduled=CORDONED), [node()], {"container": HUGE}, ["pod.no_room"]),
    ("the node does not answer", pod(seconds=60, unscheduled=NOT_READY), [node(ready=False)], {}, ["node.not_ready", "pod.unschedulable"]),
    ("something else", pod(seconds=60, unscheduled="0/1 nodes are available: 1 node(s) are odd."), [node()], {}, ["pod.unschedulable"]),
]


@pytest.mark.parametrize(("what", "one", "nodes", "more", "expected"), SCHEDULING, ids=[case[0] for case in SCHEDULING])
def test_scheduling(what, one, nodes, more, expected):
    told = [event("Pod", one["metadata"]["name"], more["events"], seconds=20)] if "events" in more else []
    document = seen(deployment(container=more.get("container")), replicaset(), one, nodes=nodes, events=told)
    assert [name for name, _where in judged(document) if name != "resources.unset"] == expected


PULLS = [
    ('Failed to pull image "x:9": rpc error: code = NotFound desc = failed to pull and unpack image "x:9": x:9: not found', "image.not_found"),
    ('failed to resolve reference "r:5000/app:nope": r:5000/app:nope: not found', "image.not_found"),
    ("failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized", "image.denied"),
    ("pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed", "image.denied"),
    ('failed to do request: Head "https://registry-1.docker.io/v2/x": dial tcp: lookup registry-1.docker.io: no such host', "image.registry_unreachable"),
    ('failed to do request: Head "https://r:5000/v2/x": dial tcp 10.0.0.1:5000: connect: connection refused', "image.registry_unreachable"),
    (
        'failed to do request: Head "https://r/v2/x": tls: failed to verify certificate: x509: certificate signed by unknown authority',
        "image.registry_unreachable",
    ),
    ("429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit", "image.pull_limited"),
    ("no match for platform in manifest: not found", "image.platform_missing"),
    (
        'Failed to apply default image tag "Shop/App:1": couldn\'t parse image name "Shop/App:1": invalid reference format: must be lowercase',
        "image.name_invalid",
    ),
    ('Container image "x:1" is not present with pull policy of Never', "image.not_on_node"),
    ("something that nobody knows", "image.pull_failed"),
]


@pytest.mark.parametrize(("message", "expected"), PULLS)
def test_what_a_registry_says(message, expected):
    assert why_not_pulled("ImagePullBackOff", message) == expected


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("app:1", "docker.io"),
        ("shop/app", "docker.io"),
        ("ghcr.io/a/b@sha256:1", "ghcr.io"),
        ("localhost/x", "localhost"),
        ("127.0.0.1:15000/x:1", "127.0.0.1:15000"),
    ],
)
def test_registry_of(image, registry):
    assert registry_of(image) == registry


@pytest.mark.parametrize(
    ("place", "registry", "good"),
    [("https://index.docker.io/v1/", "docker.io", True), ("ghcr.io", "ghcr.io", True), ("https://r:5000", "r:5000", True), ("ghcr.io", "quay.io", False)],
)
def test_a_pull_secret_is_for_a_registry(place, registry, good):
    assert serves(place, registry) is good


DENIED = waits("ImagePullBackOff", 'Back-off pulling image "r.example/app:1": ErrImagePull: unexpected status: 401 Unauthorized')
IMAGE = {"image": "r.example/app:1"}
NAMED = {"imagePullSecrets": [{"name": "pull"}]}


def secret(**more):
    return [{"namespace": "shop", "name": "pull", "kind": "Secret", "missing": None, "registries": None, **more}]


SECRETS = [
    ("none", {}, [], "image.denied"),
    ("not read", NAMED, [], "image.denied"),
    ("gone", NAMED, secret(missing="there is no Secret pull"), "image.secret_missing"),
    ("for another registry", NAMED, secret(registries=["quay.io"]), "image.secret_elsewhere"),
    ("for this registry", NAMED, secret(registries=["r.example"]), "image.denied"),
]


@pytest.mark.parametrize(("what", "spec", "facts", "expected"), SECRETS, ids=[case[0] for case in SECRETS])
def test_pull_secrets(what, spec, facts, expected):
    one = pod(status=DENIED, spec={"containers": [{"name": "api", **IMAGE}], **spec}, seconds=60)
    assert expected in answers(seen(*SET, one, secretfacts=facts))


def test_the_kubelet_says_that_a_pull_secret_is_gone():
    one = pod(status=DENIED, spec={"containers": [{"name": "api", **IMAGE}], **NAMED}, seconds=60)
    told = event(
        "Pod",
        one["metadata"]["name"],
        "FailedToRetrieveImagePullSecret",
        "Unable to retrieve some image pull secrets (pull); attempting to pull the image may not succeed.",
    )
    assert "image.secret_missing" in answers(seen(*SET, one, events=[told]))
    # It came a moment after its pods.
    assert "image.secret_elsewhere" in answers(seen(*SET, one, events=[told], secretfacts=secret(registries=["quay.io"])))


def test_the_event_tells_what_the_status_does_not():
    one = pod(status=waits("ImagePullBackOff", 'Back-off pulling image "shop/api:1"'), seconds=60)
    told = event("Pod", one["metadata"]["name"], "Failed", 'Failed to pull image "shop/api:1": rpc error: code = NotFound desc = not found')
    assert "image.not_found" in answers(seen(*SET, one, events=[told]))


def test_two_builds_of_one_tag():
    same = [pod(number=1), pod(number=2)]
    assert "image.digest_drift" not in answers(seen(*SET, *same))
    other = pod(status={**RUNS, "imageID": "sha256:22"}, number=2)
    assert answers(seen(*SET, same[0], other))["image.digest_drift"].evidence["digests"] == ["11", "22"]
    # One that the node has from a registry, too, is told with the registry's own digest since.
    pulled = pod(status={**RUNS, "imageID": "registry.example/shop/api@sha256:33"}, number=2)
    assert "image.digest_drift" not in answers(seen(*SET, same[0], pulled))
    anew = pod(status={**RUNS, "imageID": "docker-pullable://registry.example/shop/api@sha256:44"}, number=3)
    assert answers(seen(*SET, pulled, anew))["image.digest_drift"].evidence["digests"] == ["33", "44"]
    # A kubelet names the first of the repositories that it has it from.
    elsewhere = pod(status={**RUNS, "imageID": "registry.example/base@sha256:33"}, number=4)
    assert "image.digest_drift" not in answers(seen(*SET, pulled, elsewhere))
    newer = pod(status={**RUNS, "imageID": "sha256:22"}, number=2, digest="def456")
    assert "image.digest_drift" not in answers(seen(*SET, replicaset(digest="def456", revision=2), same[0], newer))


MISSING = [
    ('configmap "settings" not found', ("configmap", "settings", "")),
    ('secret "keys" not found', ("secret", "keys", "")),
    ("couldn't find key url in Secret shop/keys", ("secret", "keys", "url")),
    ("couldn't find key LOG in ConfigMap shop/settings", ("configmap", "settings", "LOG")),
    ('MountVolume.SetUp failed for volume "v" : configmap "files" not found', ("configmap", "files", "")),
    ('MountVolume.SetUp failed for volume "v" : secret "files" not found', ("secret", "files", "")),
    ("container has runAsNonRoot and image will run as root", None),
]


@pytest.mark.parametrize(("message", "expected"), MISSING)
def test_missing_source(message, expected):
    found = missing_source(message)
    assert (found and (found["kind"], found["name"], found["key"])) == expected


ENV = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
SETTINGS = {"metadata": {"name": "settings", "namespace": "shop", "creationTimestamp": ago(9999)}, "data": {"A": "1"}}
ONE_KEY = {"env": [{"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "B"}}}]}
OPTIONAL = {"envFrom": [{"configMapRef": {"name": "settings", "optional": True}}]}
BESIDE = {
    "env": [
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "A"}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "B", "optional": True}}},
    ]
}
SOURCES = [
    ("an optional key gone beside a required one", BESIDE, pod(), [SETTINGS], []),
    ("there", ENV, pod(), [SETTINGS], []),
    ("gone, and it cannot start", ENV, pod(status=waits("CreateContainerConfigError", 'configmap "settings" not found')), [], ["config.source_missing"]),
    ("gone while it runs", ENV, pod(), [], ["config.source_missing"]),
    ("gone and optional", OPTIONAL, pod(), [], []),
    ("a key gone while it runs", ONE_KEY, pod(), [SETTINGS], ["config.source_missing"]),
    (
        "the kubelet's other reasons",
        {},
        pod(status=waits("CreateContainerConfigError", "container's runAsUser breaks non-root policy")),
        [],
        ["pod.cannot_be_made"],
    ),
    ("a command that is not there is the container's", {}, pod(status=waits("RunContainerError", 'exec: "srv": executable file not found in $PATH')), [], []),
    ("being made", {}, pod(status=waits("ContainerCreating")), [], []),
]


@pytest.mark.parametrize(("what", "wants", "one", "configmaps", "expected"), SOURCES, ids=[case[0] for case in SOURCES])
def test_sources(what, wants, one, configmaps, expected):
    found = judged(seen(deployment(container=wants), replicaset(), one, configmaps=configmaps))
    assert [name for name, _where in found if name.startswith(("config.", "pod."))] == expected


def test_a_configmap_that_is_mounted_and_gone():
    one = pod(status=waits("ContainerCreating"))
    told = event("Pod", one["metadata"]["name"], "FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "files" not found')
    found = answers(seen(*SET, one, events=[told]))["config.source_missing"]
    assert (found.evidence["source"], found.severity) == ("configmap/files", "critical")


INIT = [
    ("done", pod(init={"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}), []),
    ("fails", pod(status=waits("PodInitializing"), init=waits("CrashLoopBackOff", lastState={"terminated": ended(1)}, restartCount=3)), ["pod.init_failing"]),
    ("has failed just now", pod(status=waits("PodInitializing"), init={"state": {"terminated": ended(1)}, "restartCount": 0}), ["pod.init_failing"]),
    ("runs for long", pod(status=waits("PodInitializing"), init={"state": {"running": {"startedAt": ago(300)}}}), ["pod.init_waiting"]),
    ("runs", pod(status=waits("PodInitializing"), init={"state": {"running": {"startedAt": ago(20)}}}), []),
    ("waits for its turn", pod(status=waits("PodInitializing"), init=waits("PodInitializing")), []),
]


@pytest.mark.parametrize(("what", "one", "expected"), INIT, ids=[case[0] for case in INIT])
def test_init_containers(what, one, expected):
    given = deployment(pod_spec={"initContainers": [{"name": "prepare", "image": "shop/init:1"}]})
    assert [name for name, _where in judged(seen(given, replicaset(), one)) if name.startswith("pod.")] == expected


def test_a_sidecar_that_starts_first_is_not_stuck():
    spec = {"initContainers": [{"name": "prepare", "image": "x", "restartPolicy": "Always"}]}
    one = pod(init={"state": {"running": {"startedAt": ago(3000)}}, "started": True})
    one["spec"]["initContainers"] = spec["initContainers"]
    assert not [name for name, _where in judged(seen(deployment(pod_spec=spec), replicaset(), one)) if name.startswith("pod.")]


@pytest.mark.parametrize(("count", "expected"), [(1, []), (4, ["pod.network_failed"])])
def test_a_pod_without_a_network(count, expected):
    one = pod(status=waits("ContainerCreating"))
    told = event("Pod", one["metadata"]["name"], "FailedCreatePodSandBox", 'plugin type="bridge" failed (add): no address left', count=count)
    assert [name for name, _where in judged(seen(*SET, one, events=[told])) if name.startswith("pod.")] == expected


PRESSURE = {"type": "MemoryPressure", "status": "True", "reason": "x", "message": "kubelet has insufficient memory", "lastTransitionTime": ago(60)}
NODES = [
    ("ready", [node()], []),
    ("one that bears nothing of ours", [node(), node("n2", ready=False)], []),
    ("not ready", [node(ready=False)], [("node.not_ready", "node/n1")]),
    ("short of memory", [node(conditions=[PRESSURE])], [("node.pressure", "node/n1")]),
    ("cordoned is a note", [node(spec={"unschedulable": True})], [("node.cordoned", "node/n1")]),
]


@pytest.mark.parametrize(("what", "nodes", "expected"), NODES, ids=[case[0] for case in NODES])
def test_nodes(what, nodes, expected):
    found = judged(seen(*SET, pod(), nodes=nodes))
    assert [one for one in found if one[0].startswith("node.")] == expected


def test_what_rbac_hides_is_said_with_the_rule():
    denied = unseen("this account may not list nodes", kind="denied", fix='grant it in a ClusterRole: {apiGroups: [""], resources: ["nodes"], verbs: ["list"]}')
    found = answers(seen(*SET, pod(), nodes=denied), Unseen)["node.not_ready"]
    assert "ClusterRole" in found.fix and found.component == "stack"


# what a cure needs to know


def of_version(number, digest, image="shop/api:1", **container):
    one = replicaset(digest=digest, revision=number)
    one["spec"]["template"] = {"metadata": {"labels": {"pod-template-hash": digest}}, "spec": {"containers": [{"name": "api", "image": image, **container}]}}
    return one


BEFORE = [
    ("the image alone", [of_version(2, "new", "r.example/app:2"), of_version(1, "old")], "new", ("shop/api:1", True)),
    ("more than the image", [of_version(2, "new", "r.example/app:2", command=["x"]), of_version(1, "old")], "new", ("shop/api:1", False)),
    ("the same image", [of_version(2, "new", "r.example/app:2", command=["x"]), of_version(1, "old", "r.example/app:2")], "new", ("", False)),
    ("pods of the version before", [of_version(2, "new", "r.example/app:2"), of_version(1, "old")], "old", ("", False)),
    ("what serves still",
     [of_version(3, "new", "r.example/app:2"), of_version(2, "bad", "x:1"), {**of_version(1, "old"), "status": {"readyReplicas": 1}}],
     "new", ("shop/api:1", True)),
    ("no other", [of_version(1, "new", "r.example/app:2")], "new", ("", False)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "versions", "digest", "expected"), BEFORE, ids=[case[0] for case in BEFORE])
def test_the_image_before(what, versions, digest, expected):
    gone = waits("ImagePullBackOff", 'Back-off pulling image "r.example/app:2": not found')
    one = pod(status=gone, container={"image": "r.example/app:2"}, digest=digest, seconds=60)
    found = answers(seen(deployment(container={"image": "r.example/app:2"}), *versions, one))["image.not_found"].evidence
    assert (found["image_before"], found["only_image"]) == expected


FITTING = [
    ("one", secret(registries=["r.example"]), "pull"),
    ("for another registry", secret(registries=["quay.io"]), ""),
    ("two", secret(registries=["r.example"]) + secret(name="too", registries=["r.example"]), ""),
    ("of another namespace", secret(namespace="other", registries=["r.example"]), ""),
    ("what was not read", secret(), ""),
]


@pytest.mark.parametrize(("what", "facts", "expected"), FITTING, ids=[case[0] for case in FITTING])
def test_a_secret_that_fits(what, facts, expected):
    one = pod(status=DENIED, spec={"containers": [{"name": "api", **IMAGE}]}, seconds=60)
    assert answers(seen(*SET, one, secretfacts=facts))["image.denied"].evidence["fits"] == expected


def test_the_one_that_is_refused_does_not_fit():
    one = pod(status=DENIED, spec={"containers": [{"name": "api", **IMAGE}], **NAMED}, seconds=60)
    assert answers(seen(*SET, one, secretfacts=secret(registries=["r.example"])))["image.denied"].evidence["fits"] == ""


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node(spec={"unschedulable": True})], (["n1"], "n1")),
        ([node(spec={"unschedulable": True}), node("n2", spec={"unschedulable": True})], (["n1", "n2"], "")),
        ([node(spec={"unschedulable": True}), node("n2", ready=False, spec={"unschedulable": True})], (["n1"], "n1")),
    ],
)
def test_which_node_is_cordoned(nodes, expected):
    found = answers(seen(*SET, pod(seconds=60, unscheduled=CORDONED), nodes=nodes))["pod.node_cordoned"].evidence
    assert (found["cordoned"], found["node"]) == expected
