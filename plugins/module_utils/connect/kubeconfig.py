# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a cluster is and as whom it is asked: a kubeconfig, or the account of the pod that this runs in."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

IMPORT_ERROR = ""
try:
    import yaml
except ImportError as error:
    yaml = None
    IMPORT_ERROR = str(error)

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
EXEC_SECONDS = 20
# A token is renewed so many seconds before it ends.
EARLY_SECONDS = 30


@dataclass
class Access:
    """server: URL. namespace: the context's own, "" when it names none. user: the kubeconfig's entry, with its secrets: it stays in memory."""

    server: str
    namespace: str = ""
    tls_name: str = ""
    proxy: str = ""
    in_cluster: bool = False
    context: ssl.SSLContext | None = None
    authority: bytes = b""
    user: dict[str, Any] = field(default_factory=dict)
    folder: str = ""
    _token: str = ""
    _token_until: float = 0.0

    def headers(self) -> dict[str, str]:
        """What to send so that the API server knows who asks. StackError(kind="auth") when a token cannot be had."""
        found = {}
        token = self.user.get("token") or self._from_file() or self._from_command()
        if token:
            found["Authorization"] = "Bearer " + token
        elif self.user.get("username"):
            pair = "%s:%s" % (self.user["username"], self.user.get("password") or "")
            found["Authorization"] = "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")
        if self.user.get("as"):
            found["Impersonate-User"] = str(self.user["as"])
        return found

    def forget(self) -> bool:
        """Let go of a token that was refused; whether another one can be had."""
        self._token, self._token_until = "", 0.0
        return bool(self.user.get("exec") or self.user.get("tokenFile"))

    def _from_file(self) -> str:
        path = self.user.get("tokenFile")
        if not path:
            return ""
        try:
            with open(_path(path, self.folder), encoding="ascii") as content:
                return content.read().strip()
        except (OSError, UnicodeError) as error:
            raise StackError("the token file %s cannot be read: %s" % (path, getattr(error, "strerror", "")), kind="auth") from None

    def _from_command(self) -> str:
        """A token from the command that the kubeconfig names (an exec credential plugin)."""
        asked = self.user.get("exec")
        if not asked or (self._token and time.time() < self._token_until):
            return self._token
        command = [_command(str(asked.get("command") or ""), self.folder), *(str(word) for word in asked.get("args") or [])]
        version = asked.get("apiVersion") or "client.authentication.k8s.io/v1"
        told = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        settings = {**os.environ, **{str(one["name"]): str(one["value"]) for one in asked.get("env") or []}, "KUBERNETES_EXEC_INFO": json.dumps(told)}
        try:
            done = subprocess.run(command, env=settings, capture_output=True, stdin=subprocess.DEVNULL, timeout=EXEC_SECONDS, check=False)
            status = json.loads(done.stdout)["status"] if done.returncode == 0 else {}
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError("the command %s of the kubeconfig did not give a token: %s" % (command[0], type(error).__name__), kind="auth") from None
        except (ValueError, KeyError, TypeError):
            status = {}
        if status.get("clientCertificateData"):
            self.user.update({"client-certificate-data": _b64(status["clientCertificateData"]), "client-key-data": _b64(status.get("clientKeyData", ""))})
            self._load_certificate()
        elif not status.get("token"):
            raise StackError(
                "the command %s of the kubeconfig gave no token (exit code %d)" % (command[0], done.returncode),
                kind="auth",
                fix="log in anew",
            )
        self._token = str(status.get("token") or "")
        until = read_time(status.get("expirationTimestamp") or "")
        self._token_until = until - EARLY_SECONDS if until else time.time() + 600
        return self._token

    def _load_certificate(self) -> None:
        """The client's certificate into the TLS context; OpenSSL reads it from files only, which are gone again at once."""
        certificate, key = (_content(self.user, what, self.folder) for what in ("client-certificate", "client-key"))
        if not certificate or self.context is None:
            return
        with tempfile.TemporaryDirectory(prefix="aiops-runbook-") as folder:  # made with 0700
            path = os.path.join(folder, "client.pem")
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(certificate + b"\n" + key)
            try:
                self.context.load_cert_chain(path)
            except (ssl.SSLError, OSError):
                raise StackError("kubeconfig: the client's certificate and key cannot be used", kind="bad_option", option="kubeconfig") from None


def find_access(kubeconfig: str = "", context: str = "") -> Access:
    """How to reach the cluster: this kubeconfig, else KUBECONFIG, else the account of the pod that we run in, else ~/.kube/config.

    kubeconfig: a path, or several with ":" between them as in KUBECONFIG.
    """
    if yaml is None:
        raise StackError("the Python library PyYAML is missing (%s): run the role aiops.runbook.prepare" % IMPORT_ERROR, kind="missing_library")
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    if not named and not context and os.environ.get("KUBERNETES_SERVICE_HOST") and os.path.exists(ACCOUNT + "/token"):
        return _in_cluster()
    paths = [os.path.expanduser(path) for path in (named or "~/.kube/config").split(os.pathsep) if path]
    readable = [path for path in paths if os.path.isfile(path)]
    if not readable:
        raise StackError("there is no kubeconfig at %s" % ", ".join(paths), kind="bad_option", option="kubeconfig", fix="give kubeconfig, or set KUBECONFIG")
    return _from_files(readable, context)


