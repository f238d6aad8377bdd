"""What Compose and the engine say, in our words: one row a case."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.platform.compose import read_instance, read_wanted, waited_for

WANTED = [
    ("a network of the project's own", {"networks": {"lan": None}}, "networks", ["shop_lan"]),
    ("a network that bears another name", {"networks": {"outer": None}}, "networks", ["company-lan"]),
    ("a dollar sign is written as two", {"environment": {"PASSWORD": "a$$b"}}, "environment", {"PASSWORD": "a$b"}),
    ("a number", {"environment": {"PORT": 8000}}, "environment", {"PORT": "8000"}),
    ("handed on from the shell", {"environment": {"TOKEN": None}}, "environment", {}),
    ("a port", {"ports": [{"target": 80, "published": "8080"}]}, "ports", [{"inside": 80, "outside": 8080}]),
    ("any port", {"ports": [{"target": 80}]}, "ports", [{"inside": 80, "outside": 0}]),
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
