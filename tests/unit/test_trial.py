# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is made to try a start command: the component's own definition, without what could do harm."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.act.trial import definition
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

DETAIL = {
    "Name": "/shop-api-1",
    "Image": "sha256:abc",
    "Config": {
        "Image": "shop:latest",
        "Entrypoint": ["/start.sh"],
        "Cmd": ["serve"],
        "Env": ["A=b"],
        "User": "1000",
        "WorkingDir": "/srv",
        "Hostname": "f00",
        "ExposedPorts": {"8000/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"]},
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "api", "com.docker.compose.config-hash": "x", "traefik.enable": "true"},
    },
    "HostConfig": {
        "Memory": 1000,
        "NanoCpus": 0,
        "CapDrop": ["ALL"],
        "PortBindings": {"8000/tcp": [{"HostPort": "8000"}]},
        "RestartPolicy": {"Name": "always"},
        "Privileged": True,
        "NetworkMode": "shop_default",
        "Links": ["db"],
    },
    "Mounts": [
        {"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data", "Destination": "/data", "RW": True},
        {"Type": "bind", "Source": "/etc/shop", "Destination": "/etc/shop", "RW": True},
        {"Type": "tmpfs", "Source": "", "Destination": "/tmp"},
    ],
}


def test_the_program_is_the_same():
    made = definition(DETAIL, "")
    assert {name: made[name] for name in ("Image", "Entrypoint", "Cmd", "Env", "User", "WorkingDir")} == {
        **{name: DETAIL["Config"][name] for name in ("Entrypoint", "Cmd", "Env", "User", "WorkingDir")},
        "Image": "sha256:abc",
    }
    assert (made["HostConfig"]["Memory"], made["HostConfig"]["CapDrop"]) == (1000, ["ALL"])


def test_what_could_do_harm_is_left_out():
    made = definition(DETAIL, "")
    host = made["HostConfig"]
    assert not {"PortBindings", "Privileged", "Links"} & set(host) and not {"Hostname", "ExposedPorts"} & set(made)
    assert (host["NetworkMode"], host["RestartPolicy"], made["Healthcheck"]) == ("none", {"Name": "no"}, {"Test": ["NONE"]})
    assert host["Mounts"] == [
        {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": True},
        {"Type": "bind", "Source": "/etc/shop", "Target": "/etc/shop", "ReadOnly": True},
    ]
    assert made["Labels"]["com.docker.compose.oneoff"] == "True" and "traefik.enable" not in made["Labels"]


def test_its_network_only_when_asked_for():
    assert definition(DETAIL, "shop_default")["HostConfig"]["NetworkMode"] == "shop_default"
    for shared in ("container:abc", "host"):
        with pytest.raises(StackError, match="network: shop-api-1"):
            definition(DETAIL, shared)
