"""Services, Ingresses, policies and DNS: what is found, and what must not be. One row a case."""

from __future__ import annotations

import pytest
from samples import NOW, edge
from samples_cluster import ago, answers, deployment, judged, meta, node, pod, replicaset, seen, service

from ansible_collections.aiops.runbook.plugins.module_utils.judge import config
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_services import covers
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_view import platform_edges
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import judge_stack
from ansible_collections.aiops.runbook.plugins.module_utils.model import Clear, Finding, Unseen, unseen
from ansible_collections.aiops.runbook.plugins.module_utils.observe.document import _heard_outside
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import diagnose
from ansible_collections.aiops.runbook.plugins.plugin_utils.plan import _fitting

API = [deployment(), replicaset(), pod()]
DB = [deployment("db"), replicaset("db"), pod("db")]
ROLES = {"db": "postgres", "api": "api"}


def with_service(*found, **more):
    made, slice_ = service(**more)
    return {"services": [made], "endpointslices": [slice_]}


SERVICES = [
    ("well", with_service(), []),
    ("a wrong selector", with_service(selector={"app": "apo"}), [("service.selects_nothing", "api")]),
    ("a wrong selector besides a right label", with_service(selector={"app": "api", "tier": "x"}), [("service.selects_nothing", "api")]),
    ("a wrong selector of one that nobody knows", with_service(name="old", selector={"app": "old"}, target=1), [("service.selects_nothing", "service/old")]),
    ("no endpoint is ready", with_service(ready=0), [("service.no_endpoints", "api")]),
    ("not ready counts as well", with_service(ready=0, publishNotReadyAddresses=True), []),
    ("an ExternalName has no pods", with_service(selector={"app": "x"}, type="ExternalName", externalName="db.example"), []),
    ("a target port on which nothing listens", with_service(target=8001), [("network.published_port_wrong", "api")]),
    ("a target port of a name that no port has", with_service(target="web"), [("network.published_port_wrong", "api")]),
    ("a target port by its name", with_service(target="http"), []),
    (
        "without a selector somebody else makes the endpoints",
        with_service(selector=None) | {"services": [service(selector=None)[0] | {"spec": {"ports": []}}]},
        [],
    ),
]


@pytest.mark.parametrize(("what", "kinds", "expected"), SERVICES, ids=[case[0] for case in SERVICES])
def test_services(what, kinds, expected):
    named = [deployment(), replicaset(), pod(container={"ports": [{"name": "http", "containerPort": 8000}]})]
    assert [one for one in judged(seen(*named, **kinds)) if one[0].startswith(("service.", "network."))] == expected


FITS_NONE = {"app": "db", "spilo-role": "replica"}
PRIMARY = service("db-rw", selector={"app": "db"}, port=5432)
# As Zalando's and Patroni's: the operator itself makes the endpoints.
MADE = [service("db-rw", port=5432)[0], {**service("db-rw")[1], "endpoints": [{"addresses": ["10.1.0.7"], "conditions": {"ready": True}}]}]
MADE[0]["spec"]["selector"] = None
BEFORE_DB = {**edge("proxy", "db", "http"), "source": "depends_on"}
SPARE = [
    ("beside the Service of the primary", "db-repl", PRIMARY, {}, [], ("service/db-repl", "info")),
    ("beside one whose endpoints an operator makes", "db-repl", MADE, {}, [], ("service/db-repl", "info")),
    ("the only one", "db-repl", [], {}, [], ("db", "critical")),
    ("the one with the workload's own name", "db", PRIMARY, {}, [], ("db", "critical")),
    ("a setting names it", "db-repl", PRIMARY, {}, [{**edge("api", "db-repl:5432"), "host": "db-repl"}], ("db", "critical")),
    ("a setting names the other", "db-repl", PRIMARY, {}, [{**edge("api", "db"), "host": "db-rw"}], ("service/db-repl", "info")),
    ("a proxy may lead to it", "db-repl", PRIMARY, {}, [BEFORE_DB], ("db", "critical")),
    ("it is a way in from outside", "db-repl", PRIMARY, {"type": "LoadBalancer"}, [], ("db", "critical")),
]


