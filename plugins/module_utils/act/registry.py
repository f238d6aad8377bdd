# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every remedy by its name."""

from __future__ import annotations

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import Remedy
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.celery import CeleryConsumers, CeleryRetry, CeleryScale
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import ComponentRestart, ComponentStart
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.connection import ConnectionSetting
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.env import StackEnv
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.loglevel import LogLevel
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.network import NetworkConnect
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.pools import PoolTuning
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.recreate import ComponentRecreate
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.redis import RedisConfig, RedisPassword, RedisPersistence
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.resources import ComponentResources
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.sessions import PostgresTerminate
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

REMEDIES: dict[str, Remedy] = {
    remedy.name: remedy
    for remedy in (
        ComponentStart(),
        ComponentRestart(),
        PostgresTerminate(),
        ComponentResources(),
        NetworkConnect(),
        LogLevel(),
        RedisConfig(),
        RedisPersistence(),
        RedisPassword(),
        CeleryConsumers(),
        CeleryScale(),
        CeleryRetry(),
        StackEnv(),
        ConnectionSetting(),
        ComponentRecreate(),
        PoolTuning(),
    )
}


def remedy_of(name: str) -> Remedy:
    if name not in REMEDIES:
        raise StackError("there is no remedy %s: there are %s" % (name, ", ".join(sorted(REMEDIES))), kind="bad_option", option="remedy")
    return REMEDIES[name]
