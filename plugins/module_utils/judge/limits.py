# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Thresholds: one table, from which the options of every module come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.model import CRITICAL, WARNING, StackError


@dataclass(frozen=True)
class Limit:
    """A threshold: the value from which on it is a warning and critical (None: never), and where the figures come from."""

    warning: float | None
    critical: float | None
    source: str


# name (with its unit): the domain it belongs to is its first word.
LIMITS: dict[str, Limit] = {
    # PostgreSQL
    "postgres_connections_percent": Limit(80, 90, "check_postgres; of max_connections less the reserved slots"),
    "postgres_long_query_seconds": Limit(60, 300, "check_pgactivity; the runbook terminates after 5 minutes"),
    "postgres_idle_in_transaction_seconds": Limit(60, 300, "check_pgactivity"),
    "postgres_lock_wait_seconds": Limit(60, 120, "pganalyze, check_pgactivity"),
    "postgres_lock_waiting_sessions": Limit(5, 10, "pgwatch"),
    "postgres_freeze_age_percent": Limit(110, None, "check_pgactivity's 100 % of autovacuum_freeze_max_age, and room for the vacuum that this starts"),
    "postgres_transaction_age": Limit(None, 1_300_000_000, "check_pgactivity; transactions, of the 2.1 billion at which the server stops"),
    "postgres_pool_budget_percent": Limit(150, None, "sum of the pools against 0.8 of the usable slots; pools are seldom all full at once"),
    # Redis
    "redis_memory_percent": Limit(80, 90, "redis_exporter alerts; of maxmemory"),
    "redis_clients_percent": Limit(80, 90, "redis_exporter alerts; of maxclients"),
    "redis_latency_p99_ms": Limit(10, 100, "PING over 20 samples"),
    # Celery
    "celery_queue_length": Limit(100, None, "celery-mixin"),
    "celery_oldest_unacked_seconds": Limit(3600, None, "kombu's visibility_timeout"),
    # HTTP
    "http_slow_ms": Limit(1000, 5000, "the runbook's slow request"),
    "http_route_p95_ms": Limit(1000, 5000, "the runbook's slow request; from the histogram"),
    "http_errors_percent": Limit(5, 20, "5xx of the requests between two readings of the metrics"),
    # Containers
    "container_memory_percent": Limit(90, 97, "cAdvisor alerts; working set of the limit"),
    "container_restarts": Limit(3, None, "restarts since the container was made, with the last start less than 10 minutes ago"),
    "startup_grace_seconds": Limit(30, None, "how long a component that has just been started may take"),
    # Kubernetes
    "pod_pending_seconds": Limit(15, None, "how long a pod may wait for a node, or be missing, after it was asked for"),
    "pod_terminating_seconds": Limit(60, None, "how long a pod may outlive its own grace period"),
    "init_seconds": Limit(120, None, "how long an init container may run"),
    "rollout_seconds": Limit(600, None, "Kubernetes' own progressDeadlineSeconds; for what has none of its own"),
    "autoscaling_turns": Limit(4, None, "changes of an autoscaler's direction within a quarter of an hour"),
    "cpu_percent": Limit(95, None, "of a container's CPU limit; the kernel throttles what wants more"),
    "storage_percent": Limit(85, 95, "kubernetes-mixin; of a volume's capacity"),
    "quota_percent": Limit(90, None, "kubernetes-mixin; of what a ResourceQuota allows"),
    "tls_certificate_days": Limit(14, None, "days that a certificate is still good for; below it is a warning"),
    # Logs
    "logs_errors_in_window": Limit(10, 50, "the runbook's alert: more than 10 errors; of one fingerprint"),
    "log_window_seconds": Limit(120, None, "how far back a log line still says something about now"),
}


class Limits:
    """The thresholds of a run: the table's defaults, the user's values, and values for one component or route.

    values: {"redis_memory_percent_warning": 70, …}; components: {"worker": {…the same names…}}; routes: {"/api/v1/chat": {…}}.
    """

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        components: Mapping[str, Mapping[str, Any]] | None = None,
        routes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._values = _checked(values or {}, "limits")
        self._components = {name: _checked(some, "component_limits.%s" % name) for name, some in (components or {}).items()}
        self._routes = {name: _checked(some, "route_limits.%s" % name) for name, some in (routes or {}).items()}

    def get(self, name: str, level: str = WARNING, component: str | None = None, route: str | None = None) -> float | None:
        """The threshold of one level; the most particular value given wins."""
        key = "%s_%s" % (name, level)
        for some in (self._routes.get(route or "", {}), self._components.get(component or "", {}), self._values):
            if some.get(key) is not None:
                return float(some[key])
        return getattr(LIMITS[name], level)

    def grade(self, name: str, value: float, component: str | None = None, route: str | None = None) -> str | None:
        """critical, warning, or None when the value is below both thresholds."""
        for level in (CRITICAL, WARNING):
            bound = self.get(name, level, component, route)
            if bound is not None and value >= bound:
                return level
        return None


def option_names() -> list[str]:
    """Every threshold's option name, in the table's order."""
    return ["%s_%s" % (name, level) for name, limit in LIMITS.items() for level in (WARNING, CRITICAL) if getattr(limit, level) is not None]


def limits_spec(*domains: str) -> dict[str, dict[str, Any]]:
    """The suboptions of the option "limits": all thresholds, or those whose name begins with one of these words."""
    return {
        "%s_%s" % (name, level): {"type": "float", "default": getattr(limit, level)}
        for name, limit in LIMITS.items()
        for level in (WARNING, CRITICAL)
        if getattr(limit, level) is not None and (not domains or name.split("_", 1)[0] in domains)
    }


def _checked(values: Mapping[str, Any], option: str) -> dict[str, Any]:
    known = set(option_names())
    for name in values:
        if name not in known:
            raise StackError("%s: there is no threshold %r; the thresholds are %s" % (option, name, ", ".join(sorted(known))), kind="bad_option")
    return dict(values)
