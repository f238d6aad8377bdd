# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which Secrets are read besides those of settings, and what is told of them: registries, and what certificates show to all."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.certificate import read_certificate
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_secrets import accounts_of, fact_of, pulling, secret_facts

# Made by openssl for these names, and for three days.
CERTIFICATE = b"""-----BEGIN CERTIFICATE-----
MIIDXjCCAkagAwIBAgIUIsaKhIB1bNissjh5+Kg+WCGhY4YwDQYJKoZIhvcNAQEL
BQAwJjENMAsGA1UECgwEU2hvcDEVMBMGA1UEAwwMc2hvcC5leGFtcGxlMB4XDTI2
MTEyNzIwMzcyOFoXDTI2MTEzMDIwMzcyOFowJjENMAsGA1UECgwEU2hvcDEVMBMG
A1UEAwwMc2hvcC5leGFtcGxlMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKC
AQEAvpjjQ4KmiAL6QGU4R+129muQJbWw11UU5sZSzxVDYM6NX0BL02rr1anprp0/
0ThC/SVQTN4w0fA2TJD9nIUA+x+ZTlK2/mkQozmVgXsIm2vJrlRh5zDKWQZ2rLER
08m/S79SPWud0wfH3ZQ6UNp94KqHdq77p8pljqc8uEOsaafK3WNzrzipJ5BdIhwt
N1xVOY4Tkq9YZtTuoh9s3I+bfV4MSOnXi2btMAuJSW8hOhQiEJQA9kz674PlB7hw
5FT1rvCoixzXgBwbwmWqGr/Q76aAdXZZ968emKtmQ19dmwysovFTEsYGk0KsMWM2
IQas+W6J/dy5GFjA7Kk88VuZfQIDAQABo4GDMIGAMB0GA1UdDgQWBBTUQ4R3HJ1S
Yh9WItSqVCbsVnC8YTAfBgNVHSMEGDAWgBTUQ4R3HJ1SYh9WItSqVCbsVnC8YTAP
BgNVHRMBAf8EBTADAQH/MC0GA1UdEQQmMCSCDHNob3AuZXhhbXBsZYIOKi5zaG9w
LmV4YW1wbGWHBAoAAAEwDQYJKoZIhvcNAQELBQADggEBADYtBjU8wQ3/aYsIhZKh
ja25OL9zFE6njhRS282XQo4N77K4Uy37/FUyDQkRGyA2Vtjq+n8DEn+w4shxnwq9
5EexIfJy6ew3N61eD8jQfVlMtc7JAFNQ7ap3Z6cpk9XciGJ0txMZi2YTYTP92xyd
1fo7lF76H6cT2HUbvA7+Wbk3RBJbKkwwx//L7o+kmPFLP7CDSZfXQRCq5QJi/aX6
2MiTWvYJC+zukw8Aok/oixTni9L4192TZw+L9mRio1fw5bqFsEvuu9wsNChDNuKd
UBUqnpbsqkn7WJAYdDsiDUPRzhMYfTwZcE0xxyej1Cwg2QUqjkme/ODPyjggu6Hp
u4A=
-----END CERTIFICATE-----
"""


def encoded(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def pull_secret(kind="kubernetes.io/dockerconfigjson", **accounts):
    key = ".dockercfg" if kind.endswith("cfg") else ".dockerconfigjson"
    content = accounts if kind.endswith("cfg") else {"auths": accounts}
    return {"metadata": {"name": "pull", "namespace": "shop"}, "type": kind, "data": {key: encoded(json.dumps(content))}}


ACCOUNTS = [
    ("user and password", pull_secret(**{"r.example": {"username": "bot", "password": "pw"}}), {"r.example": ("bot", "pw")}),
    ("in one word", pull_secret(**{"r.example": {"auth": encoded("bot:p:w")}}), {"r.example": ("bot", "p:w")}),
    ("of the older kind", pull_secret("kubernetes.io/dockercfg", **{"r.example": {"auth": encoded("bot:pw")}}), {"r.example": ("bot", "pw")}),
    ("nothing in it", {"type": "kubernetes.io/dockerconfigjson", "data": {}}, {}),
    ("no JSON", {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded("{")}}, {}),
    ("a list", {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded("[]")}}, {}),
    ("another kind", {"type": "Opaque", "data": {".dockerconfigjson": encoded('{"auths": {"r": {}}}')}}, {}),
]


