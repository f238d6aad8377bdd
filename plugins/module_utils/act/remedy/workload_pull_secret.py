# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The account with which the images of a component are pulled: a Secret that is there, or one that a person gives the account for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import SAFE, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.cluster import FIELD_MANAGER, ClusterObject
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.object import TemplateRemedy, Wish, copied, put_back
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.act.workload import Target
from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_images import WAITING, registry_of, serves
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_objects import by_name
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_pods import every_container
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_secrets import PULL_TYPES, accounts_of

SERVICE_ACCOUNT = "service_account"
# By which a Secret that a run made is known again: a hash of what it holds, whose key is in the undo record alone.
MARK = "aiops-runbook/made-by-run"
TYPE = "kubernetes.io/dockerconfigjson"


class ImagePullSecret(TemplateRemedy):
    """Lets a component's images be pulled with a Secret of its namespace.

    params: secret: its name; attach: workload (the default) or service_account; registry, user: with the password that a person gave to the
    task (option registry_password: it stands in no plan, no journal and no difference) the Secret is made, where there is none.
    """

    name = "image_pull_secret"

    def target(self, stage: Stage, step: Step) -> Any:
        work = super().target(stage, step)
        if step.params.get("attach") != SERVICE_ACCOUNT:
            return work
        if work.template["spec"].get("imagePullSecrets"):
            raise Refused("%s names pull secrets of its own: those of its service account do not count" % work, fix="attach it to the workload")
        path = "/api/v1/namespaces/%s/serviceaccounts/%s" % (work.namespace, work.template["spec"].get("serviceAccountName") or "default")
        return ClusterObject(stage.platform.cluster, "ServiceAccount", path)

    def wish(self, stage: Stage, step: Step, target: Any) -> Wish:
        work = Target(stage, step.component)
        name = str(step.params.get("secret") or "")
        if not name:
            raise Refused("nothing says which Secret is meant", fix="give secret", kind="bad_option")
        self._refuse_unfit(stage, step, work, name)
        made = copied(target.object)
        if isinstance(target, Target):
            holder, present = made["spec"]["template"]["spec"], names_of(work.template["spec"])
            # One that names a pull secret is given none of its service account any more.
            present = present or names_of(account_of(stage, work))
        else:
            holder, present = made, names_of(made)
        if name not in names_of(holder):
            holder["imagePullSecrets"] = [{"name": one} for one in [*present, *([] if name in present else [name])]]
        return Wish(made, stage.restart_risk(step.component), touches=[step.component], texts={"secret": name})

    @staticmethod
    def _refuse_unfit(stage: Stage, step: Step, work: Target, name: str) -> None:
        """Refused where this Secret cannot serve the images of the workload."""
        asked = {registry_of(one.get("image") or "") for one in every_container(work.template["spec"])}
        found = secret_at(stage, work.namespace, name)
        registry, user = str(step.params.get("registry") or ""), str(step.params.get("user") or "")
        if registry:
            password = str(stage.params.get("registry_password") or "")
            if not user or not password:
                raise Refused("a Secret for %s is made with an account only" % registry, fix="give user and password", kind="bad_option")
            stage.mask.learn(password)
            if not any(serves(registry, one) for one in asked):
                raise Refused("no image of %s is at %s: they are at %s" % (work, registry, ", ".join(sorted(asked))), kind="bad_option")
            if found is not None and accounts_of(found).get(registry) != (user, password):
                raise Refused("there is a Secret %s already, and it says something else" % name, fix="give another name, or change that one by kubectl")
            return
        if found is None:
            raise Refused(
                "there is no Secret %s in %s" % (name, work.namespace), fix="give registry, user and password to the module image_pull_secret: it makes one"
            )
        if found.get("type") not in PULL_TYPES:
            raise Refused("the Secret %s is of the type %s: no account for a registry" % (name, found.get("type")), fix="name one of the type %s" % TYPE)
        if not any(serves(place, one) for place in accounts_of(found) for one in asked):
            raise Refused(
                "the Secret %s is for %s, the images are at %s" % (name, ", ".join(sorted(accounts_of(found))) or "no registry", ", ".join(sorted(asked))),
                fix="name one for that registry",
            )

    def preview(self, stage: Stage, step: Step) -> Preview:
        found = super().preview(stage, step)
        work = Target(stage, step.component)
        name, registry = str(step.params["secret"]), str(step.params.get("registry") or "")
        if not registry or secret_at(stage, work.namespace, name) is not None:
            return found
        found.undo = {**(found.undo or {}), "made": {"namespace": work.namespace, "name": name, "key": secrets.token_hex(16)}}
        self._make(stage, step, found, {"dryRun": "All"})
        found.state = [found.state, name, registry, step.params["user"]]
        found.diff.insert(0, {"what": "secret/%s" % name, "before": "(none)", "after": "the account %s at %s" % (step.params["user"], registry)})
        found.risk = found.risk if found.changed else SAFE
        found.changed, found.touches = True, [step.component]
        return found

    @staticmethod
    def _make(stage: Stage, step: Step, preview: Preview, query: Mapping[str, str]) -> None:
        made = (preview.undo or {})["made"]
        account = {"username": step.params["user"], "password": str(stage.params.get("registry_password") or "")}
        account["auth"] = encoded("%s:%s" % (account["username"], account["password"]))
        data = {".dockerconfigjson": encoded(json.dumps({"auths": {step.params["registry"]: account}}))}
        about = {"name": made["name"], "annotations": {MARK: mark_of(made["key"], data)}}
        body = {"apiVersion": "v1", "kind": "Secret", "type": TYPE, "metadata": about, "data": data}
        stage.platform.cluster.change("POST", "/api/v1/namespaces/%s/secrets" % made["namespace"], body, {"fieldManager": FIELD_MANAGER, **query})

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        if (preview.undo or {}).get("made"):
            self._make(stage, step, preview, {})
        super().apply(stage, step, preview)
        if step.params.get("attach") == SERVICE_ACCOUNT:
            # Pods are given what their account has when they are made: those that wait for an image are made anew.
            for name in waiting_pods(Target(stage, step.component).pods):
                stage.platform.cluster.change("DELETE", "/api/v1/namespaces/%s/pods/%s" % (preview.target["namespace"], name))

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        put_back(ClusterObject(stage.platform.cluster, record["kind"], record["path"]), record)
        Target(stage, record["component"]).drop_stuck()
        made: dict[str, str] = record.get("made") or {}
        found = secret_at(stage, made["namespace"], made["name"]) if made else None
        if found is None:
            return
        name, path = "secret/" + made["name"], "/api/v1/namespaces/%s/secrets/%s" % (made["namespace"], made["name"])
        mark = (found["metadata"].get("annotations") or {}).get(MARK)
        if mark is None and record.get("unsure"):
            return  # this run has made none
        if mark is None or mark != mark_of(made.get("key") or "", found.get("data") or {}):
            raise StackError("%s was changed by somebody else since" % name, kind="not_undone", fix="delete it when nothing refers to it")
        guard = {"preconditions": {"uid": found["metadata"]["uid"], "resourceVersion": found["metadata"]["resourceVersion"]}}
        stage.platform.cluster.change("DELETE", path, guard)


