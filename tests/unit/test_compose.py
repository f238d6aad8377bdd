"""What Compose and the engine say, in our words: one row a case."""

from __future__ import annotations

import types

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Process, of_program
from ansible_collections.aiops.runbook.plugins.module_utils.platform.compose import Compose, read_instance, read_wanted, waited_for

WANTED = [
    ("a network of the project's own", {"networks": {"lan": None}}, "networks", ["shop_lan"]),
    ("a network that bears another name", {"networks": {"outer": None}}, "networks", ["company-lan"]),
    ("a dollar sign is written as two", {"environment": {"PASSWORD": "a$$b"}}, "environment", {"PASSWORD": "a$b"}),
    ("a number", {"environment": {"PORT": 8000}}, "environment", {"PORT": "8000"}),
    ("handed on from the shell", {"environment": {"TOKEN": None}}, "environment", {}),
    ("a port", {"ports": [{"target": 80, "published": "8080"}]}, "ports", [{"inside": 80, "outside": 8080}]),
    ("any port", {"ports": [{"target": 80}]}, "ports", [{"inside": 80, "outside": 0}]),
    ("a port of UDP", {"ports": [{"target": 50000, "published": "50000", "protocol": "udp"}]}, "ports", []),
    ("a port of TCP, as Compose writes it", {"ports": [{"target": 80, "published": "8080", "protocol": "tcp"}]}, "ports", [{"inside": 80, "outside": 8080}]),
    ("a range of ports", {"ports": [{"target": 80, "published": "8080-8089"}]}, "ports", [{"inside": 80, "outside": 8080}]),
]


@pytest.mark.parametrize(("what", "service", "key", "expected"), WANTED, ids=[case[0] for case in WANTED])
def test_wanted(what, service, key, expected):
    assert read_wanted(service, {"lan": "shop_lan", "outer": "company-lan"})[key] == expected


def inspected(mode="", **seats):
    return {
        "Id": "1",
        "Name": "/shop-api-1",
        "State": {"Status": "running"},
        "Config": {},
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": seats},
    }


PORTS = [
    ("where it runs", "8080", {"80/tcp": [{"HostPort": "8080"}]}, 8080),
    ("a range, of which it was given one", "8080-8089", {"80/tcp": [{"HostPort": "8083"}]}, 8083),
    ("a range, where it does not run", "8080-8089", {}, 8080),
    ("any port, where it does not run", "", {}, 0),
]


@pytest.mark.parametrize(("what", "asked", "given", "expected"), PORTS, ids=[case[0] for case in PORTS])
def test_published(what, asked, given, expected):
    found = inspected()
    found["HostConfig"]["PortBindings"] = {"80/tcp": [{"HostIp": "", "HostPort": asked}]}
    found["Config"]["ExposedPorts"] = {"9000-9005": {}, "80/tcp": {}}
    found["NetworkSettings"]["Ports"] = given
    one = read_instance(found)
    assert (one.published, one.exposed) == ([{"inside": 80, "host": "0.0.0.0", "outside": expected}], [80, 9000])


def test_what_is_no_port_of_tcp_is_no_way_in():
    found = inspected()
    found["HostConfig"]["PortBindings"] = {name: [{"HostIp": "", "HostPort": "1"}] for name in ("50000/udp", "9899/sctp", "8000/tcp", "9000")}
    found["Config"]["ExposedPorts"] = {"6379/udp": {}, "80/tcp": {}, "90": {}}
    one = read_instance(found)
    assert ([mapping["inside"] for mapping in one.published], one.exposed) == ([8000, 9000], [80, 90])


HOMES = [
    ("by name", "shop_lan", {"NetworkID": "f00"}, "shop_lan"),
    ("a network from elsewhere is noted by its id", "f00", {"NetworkID": "f00"}, "shop_lan"),
    ("another container's", "container:abc", {"NetworkID": "f00"}, "container:abc"),
    ("none noted", "", {"NetworkID": ""}, ""),
]


@pytest.mark.parametrize(("what", "mode", "seat", "expected"), HOMES, ids=[case[0] for case in HOMES])
def test_home_network(what, mode, seat, expected):
    assert read_instance(inspected(mode, shop_lan=seat)).home_network == expected


@pytest.mark.parametrize(
    ("told", "jobs"),
    [
        ([], set()),
        (["", "db:service_healthy:false"], set()),
        (["migrate:service_completed_successfully:false,db:service_started:true"], {"migrate"}),
        (["seed:service_completed_successfully:false", "migrate:service_completed_successfully:true"], {"seed", "migrate"}),
        (["db"], set()),
    ],
)
def test_who_is_waited_for_until_it_has_ended_does_its_work_once(told, jobs):
    assert waited_for([{"com.docker.compose.depends_on": text} for text in told]) == jobs


