"""Where an api is asked, and how: one row a case."""

from __future__ import annotations

import types

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import HttpTarget
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import Options, Scene
from ansible_collections.aiops.runbook.plugins.module_utils.observe.ways import Ways, _speaks_tls
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Component, Instance
from ansible_collections.aiops.runbook.plugins.module_utils.secret import Mask


def ways(one, listening):
    scene = Scene(types.SimpleNamespace(components=lambda: [Component(id="api", role="api", instances=[one])]), Mask(), Options())
    scene.sockets[one.id] = None if listening is None else {"listening": [{"address": "0.0.0.0", "port": port} for port in listening], "peers": []}
    return Ways(scene), scene.components[0]


def copy(command, **changes):
    return Instance(id="1", name="api-1", state="running", command=command.split(), **changes)


PORTS = [
    ("what is open", copy("python main.py"), [8080], [8080]),
    ("what is said comes first", copy("uvicorn app:app --port 9000"), [5678, 9000], [9000, 5678]),
    ("the usual one comes first", copy("uvicorn app:app"), [5678, 8000], [8000, 5678]),
    ("on the host, the usual one", copy("uvicorn app:app", home_network="host"), [22, 80, 8000], [8000]),
    ("on the host, what its settings say", copy("python main.py", home_network="host", environment={"PORT": "9000"}), [22, 80, 9000], [9000]),
    ("on the host, where others listen and it does not", copy("uvicorn app:app", home_network="host"), [22, 80], []),
    ("on the host, where nothing is said", copy("python main.py", home_network="host"), [22, 80], None),
    ("nobody could look, and nothing is said", copy("uvicorn app:app"), None, [8000]),
    ("nobody could look", copy("uvicorn app:app --port 9000"), None, [9000]),
]


@pytest.mark.parametrize(("what", "one", "listening", "expected"), PORTS, ids=[case[0] for case in PORTS])
def test_http_ports(what, one, listening, expected):
    found, component = ways(one, listening)
    assert found._http_ports(component, one) == expected


NOWHERE = [("uvicorn app:app --uds /run/app.sock", "hidden"), ("gunicorn -b unix:/run/app.sock app:app", "hidden"), ("uvicorn app:app", "refused")]


@pytest.mark.parametrize(("command", "expected"), NOWHERE, ids=[case[0] for case in NOWHERE])
def test_what_listens_on_no_port(command, expected):
    found, component = ways(copy(command), [])
    found.scene.platform.enter = lambda _one: None
    assert found._look_at_http(component, component.instances[0])["answers"]["unseen"]["kind"] == expected


ROUTES = [
    (["CMD", "curl", "-f", "http://localhost:8000/healthz"], ["/healthz"]),
    (["CMD-SHELL", "curl -f http://localhost/api/v1/utils/health-check/ || exit 1"], ["/api/v1/utils/health-check/"]),
    (["CMD-SHELL", "wget -qO- http://127.0.0.1:8000/"], []),
    (["NONE"], []),
]


@pytest.mark.parametrize(("test", "expected"), ROUTES, ids=[" ".join(case[0]) for case in ROUTES])
def test_the_route_of_the_health_check_is_asked(test, expected):
    one = copy("x", health_test=test)
    found, _component = ways(one, [])
    assert list(found._routes(one)[len(Options().http_routes) :]) == expected


def test_which_route_was_asked_from_outside_is_told(monkeypatch):
    found, _component = ways(copy("x"), [])
    answer = {"routes": {"/health": {"status": 404, "seconds": 0.1}}, "answers": True}
    monkeypatch.setattr("ansible_collections.aiops.runbook.plugins.module_utils.observe.ways.observe_http", lambda *_asked, **_how: answer)
    assert found._ask_outside(HttpTarget("http://x")) == {"connects": True, "error": None, "status": 404, "seconds": 0.1, "route": "/health"}


TLS = [
    ("uvicorn app:app --ssl-keyfile /k.pem --ssl-certfile /c.pem", True),
    ("gunicorn --certfile=/c.pem --keyfile=/k.pem app:app", True),
    ("uvicorn app:app --ssl-version 2", False),
    ("uvicorn app:app", False),
]


@pytest.mark.parametrize(("command", "expected"), TLS, ids=[case[0] for case in TLS])
def test_who_speaks_tls_itself(command, expected):
    assert _speaks_tls(copy(command)) is expected
