# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every remedy by its name, on each platform: the same name means the same cure."""

from __future__ import annotations

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Refused, Remedy
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.celery import CeleryConsumers, CeleryRetry, CeleryScale, WorkerProcesses
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.cluster_autoscaler import AutoscalerBounds
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.cluster_node import NodeUncordon
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.cluster_service import ServicePort, ServiceSelector
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import ComponentRestart, ComponentStart
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.connection import ConnectionSetting
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.env import StackEnv
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.loglevel import LogLevel
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.network import NetworkConnect
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.pools import PoolTuning
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.recreate import ComponentRecreate, WorkloadRecreate
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.redis import RedisConfig, RedisPassword, RedisPersistence
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.resources import ComponentResources
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.sessions import PostgresTerminate
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload import StackRollback, WorkloadRestart, WorkloadStart
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_image import ImageSet
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_probes import ComponentProbes
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_pull_secret import ImagePullSecret
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_redis import WorkloadPassword
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_resources import WorkloadResources
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.workload_scale import ComponentScale, WorkloadResume
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

# What is asked of a server itself, over its own protocol.
_SERVERS: tuple[Remedy, ...] = (PostgresTerminate(), RedisConfig(), RedisPersistence(), CeleryConsumers(), CeleryRetry())
# Where settings are kept is the platform's affair, and what they should say is not.
_SETTINGS: tuple[Remedy, ...] = (StackEnv(), ConnectionSetting(), PoolTuning(), LogLevel())


def _by_name(*remedies: Remedy) -> dict[str, Remedy]:
    return {remedy.name: remedy for remedy in remedies}


REMEDIES = _by_name(
    ComponentStart(),
    ComponentRestart(),
    *_SERVERS,
    ComponentResources(),
    NetworkConnect(),
    RedisPassword(),
    CeleryScale(),
    *_SETTINGS,
    ComponentRecreate(),
)


ON_KUBERNETES = _by_name(
    WorkloadStart(),
    WorkloadRestart(),
    StackRollback(),
    *_SERVERS,
    WorkloadPassword(),
    WorkerProcesses(),
    *_SETTINGS,
    WorkloadRecreate(),
    WorkloadResources(),
    ComponentProbes(),
    ImageSet(),
    ImagePullSecret(),
    ComponentScale(),
    WorkloadResume(),
    AutoscalerBounds(),
    ServiceSelector(),
    ServicePort(),
    NodeUncordon(),
)


def remedies_on(platform: str) -> dict[str, Remedy]:
    """The remedies that this platform has."""
    return ON_KUBERNETES if platform == "kubernetes" else REMEDIES


def remedy_of(name: str, platform: str) -> Remedy:
    """A remedy by its name; a StackError where there is none on this platform."""
    here = remedies_on(platform)
    if name in here:
        return here[name]
    if name in {**REMEDIES, **ON_KUBERNETES}:
        raise Refused("%s is not done on %s yet" % (name, platform), fix="do what the finding says by hand")
    raise StackError("there is no remedy %s: there are %s" % (name, ", ".join(sorted(here))), kind="bad_option", option="remedy")