@pytest.mark.parametrize(("what", "name", "beside", "spec", "edges", "expected"), SPARE, ids=[case[0] for case in SPARE])
def test_a_service_that_nothing_needs(what, name, beside, spec, edges, expected):
    """An operator's Service for replicas picks no pod where the database has one member."""
    ill, slice_ = service(name, selector=FITS_NONE, port=5432, ready=0, **spec)
    made = {"services": [ill, *beside[:1]], "endpointslices": [{**slice_, "endpoints": []}, *beside[1:]]}
    database = [deployment("db"), replicaset("db"), pod("db", pod_status={"podIP": "10.1.0.7"})]
    document = seen(*API, *database, roles=ROLES, parts={"edges": edges}, **made)
    found = [one for one in judge_stack(document, Limits()) if one.id == "service.selects_nothing" and isinstance(one, Finding)]
    assert [(one.component, one.severity) for one in found] == [expected]


def test_a_service_of_one_that_is_scaled_to_nothing_is_not_ill():
    assert not [one for one in judged(seen(deployment(replicas=0), **with_service(ready=0))) if one[0].startswith("service.")]


def test_a_target_port_of_a_sidecar_that_begins_first():
    sidecar = {"name": "oauth2-proxy", "image": "oauth2-proxy:7", "restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 8000}]}
    document = seen(deployment(), replicaset(), pod(spec={"initContainers": [sidecar]}), **with_service(target="proxy"))
    assert "network.published_port_wrong" in answers(document, Clear)


def test_who_listens_for_itself_only_takes_no_connection():
    document = seen(*API, **with_service())
    document["components"]["api"]["instances"][0].update(listening=[8000, 9000], listening_outside=[9000])
    finding = answers(document)["network.published_port_wrong"]
    assert finding.evidence["listening"] == ["8000 (on 127.0.0.1 only)", 9000] and "service_port" not in finding.evidence
    root = next(one for one in diagnose(document, judge_stack(document, Limits()), "zh-TW")["findings"] if one["id"] == finding.id)
    assert "8000（僅 127.0.0.1）" in root["explanation"] and not list(_fitting(root, "kubernetes"))
    document["components"]["api"]["instances"][0].update(listening_outside=[8000])
    assert "network.published_port_wrong" in answers(document, Clear)


HEARD = [
    ("for all", ["0.0.0.0", "::"], False, {}),
    ("for itself", ["127.0.0.1", "::1"], False, {"listening_outside": []}),
    ("for itself and for all", ["127.0.0.1", "::"], False, {}),
    ("at its own address", ["10.0.0.7"], False, {}),
    ("for itself in a mesh", ["127.0.0.1"], True, {}),
]


@pytest.mark.parametrize(("what", "addresses", "meshed", "expected"), HEARD, ids=[case[0] for case in HEARD])
def test_what_others_get_to(what, addresses, meshed, expected):
    one = Instance(id="1", name="api", state="running", meshed=meshed)
    assert _heard_outside(one, {"listening": [{"address": address, "port": 8000} for address in addresses], "peers": []}) == expected


def test_ports_that_nobody_could_read_are_not_judged():
    document = seen(*API, **with_service(target=8001))
    document["components"]["api"]["instances"][0]["listening"] = None
    assert "network.published_port_wrong" not in answers(document)


def test_a_service_of_several_components_leads_to_one_of_them():
    made, slice_ = service("db", selector={"part": "shop"}, port=5432, target=5432)
    both = [deployment(), deployment("db"), replicaset(), replicaset("db"), pod(), pod("db")]
    for one in both[:2] + both[4:]:
        (one["spec"].get("template") or one)["metadata"].setdefault("labels", {})["part"] = "shop"
    document = seen(*both, services=[made], endpointslices=[slice_], roles=ROLES)
    document["components"]["db"]["instances"][0]["listening"] = [5432]
    assert "network.published_port_wrong" not in answers(document)


def fact(**changes):
    one = {"from": "api", "to": "db", "outer": "", "setting": "DATABASE_URL", "kind": "postgres", "host": "db", "port": 5432, "inside": True}
    return {**one, "resolves": True, "addresses": ["10.96.0.9"], "connects": True, "error": "", "seconds": 0.1, **changes}


def behind(port=5432, **more):
    return with_service(name="db", port=port, target=8000, **more)


CUT = {"connects": False, "error": "timeout"}
WAYS = [
    ("connects", behind(), fact(), []),
    ("a port that the Service does not offer leads nowhere", behind(), fact(port=5433, **CUT), [("config.wrong_port", "api")]),
    ("and may be refused", behind(), fact(port=5433, connects=False, error="refused"), [("config.wrong_port", "api")]),
    ("whoever takes it stands outside of the cluster", behind(), fact(port=5433), [("config.wrong_port", "api")]),
    ("a port that is mapped is no wrong one", behind(), fact(connects=False, error="refused"), [("network.refused", "api")]),
    ("packets vanish", behind(), fact(**CUT), [("network.unreachable", "api")]),
    ("no such Service", {}, fact(host="dbx", to="", resolves=False, connects=None), [("config.host_unresolved", "api")]),
]


@pytest.mark.parametrize(("what", "kinds", "way", "expected"), WAYS, ids=[case[0] for case in WAYS])
def test_ways_through_services(what, kinds, way, expected):
    document = seen(*API, *DB, roles=ROLES, parts={"reach": [way]}, **kinds)
    assert [(one.id, one.component) for one in config.reach(document, Limits()) if isinstance(one, Finding)] == expected


MESHED = {"connects": None, "meshed": True}


@pytest.mark.parametrize(
    ("kinds", "way", "expected"),
    [
        (behind(), fact(**MESHED), []),
        (behind(), fact(port=5433, **MESHED), [(Finding, "config.wrong_port", "api")]),
    ],
    ids=["where it leads is not known", "a port that the Service does not offer"],
)
def test_what_a_mesh_takes_is_no_proof(kinds, way, expected):
    document = seen(*API, *DB, roles=ROLES, parts={"reach": [way]}, **kinds)
    assert [(type(one), one.id, one.component) for one in config.reach(document, Limits())] == expected


def policy(selector=None, types=("Ingress",), namespace="shop", **rules):
    return {"metadata": {**meta("fence"), "namespace": namespace}, "spec": {"podSelector": selector or {}, "policyTypes": list(types), **rules}}


TO_DB = {"matchLabels": {"app": "db"}}
FROM_API = {"podSelector": {"matchLabels": {"app": "api"}}}
HERE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
POLICIES = [
    ("none", [], CUT, []),
    ("nobody may come in", [policy(TO_DB)], CUT, [("network.partitioned", "db", None)]),
    ("nobody may come in, and it is not enforced", [policy(TO_DB)], {}, []),
    ("the api may come in", [policy(TO_DB, ingress=[{"from": [FROM_API]}])], CUT, []),
    (
        "the api may come in by another port only",
        [policy(TO_DB, ingress=[{"from": [FROM_API], "ports": [{"port": 1}]}])],
        CUT,
        [("network.partitioned", "db", None)],
    ),
    ("the api may come in by this port", [policy(TO_DB, ingress=[{"from": [FROM_API], "ports": [{"port": 8000}]}])], CUT, []),
    ("by a span of ports", [policy(TO_DB, ingress=[{"ports": [{"port": 7000, "endPort": 9000}]}])], CUT, []),
    ("by a port's name", [policy(TO_DB, ingress=[{"ports": [{"port": "http"}]}])], CUT, []),
    ("everybody may come in", [policy(TO_DB, ingress=[{}])], CUT, []),
    ("two policies add up", [policy(TO_DB), policy(TO_DB, ingress=[{"from": [FROM_API]}])], CUT, []),
    ("this namespace may come in", [policy(TO_DB, ingress=[{"from": [HERE]}])], CUT, []),
    ("namespaces by labels that are not known here", [policy(TO_DB, ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}])], CUT, []),
    ("addresses", [policy(TO_DB, ingress=[{"from": [{"ipBlock": {"cidr": "172.20.0.0/16"}}]}])], CUT, []),
    ("other addresses", [policy(TO_DB, ingress=[{"from": [{"ipBlock": {"cidr": "9.0.0.0/8"}}]}])], CUT, [("network.partitioned", "db", None)]),
    ("the api may not go out", [policy({"matchLabels": {"app": "api"}}, ["Egress"])], CUT, [("network.partitioned", "api", "db")]),
    ("the api may go out", [policy({"matchLabels": {"app": "api"}}, ["Egress"], egress=[{}])], CUT, []),
    ("a policy of another pod", [policy({"matchLabels": {"app": "web"}})], CUT, []),
    ("a policy of another namespace", [policy(TO_DB, namespace="other")], CUT, []),
]


