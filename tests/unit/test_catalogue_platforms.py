"""The catalogue's commands are those of the platform that the stack stands on, and every finding of Kubernetes has its words."""

from __future__ import annotations

import re

import pytest
from samples import component, stack
from samples_cluster import deployment, pod, replicaset, seen

from ansible_collections.aiops.runbook.plugins.module_utils.judge.kubernetes_view import DOMAIN
from ansible_collections.aiops.runbook.plugins.module_utils.judge.registry import JUDGES
from ansible_collections.aiops.runbook.plugins.module_utils.judge.stack import DOMAINS
from ansible_collections.aiops.runbook.plugins.module_utils.model import Finding
from ansible_collections.aiops.runbook.plugins.plugin_utils.diagnose import diagnose
from ansible_collections.aiops.runbook.plugins.plugin_utils.knowledge import catalogue, say_all

FACTS = {"namespace": "shop", "workload": "deployment/api", "component": "api", "instance": "api-1"}
IDS = sorted({name for judge in JUDGES if judge.domain == DOMAIN for name in judge.ids})
# Of Compose's own files, and of building an image.
NOT_OURS = ("config.files_invalid", "image.platform_missing")


def test_they_register():
    assert DOMAINS and len(IDS) > 50


@pytest.mark.parametrize("name", IDS)
def test_a_finding_has_its_words(name):
    entry = catalogue()[name]
    for what in ("title", "explanation", "clear"):
        assert set(entry[what]) == {"en", "zh-TW"}, what
    assert entry["rows"]
    assert len(entry["do"]["en"]) == len(entry["do"]["zh-TW"])


@pytest.mark.parametrize("name", sorted(set(catalogue()) - set(NOT_OURS)))
@pytest.mark.parametrize("lang", ["en", "zh-TW"])
def test_no_command_of_another_platform(name, lang):
    for line in say_all(name, "do", FACTS, lang, "kubernetes"):
        assert not re.search(r"\bdocker (?!registry|-registry)|docker compose|\.env\b(?!\})", line.replace("docker-registry", "")), line
    for line in say_all(name, "do", FACTS, lang, "compose"):
        if name not in IDS:
            assert "kubectl" not in line, line


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logs.error_burst", "kubectl -n shop logs deployment/api --since 10m"),
        ("redis.save_failing", "kubectl -n shop exec deployment/api -- redis-cli bgsave"),
        ("config.stale_environment", "kubectl -n shop rollout restart deployment/api"),
        ("celery.queue_backlog", "kubectl -n shop scale deployment/api --replicas=<n>"),
        ("container.crashed", "kubectl -n shop logs api-1 --previous --tail 50"),
    ],
)
def test_commands_as_a_person_would_type_them(name, expected):
    assert any(expected in line for line in say_all(name, "do", FACTS, "en", "kubernetes"))


@pytest.mark.parametrize("name", [name for name, entry in sorted(catalogue().items()) for _rule in (entry.get("explains") or [])[:1]])
def test_a_rule_speaks_of_findings_that_there_are(name):
    import fnmatch

    for rule in catalogue()[name]["explains"]:
        assert any(fnmatch.fnmatchcase(other, rule["finding"]) for other in catalogue()), rule
        assert rule["along"] in ("same", "uses", "used_by", "about", "any")


def test_a_diagnosis_names_the_workload():
    document = seen(deployment(), replicaset(), pod())
    (root,) = diagnose(document, [Finding("container.crashed", "api", "critical", {"instance": "api-abc123-1", "exit_code": 1})])["root_causes"]
    assert "kubectl -n shop rollout undo deployment/api" in root["do"][1]
    (root,) = diagnose(stack(component("api", "api")), [Finding("container.crashed", "api", "critical", {"instance": "api-1", "exit_code": 1})])["root_causes"]
    assert "docker logs" in root["do"][0]