def secret_at(stage: Stage, namespace: str, name: str) -> dict[str, Any] | None:
    """The Secret of this name; None where there is none."""
    try:
        found: dict[str, Any] = stage.platform.cluster.get("/api/v1/namespaces/%s/secrets/%s" % (namespace, name))
    except StackError as error:
        if error.kind == "not_found":
            return None
        raise
    return found


def account_of(stage: Stage, work: Target) -> dict[str, Any]:
    """The service account of a workload; {} where it could not be read."""
    return by_name(stage.platform.objects, "serviceaccounts", work.namespace, work.template["spec"].get("serviceAccountName") or "default") or {}


# Pure.


def names_of(holder: Mapping[str, Any]) -> list[str]:
    """The pull secrets that a pod or a service account names."""
    return [str(one["name"]) for one in holder.get("imagePullSecrets") or [] if one.get("name")]


def waiting_pods(pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """The pods that wait for an image."""
    found = []
    for pod in pods:
        status = pod.get("status") or {}
        states = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        if any(((one.get("state") or {}).get("waiting") or {}).get("reason") in WAITING for one in states):
            found.append(str(pod["metadata"]["name"]))
    return found


def mark_of(key: str, data: Mapping[str, str]) -> str:
    """A hash of what a Secret holds, with a key."""
    return hmac.new(key.encode("ascii"), json.dumps(data, sort_keys=True).encode("utf-8"), hashlib.sha256).hexdigest()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