def _in_cluster() -> Access:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    with open(ACCOUNT + "/ca.crt", "rb") as content:
        authority = content.read()
    try:
        with open(ACCOUNT + "/namespace", encoding="utf-8") as text:
            namespace = text.read().strip()
    except OSError:
        namespace = ""
    server = "https://%s:%s" % ("[%s]" % host if ":" in host else host, port)
    found = Access(server, namespace, in_cluster=True, authority=authority, user={"tokenFile": ACCOUNT + "/token"})
    found.context = _tls(found, False)
    return found


def _from_files(paths: list[str], wanted: str) -> Access:
    entries: dict[str, dict[str, tuple[Any, str]]] = {"clusters": {}, "contexts": {}, "users": {}}
    current = ""
    for path in paths:
        found = _read(path)
        current = current or str(found.get("current-context") or "")
        for kind, known in entries.items():
            for one in found.get(kind) or []:
                # As with kubectl, the first file that has a name wins.
                known.setdefault(str(one.get("name")), (one.get(kind[:-1]) or {}, os.path.dirname(os.path.abspath(path))))
    name = wanted or current
    if name not in entries["contexts"]:
        known_names = ", ".join(sorted(entries["contexts"])) or "none"
        said = "has no context %s" % name if name else "names no current context"
        raise StackError("the kubeconfig %s; its contexts are: %s" % (said, known_names), kind="bad_option", option="context")
    context = entries["contexts"][name][0]
    cluster, folder = entries["clusters"].get(str(context.get("cluster")), ({}, ""))
    user, user_folder = entries["users"].get(str(context.get("user")), ({}, ""))
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise StackError("kubeconfig: the context %s names no server" % name, kind="bad_option", option="kubeconfig")
    if user.get("auth-provider"):
        raise StackError(
            "kubeconfig: an auth-provider is no longer a way to log in",
            kind="bad_option",
            option="kubeconfig",
            fix="use an exec credential plugin",
        )
    found_access = Access(
        server,
        str(context.get("namespace") or ""),
        tls_name=str(cluster.get("tls-server-name") or ""),
        proxy=str(cluster.get("proxy-url") or ""),
        authority=_content(cluster, "certificate-authority", folder),
        user=dict(user),
        folder=user_folder,
    )
    if server.startswith("https://"):
        found_access.context = _tls(found_access, bool(cluster.get("insecure-skip-tls-verify")))
        found_access._load_certificate()
    return found_access


def _read(path: str) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        with open(path, encoding="utf-8") as text:
            found = yaml.load(text, Loader=loader)
    except (OSError, UnicodeError) as error:
        raise StackError("kubeconfig: %s cannot be read: %s" % (path, getattr(error, "strerror", "not text")), kind="bad_option", option="kubeconfig") from None
    except yaml.YAMLError:
        # What the parser says quotes the file, which holds secrets.
        raise StackError("kubeconfig: %s is not valid YAML" % path, kind="bad_option", option="kubeconfig") from None
    if not isinstance(found, dict):
        raise StackError("kubeconfig: %s holds no configuration" % path, kind="bad_option", option="kubeconfig")
    return found


def _content(entry: dict[str, Any], what: str, folder: str) -> bytes:
    """What stands in <what>-data, else in the file <what>; b"" for neither."""
    if entry.get(what + "-data"):
        try:
            return base64.b64decode(str(entry[what + "-data"]))
        except ValueError:
            raise StackError("kubeconfig: %s-data is not base64" % what, kind="bad_option", option="kubeconfig") from None
    if not entry.get(what):
        return b""
    try:
        with open(_path(str(entry[what]), folder), "rb") as content:
            return content.read()
    except OSError as error:
        raise StackError("kubeconfig: %s cannot be read: %s" % (entry[what], error.strerror), kind="bad_option", option="kubeconfig") from None


class _Context(ssl.SSLContext):
    """A TLS context that knows whom it talks to: urllib3 before its version 2 does not say so where that is an address."""

    server = ""

    def wrap_socket(self, *words: Any, **more: Any) -> ssl.SSLSocket:
        more["server_hostname"] = more.get("server_hostname") or self.server
        return super().wrap_socket(*words, **more)


def _tls(access: Access, insecure: bool) -> ssl.SSLContext:
    made = _Context(ssl.PROTOCOL_TLS_CLIENT)
    made.server = access.tls_name or urlsplit(access.server).hostname or ""
    try:
        if access.authority:
            made.load_verify_locations(cadata=access.authority.decode("ascii"))
        else:
            made.load_default_certs()
    except (ssl.SSLError, UnicodeError, ValueError):
        raise StackError("kubeconfig: the certificate authority cannot be used", kind="bad_option", option="kubeconfig") from None
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def _path(path: str, folder: str) -> str:
    return os.path.join(folder, os.path.expanduser(path))


def _command(word: str, folder: str) -> str:
    """A command with a slash in it is meant from the kubeconfig's own folder."""
    return os.path.join(folder, word) if "/" in word else word


def _b64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