@pytest.mark.parametrize(("what", "policies", "way", "expected"), POLICIES, ids=[case[0] for case in POLICIES])
def test_policies(what, policies, way, expected):
    document = seen(*API, *DB, roles=ROLES, parts={"reach": [fact(**way)]}, networkpolicies=policies, **behind())
    given = [one for one in judge_stack(document, Limits()) if one.id == "network.partitioned" and isinstance(one, Finding)]
    assert [(one.id, one.component, one.about) for one in given] == expected


def test_a_policy_that_could_not_be_tried_is_not_blamed():
    way = fact(resolves=unseen("no shell", kind="no_command"), connects=None)
    document = seen(*API, *DB, roles=ROLES, parts={"reach": [way]}, networkpolicies=[policy(TO_DB)], **behind())
    assert "network.partitioned" in answers(document, Unseen) and "network.partitioned" not in answers(document)


def test_a_policy_is_neither_blamed_nor_cleared_by_what_a_mesh_takes():
    document = seen(*API, *DB, roles=ROLES, parts={"reach": [fact(**MESHED)]}, networkpolicies=[policy(TO_DB)], **behind())
    assert answers(document, Unseen)["network.partitioned"].fix == ""
    assert "network.partitioned" not in {**answers(document), **answers(document, Clear)}