def engine(*containers):
    """An engine with these containers, each "project state"."""
    rows = [{"Labels": {"com.docker.compose.project": project}, "State": state} for project, state in (one.split() for one in containers)]
    return types.SimpleNamespace(ask=lambda question: question(), api=types.SimpleNamespace(containers=lambda **_asked: rows))


@pytest.mark.parametrize(
    "containers", [["shop running"], ["shop running", "shop exited"], ["shop running", "old exited"], ["shop exited", "shop dead"]], ids=" and ".join
)
def test_the_project_is_found_where_only_one_runs(containers):
    assert Compose(engine(*containers)).project == "shop"


@pytest.mark.parametrize(
    ("containers", "kind", "said"),
    [
        (["shop running", "blog running"], "bad_option", "several Compose projects are here (blog, shop): name one by compose_project"),
        (["shop exited", "blog exited"], "bad_option", "several Compose projects are here (blog, shop): name one by compose_project"),
        ([], "not_found", "docker_host"),
    ],
)
def test_where_it_cannot_be_known_the_option_is_named(containers, kind, said):
    with pytest.raises(StackError) as error:
        Compose(engine(*containers))
    assert error.value.kind == kind and said in error.value.message


def test_one_that_is_named_is_not_looked_for():
    assert Compose(engine("shop running", "blog running"), "blog").project == "blog"


def stands(name, project, state, network, address, *aliases):
    """A container of another project on a network: what the engine's list and its inspection say of it."""
    seat = {"IPAddress": address, "Aliases": list(aliases)}
    listed = {"Id": name, "Labels": {"com.docker.compose.project": project}, "State": state, "NetworkSettings": {"Networks": {network: {}}}}
    return listed, {**inspected(**{network: seat}), "Id": name, "Name": "/" + name, "State": {"Status": state}}


NEIGHBOURS = [
    ("one that runs", stands("data-pg-1", "data", "running", "company", "10.0.0.9", "pg"), ["10.0.0.9"], None),
    ("one that was stopped", stands("data-pg-1", "data", "exited", "company", "", "pg"), [], "data-pg-1"),
    ("on another network", stands("data-pg-1", "data", "running", "lan", "10.0.0.9", "pg"), [], None),
    ("another name", stands("data-kv-1", "data", "running", "company", "10.0.0.9", "kv"), [], None),
]


@pytest.mark.parametrize(("what", "other", "addresses", "stopped"), NEIGHBOURS, ids=[case[0] for case in NEIGHBOURS])
def test_a_name_on_a_network_that_projects_share(monkeypatch, what, other, addresses, stopped):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_asked, **_how: [])
    rows, details = [other[0]], {other[0]["Id"]: other[1]}
    api = types.SimpleNamespace(containers=lambda **_asked: rows, inspect_container=details.get)
    compose = Compose(types.SimpleNamespace(ask=lambda question: question(), api=api), "shop")
    one = read_instance(inspected(company={"IPAddress": "10.0.0.2"}))
    assert compose.resolve(one, "pg", 1.0, inside=False) == addresses
    assert (compose.elsewhere(one, "pg") or {}).get("instance") == stopped


LOGS = [
    ("the usual driver", "json-file", None, ["one", "two"]),
    ("one of which the engine keeps a copy", "awslogs", None, ["one", "two"]),
    ("one that cannot be read", "none", "refused", "log_driver"),
    ("the usual one, and the engine refuses", "local", "refused", "refused"),
    ("no answer", "awslogs", "timeout", "timeout"),
]


@pytest.mark.parametrize(("what", "driver", "failure", "expected"), LOGS, ids=[case[0] for case in LOGS])
def test_logs(what, driver, failure, expected):
    def ask(question):
        if failure:
            raise StackError("configured logging driver does not support reading", kind=failure)
        return question()

    compose = Compose(types.SimpleNamespace(ask=ask, api=types.SimpleNamespace(logs=lambda _id, **_how: b"one\ntwo\n")), "shop")
    one = read_instance(inspected())
    one.log_driver = driver
    if failure:
        with pytest.raises(StackError) as error:
            compose.logs(one, 0.0, 10)
        assert error.value.kind == expected
    else:
        assert compose.logs(one, 0.0, 10) == expected


PROGRAMS = [
    ("the server and its workers", [(90, 80), (91, 90), (92, 91)], [90, 91, 92]),
    ("a health check beside it, with what it runs", [(90, 80), (91, 90), (70, 80), (71, 70)], [90, 91]),
    ("the server's pid is not known", [(40, 30), (41, 40)], [40, 41]),
    ("a pid that came round", [(90, 80), (12, 90), (11, 12)], [90, 12, 11]),
]


@pytest.mark.parametrize(("what", "rows", "kept"), PROGRAMS, ids=[case[0] for case in PROGRAMS])
def test_of_program(what, rows, kept):
    assert [row.pid for row in of_program([Process(pid, parent, "S", "x") for pid, parent in rows], 90)] == kept