@pytest.mark.parametrize(("what", "found", "expected"), ACCOUNTS, ids=[case[0] for case in ACCOUNTS])
def test_accounts(what, found, expected):
    assert accounts_of(found) == expected


def test_of_an_account_only_the_registry_is_told():
    fact = fact_of(pull_secret(**{"r.example": {"username": "bot", "password": "pw"}}))
    assert fact == {"type": "kubernetes.io/dockerconfigjson", "registries": ["r.example"]}


def test_a_certificate():
    found = read_certificate(CERTIFICATE)
    assert found == {
        "not_before": 1795811848.0,
        "not_after": 1796071048.0,
        "names": ["shop.example", "*.shop.example", "10.0.0.1"],
        "issuer": "shop.example",
    }
    assert read_certificate(b"-----BEGIN PRIVATE KEY-----\n" + CERTIFICATE) == found, "whatever stands before it"


@pytest.mark.parametrize("text", [b"", b"no certificate", CERTIFICATE.replace(b"MII", b"AAA", 1), CERTIFICATE[:400] + b"\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate(text):
    assert read_certificate(text) is None


POD = {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"imagePullSecrets": [{"name": "pull"}]}}
WAITS = {**POD, "status": {"containerStatuses": [{"name": "api", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}
INGRESS = {"metadata": {"name": "i", "namespace": "shop"}, "spec": {"tls": [{"secretName": "tls"}, {"hosts": ["x"]}]}}
ACCOUNT = {"metadata": {"name": "default", "namespace": "shop"}, "imagePullSecrets": [{"name": "other"}]}
WORK = {"metadata": {"name": "api", "namespace": "shop"}, "spec": {"template": {"spec": {"imagePullSecrets": [{"name": "third"}]}}}}


class Cluster:
    def __init__(self, **secrets):
        self.secrets, self.asked = secrets, []

    def get(self, path, query=None):
        name = path.rsplit("/", 1)[-1]
        self.asked.append(name)
        if isinstance(self.secrets.get(name), StackError):
            raise self.secrets[name]
        if name not in self.secrets:
            raise StackError("404", kind="not_found")
        return self.secrets[name]


def test_accounts_are_read_only_while_an_image_cannot_be_pulled():
    cluster = Cluster(tls={"type": "kubernetes.io/tls", "data": {"tls.crt": encoded(CERTIFICATE), "tls.key": encoded("private")}})
    objects = {"pods": [POD], "serviceaccounts": [ACCOUNT], "deployments": [WORK], "ingresses": [INGRESS]}
    assert not pulling(objects) and pulling({"pods": [WAITS]})
    found = secret_facts(cluster, objects, 2.0)
    assert cluster.asked == ["tls"] and found[0]["certificate"]["issuer"] == "shop.example"
    assert "private" not in json.dumps(found)
    cluster.asked.clear()
    secret_facts(cluster, {**objects, "pods": [WAITS]}, 2.0)
    assert sorted(cluster.asked) == ["other", "pull", "third", "tls"]


def test_what_is_gone_is_told_and_so_is_what_may_not_be_read():
    denied = StackError("this account may not get secrets", kind="denied")
    cluster = Cluster(pull=pull_secret(**{"r.example": {"username": "bot", "password": "pw"}}), third=denied)
    found = secret_facts(cluster, {"pods": [WAITS], "serviceaccounts": [ACCOUNT], "deployments": [WORK]}, 2.0)
    assert {one["name"]: (one["missing"], one["registries"]) for one in found} == {
        "pull": (None, ["r.example"]),
        "other": ("there is no Secret other", None),
        "third": (None, None),
    }
    assert {one["name"]: one["unread"]["reason"] for one in found if "unread" in one} == {"third": "this account may not get secrets"}