LOST = {"resolves": False, "connects": None}
SILENT = {"resolves": unseen("its name server did not answer", kind="dns_timeout"), "connects": None}
NO_DNS = policy({"matchLabels": {"app": "api"}}, ["Egress"], egress=[{"ports": [{"port": 5432}]}])
OWN = deployment(pod_spec={"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}})
DNS = [
    ("resolves", deployment(), [fact()], [], []),
    ("the component's own name server", OWN, [fact(**SILENT), fact(**{"from": "db", "host": "api", "to": "api"})], [], [("network.dns_broken", "api", "high")]),
    ("a policy", deployment(), [fact(**SILENT), fact(**{"from": "db", "host": "api"})], [NO_DNS], [("network.dns_broken", "api", "high")]),
    ("the cluster's", deployment(), [fact(**LOST), fact(**{"from": "db", "host": "api", **LOST})], [], [("network.dns_broken", "cluster/dns", "high")]),
    ("a name that is nobody's", deployment(), [fact(host="dbx", **LOST)], [], []),
    ("an address", deployment(), [fact(host="10.96.0.9")], [], []),
]


@pytest.mark.parametrize(("what", "work", "ways", "policies", "expected"), DNS, ids=[case[0] for case in DNS])
def test_dns(what, work, ways, policies, expected):
    both = [service(name, port=5432) for name in ("api", "db")]
    kinds = {"services": [one[0] for one in both], "endpointslices": [one[1] for one in both], "networkpolicies": policies}
    document = seen(work, replicaset(), pod(), *DB, roles=ROLES, parts={"reach": ways}, **kinds)
    given = [one for one in judge_stack(document, Limits()) if one.id == "network.dns_broken" and isinstance(one, Finding)]
    assert [(one.id, one.component, one.confidence) for one in given] == expected


BACK = fact(**{"from": "db", "host": "api", "to": "api", **LOST})
HEADLESS = [
    ("its only server is down", {"ready": 0}, [fact(**LOST), fact(**{"from": "db", "to": "db", **LOST})], {}, []),
    ("its only server is down, and the name server asks no other", {"ready": 0}, [fact(**SILENT), fact(**{"from": "db", "to": "db", **SILENT})], {}, []),
    ("its server is there", {}, [fact(**LOST), BACK], {}, ["cluster/dns"]),
    ("nothing is known of its endpoints, and its server runs", {"ready": 0}, [fact(**LOST), BACK], {"hidden": True}, ["cluster/dns"]),
    ("other names do not resolve, either", {"ready": 0}, [fact(**LOST), fact(host="api", to="api", **LOST), BACK], {}, ["cluster/dns"]),
]


@pytest.mark.parametrize(("what", "more", "ways", "unread", "expected"), HEADLESS, ids=[case[0] for case in HEADLESS])
def test_the_name_of_a_headless_service_without_endpoints_is_not_to_resolve(what, more, ways, unread, expected):
    both = [service("api"), service("db", port=5432, clusterIP="None", **more)]
    slices = unseen("denied", kind="denied") if unread else [one[1] for one in both]
    document = seen(*API, *DB, roles=ROLES, parts={"reach": ways}, services=[one[0] for one in both], endpointslices=slices)
    given = [one for one in judge_stack(document, Limits()) if one.id == "network.dns_broken" and isinstance(one, Finding)]
    assert [one.component for one in given] == expected


def ingress(port=80, name="api", tls=None):
    path = {"path": "/", "backend": {"service": {"name": name, "port": {"number": port}}}}
    return {"metadata": meta("door"), "spec": {"rules": [{"host": "shop.example", "http": {"paths": [path]}}], "tls": tls or []}}


def with_backend(backend):
    """The Ingress that is well, with one more way."""
    one = ingress()
    one["spec"]["rules"][0]["http"]["paths"].append({"path": "/more", "backend": backend})
    return one


INGRESSES = [
    ("well", ingress(), []),
    ("an action of the controller's", with_backend({"service": {"name": "ssl-redirect", "port": {"name": "use-annotation"}}}), []),
    ("a resource", with_backend({"resource": {"apiGroup": "k8s.example.com", "kind": "StorageBucket", "name": "files"}}), []),
    ("no such Service", ingress(name="apo"), [("ingress.backend_missing", "ingress/door")]),
    ("no such port", ingress(port=81), [("ingress.backend_missing", "api")]),
]


@pytest.mark.parametrize(("what", "one", "expected"), INGRESSES, ids=[case[0] for case in INGRESSES])
def test_ingresses(what, one, expected):
    assert [found for found in judged(seen(*API, ingresses=[one], **with_service())) if found[0].startswith("ingress.")] == expected


def test_only_the_backends_that_were_looked_at_are_said_to_be_there():
    action = {"service": {"name": "ssl-redirect", "port": {"name": "use-annotation"}}}
    found = answers(seen(*API, ingresses=[with_backend(action)], **with_service()), Clear)
    assert found["ingress.backend_missing"].evidence["backends"] == 1
    alone = ingress()
    alone["spec"]["rules"][0]["http"]["paths"][0]["backend"] = action
    assert "ingress.backend_missing" not in answers(seen(*API, ingresses=[alone], **with_service()), Clear)


def certificate(days=90.0, names=("shop.example",), begins=-10.0):
    return {"not_after": NOW + days * 86400, "not_before": NOW + begins * 86400, "names": list(names), "issuer": "CN=R3"}


CERTIFICATES = [
    ("good", {"certificate": certificate()}, []),
    ("a wildcard", {"certificate": certificate(names=["*.example"])}, []),
    ("over", {"certificate": certificate(-2)}, ["tls.certificate_expired"]),
    ("not yet", {"certificate": certificate(begins=2)}, ["tls.certificate_expired"]),
    ("soon over", {"certificate": certificate(5)}, ["tls.certificate_expiring"]),
    ("for another host", {"certificate": certificate(names=["other.example"])}, ["tls.certificate_wrong_host"]),
    ("gone", {"missing": "there is no Secret tls"}, ["tls.secret_missing"]),
    ("not read", None, []),
]


@pytest.mark.parametrize(("what", "secret", "expected"), CERTIFICATES, ids=[case[0] for case in CERTIFICATES])
def test_certificates(what, secret, expected):
    facts = [{"kind": "Secret", "namespace": "shop", "name": "tls", "missing": None, "certificate": None, **secret}] if secret else []
    door = ingress(tls=[{"secretName": "tls", "hosts": ["shop.example"]}])
    document = seen(*API, ingresses=[door], secretfacts=facts, **with_service())
    assert [name for name, where in judged(document) if name.startswith("tls.") and where == "api"] == expected


def test_a_certificate_that_may_not_be_read_is_unseen():
    why = unseen("this account may not get secrets in the namespace shop", kind="denied", fix="grant it in a Role: …")["unseen"]
    facts = [{"kind": "Secret", "namespace": "shop", "name": "tls", "missing": None, "registries": None, "certificate": None, "unread": why}]
    document = seen(*API, ingresses=[ingress(tls=[{"secretName": "tls", "hosts": ["shop.example"]}])], secretfacts=facts, **with_service())
    found = answers(document, Unseen)["tls.certificate_expired"]
    assert (found.component, found.reason, found.fix) == ("api", why["reason"], why["fix"])


@pytest.mark.parametrize(("name", "host", "good"), [("a.b", "A.b", True), ("*.b", "a.b", True), ("*.b", "a.a.b", False), ("*.b", "b", False)])
def test_covers(name, host, good):
    assert covers(name, host) is good


# what explains what


def causes(document):
    return sorted(root["key"] for root in diagnose(document, judge_stack(document, Limits()))["root_causes"])


def test_a_broken_selector_explains_what_its_users_meet():
    """The name leads to no pod, so the client is seen to use an unknown server: still it is the component's Service."""
    gone = {"component": "db:5432", "answers": unseen("refused", kind="refused"), "accounts": [], "used_by": ["api"]}
    way = fact(to="", outer="db:5432", connects=False, error="refused")
    kinds = with_service(name="db", selector={"app": "dbx"}, port=5432)
    document = seen(*API, *DB, roles=ROLES, parts={"reach": [way], "edges": [edge("api", "db:5432") | {"host": "db"}], "postgres": {"db:5432": gone}}, **kinds)
    assert ("api", "db") in [(one["from"], one["to"]) for one in platform_edges(document)]
    assert causes(document) == ["service.selects_nothing@db"]


def test_a_service_that_was_deleted_still_means_somebody():
    document = seen(*API, *DB, roles=ROLES, parts={"edges": [edge("api", "db:5432") | {"host": "db"}]})
    assert ("db:5432", "db") in [(one["from"], one["to"]) for one in platform_edges(document)]


def test_a_policy_explains_what_it_cuts():
    document = seen(*API, *DB, roles=ROLES, parts={"reach": [fact(**CUT)], "edges": [edge("api", "db")]}, networkpolicies=[policy(TO_DB)], **behind())
    assert causes(document) == ["network.partitioned@db"]


def test_a_node_explains_what_stands_on_it():
    document = seen(*API, *DB, roles=ROLES, nodes=[node(ready=False)], **with_service(ready=0))
    assert causes(document) == ["node.not_ready@node/n1"]


def test_clear_has_its_figures():
    found = answers(seen(*API, **with_service()), Clear)
    assert found["service.no_endpoints"].evidence["ready"] == 1
    assert found["network.published_port_wrong"].evidence["listening"] == [8000]
    assert ago(0) == "1970-01-12T13:46:40Z"
