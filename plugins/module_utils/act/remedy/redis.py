# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Redis: its memory limit and policy, a save that fails, and a password that is not its clients' any more."""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, TypeVar

from ansible_collections.aiops.runbook.plugins.module_utils.act.base import DISRUPTIVE, SAFE, TRANSIENT, Preview, Refused, Step
from ansible_collections.aiops.runbook.plugins.module_utils.act.remedy.component import last_lines, wait_healthy
from ansible_collections.aiops.runbook.plugins.module_utils.act.room import MIB, host_memory, shown
from ansible_collections.aiops.runbook.plugins.module_utils.act.stage import Stage
from ansible_collections.aiops.runbook.plugins.module_utils.connect import redis as connect_redis
from ansible_collections.aiops.runbook.plugins.module_utils.judge.limits import Limits
from ansible_collections.aiops.runbook.plugins.module_utils.model import WARNING, StackError
from ansible_collections.aiops.runbook.plugins.module_utils.observe.redis import broker_databases
from ansible_collections.aiops.runbook.plugins.module_utils.observe.scene import is_secret_mount
from ansible_collections.aiops.runbook.plugins.module_utils.observe.targets import Target
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Instance
from ansible_collections.aiops.runbook.plugins.module_utils.secret import shortened

Answer = TypeVar("Answer")

POLICIES = ("noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl")
STEP_BYTES = 16 * MIB
# A limit is worth setting only where this much room is left above what is used.
HEADROOM = 1.25
# A little over the limit is what full looks like, and changes from one moment to the next.
FULL_FACTOR = 1.1
SAVE_SECONDS = 30.0
# What any disk writes in a second, for how long a snapshot may take.
SAVE_BYTES_PER_SECOND = 20 * MIB
# The files that an image may start its server with, where nothing else says how it is started.
CONFIGURATIONS = "for f in /etc/*.conf /etc/*/*.conf /usr/local/etc/*/*.conf; do case $f in *redis*|*valkey*|*keydb*) echo $f;; esac; done"
# $1: a folder; $2: the server's process, as it is numbered inside, or "" for the first that there is.
FOLDER = r"""
p=$2
[ -n "$p" ] || for d in /proc/[0-9]*; do
  case $(cat "$d/comm" 2>/dev/null) in redis-server|valkey-server|keydb-server) p=${d#/proc/}; break;; esac
done
[ -n "$p" ] || { echo 'no process of a server'; exit 1; }
stat -c '%a %u %g' "$1" && stat -c %u "/proc/$p" && df -Pk "$1" | tail -n 1 || exit 1
while read -r _d at _t o _r; do echo "at $at $o"; done < /proc/mounts
while read -r k v; do case $k in Gid:|Groups:) echo "group $v";; esac; done < "/proc/$p/status"
while read -r k v _r; do case $k in Uid:) u=$v;; CapEff:) echo "by $u $v";; esac; done < /proc/self/status
"""
# Changes modes of others' files (capabilities(7)).
CAP_FOWNER = 1 << 3
# What to do where a folder is not the server's: its uid, and the path.
CHOWN = {
    "compose": "if the server should own it: docker compose exec -u root <service> chown %d %s",
    "kubernetes": "if the server should own it: securityContext.fsGroup of its pods, or an init container that runs as root: chown %d %s",
}
SCANNED_KEYS = 20000
SERVER_PROGRAMS = ("redis-server", "valkey-server", "keydb-server", "redis-check-rdb")
INIT_PROGRAMS = ("docker-init", "tini", "dumb-init", "catatonit")
AUTH_KINDS = ("auth", "auth_required")
# Where what it has said is kept so that it can be read again.
READABLE = ("json-file", "local", "journald", "kubernetes")
# Mounts of which a person knows where they come from.
KEEPERS = ("bind", "configmap", "secret")
# What a client that could not go on has said last; a Celery worker ends with 0 then, and no restart policy but "always" starts it again.
FULL = r"OOM command not allowed"
UNSAVED = r"MISCONF"
LOCKED_OUT = r"NOAUTH|WRONGPASS|invalid username-password|invalid password|without any password configured"
# A worker's own health check may be asked once a minute only.
USER_HEALTHY_SECONDS = 150.0


def at_redis(stage: Stage, component: str, do: Callable[[Any], Answer], timeout: float = 15.0, database: int | None = None) -> Answer:
    """do(client) with the account of one of its clients; whatever redis-py says is a StackError."""

    def ask(client: Any) -> Answer:
        errors = connect_redis.redis.exceptions
        try:
            return do(client)
        except errors.NoPermissionError as error:
            raise StackError("this account may not do that at %s: %s" % (component, shortened(str(error), 120)), kind="denied") from error
        except errors.ResponseError as error:
            kind = "denied" if "unknown command" in str(error).lower() else "refused_by_server"
            raise StackError("%s answered: %s" % (component, shortened(str(error), 160)), kind=kind) from error
        except (errors.RedisError, OSError) as error:
            raise connect_redis.explain(error, connect_redis.RedisTarget(host=component), timeout) from error

    return stage.with_redis(component, ask, timeout, database)


def fallen_users(stage: Stage, component: str, said: str) -> list[list[str]]:
    """[component, container, name] of those who use this Redis and ended with these words, where they do not come back by themselves."""
    found: list[list[str]] = []
    if stage.platform.starts_again:
        return found
    for user in sorted({target.component for target in stage.server(component, "redis").clients}):
        for one in stage.instances(user):
            if one.state == "exited" and ended_with(stage.scene.lines(one), said):
                found.append([user, one.id, one.name])
    return found


def ended_with(lines: list[str], said: str) -> bool:
    """Whether the last error that a program tells of is this one. Pure."""
    errors = [line for line in lines[-200:] if re.search(r"error|exception|%s" % said, line, re.IGNORECASE)]
    return any(re.search(said, line) for line in errors[-5:])


def start_users(stage: Stage, users: list[list[str]]) -> None:
    for _user, identity, _name in users:
        stage.platform.start(identity)
    for user in sorted({row[0] for row in users}):
        problem = wait_healthy(stage, user, USER_HEALTHY_SECONDS)
        if problem:
            raise StackError(problem, kind="not_verified")


def stop_users(stage: Stage, users: list[list[str]]) -> None:
    for _user, identity, _name in reversed(users):
        try:
            stage.platform.stop(identity)
        except StackError as error:
            if error.kind != "not_found":  # made anew meanwhile: it is not the one that was started
                raise


def _started(users: list[list[str]]) -> list[dict[str, str]]:
    return [{"what": "container %s" % name, "before": "ended, because Redis refused it", "after": "running"} for _user, _identity, name in users]


class RedisConfig:
    """Another memory limit, another policy of eviction, at run time. params: maxmemory ("grow" or bytes), maxmemory_policy."""

    name = "redis_config"

    def preview(self, stage: Stage, step: Step) -> Preview:
        facts = read_server(stage, step.component)
        instance = stage.server(step.component, "redis").instance
        room = memory_room(stage, instance)
        warning = Limits(stage.params.get("limits"), stage.params.get("component_limits")).get("redis_memory_percent", WARNING, step.component) or 80.0
        try:
            wanted = choose_config(step.params, facts, room, warning)
        except Refused as error:
            if error.kind == "no_room":
                error.details["fix"] = "%s; the largest keys: %s" % (error.details["fix"], largest_keys(stage, step.component))
            raise
        before = {name: facts[name] for name in wanted}
        users = fallen_users(stage, step.component, FULL) if "maxmemory" in wanted else []
        return Preview(
            risk=SAFE,
            target={"component": step.component, "run_id": facts["run_id"]},
            state=[before, wanted, users],
            diff=[
                {"what": "%s of %s" % (name, step.component), "before": _setting(name, before[name]), "after": _setting(name, wanted[name])} for name in wanted
            ]
            + _started(users),
            undo={"component": step.component, "settings": before, "after": wanted, "users": users},
            texts={"before": {name: _setting(name, value) for name, value in before.items()}, "after": {name: _setting(name, wanted[name]) for name in wanted}},
            touches=sorted({step.component, *(row[0] for row in users)}) if wanted else [],
            lasting=[line for name, value in sorted(wanted.items()) for line in kept_where(stage, step.component, instance, name, value)],
            changed=bool(wanted),
        )

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"memory": at_redis(stage, step.component, lambda client: client.info("memory"))}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        _set(stage, step.component, preview.state[1])
        start_users(stage, preview.state[2])

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        facts = read_server(stage, step.component)
        for name, value in preview.state[1].items():
            if facts[name] != value:
                return "%s of %s is %s" % (name, step.component, _setting(name, facts[name]))
        if facts["maxmemory"] and facts["used"] >= facts["maxmemory"] and "maxmemory" in preview.state[1]:
            return "%s uses %s already, its limit is %s" % (step.component, shown(facts["used"]), shown(facts["maxmemory"]))
        return ""

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        component = record["component"]
        back, left = to_put_back(record, read_server(stage, component))
        if "maxmemory" not in left:  # with the room that it has they run well
            stop_users(stage, record["users"])
        _set(stage, component, back)
        if left:
            before = "; ".join("%s: %s" % (name, _setting(name, record["settings"][name])) for name in left)
            why = "; ".join(left[name] for name in left)
            raise StackError("%s: %s" % (component, why), kind="not_undone", fix="if it is to be as before, set %s" % before)


def to_put_back(record: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """({setting: value} to set again, {setting: why it is left as it is}) of an undo record, by what the server says now. Pure."""
    before, after = record["settings"], record.get("after") or {}
    moved = [name for name, value in before.items() if facts[name] not in (value, after.get(name, value))]
    left = {name: "its %s was changed by somebody else since, to %s" % (name, _setting(name, facts[name])) for name in moved}
    limit, used = before.get("maxmemory") or facts["maxmemory"], facts["used"]
    policy = facts["maxmemory-policy"] if "maxmemory-policy" in left else before.get("maxmemory-policy", facts["maxmemory-policy"])
    # Who refuses writes is as full as before; who evicts would throw away at once what has come since.
    if limit != facts["maxmemory"] and "maxmemory" not in left and used > limit * (FULL_FACTOR if policy == "noeviction" else 1.0):
        left["maxmemory"] = "%s are used, more than the maxmemory of %s that it had" % (shown(used), shown(limit))
    # The policy first: a smaller limit would throw away under one that evicts.
    return {name: before[name] for name in sorted(before, reverse=True) if name not in left and facts[name] != before[name]}, left


def _set(stage: Stage, component: str, settings: Mapping[str, Any]) -> None:
    def act(client: Any) -> None:
        for name, value in settings.items():
            client.config_set(name, str(value))

    at_redis(stage, component, act)


def _setting(name: str, value: Any) -> str:
    if name != "maxmemory":
        return str(value)
    return "%s (%d bytes)" % (shown(value), value) if value else "no limit"


def read_server(stage: Stage, component: str) -> dict[str, Any]:
    """{"run_id", "used", "maxmemory", "maxmemory-policy", "broker": whether a broker's keys stand there, "config_file"}; Refused where CONFIG is denied.

    A setting that names a broker there tells as much as its keys, which may not have been met.
    """
    named = any(target.kind == "broker" for target in stage.server(component, "redis").clients)

    def ask(client: Any) -> dict[str, Any]:
        info = client.info("all")
        settings = {**client.config_get("maxmemory"), **client.config_get("maxmemory-policy")}
        databases = [int(name[2:]) for name in info if re.fullmatch(r"db\d+", name)]
        return {
            "run_id": info.get("run_id", ""),
            "used": info["used_memory"],
            "maxmemory": int(settings["maxmemory"]),
            "maxmemory-policy": settings["maxmemory-policy"],
            # Whichever database the connection stands in then: it is closed afterwards.
            "broker": named or bool(broker_databases(client, databases)),
            "config_file": info.get("config_file", ""),
        }

    try:
        return at_redis(stage, component, ask)
    except StackError as error:
        if error.kind == "denied":
            raise Refused(
                "%s does not let its clients' account use CONFIG" % component, fix="change it where that server is managed, or give an account by redis_user"
            ) from error
        raise


def memory_room(stage: Stage, instance: Instance | None) -> dict[str, Any]:
    """{"most": how high a limit may be, None where that is not known, "why": in words}."""
    if instance is None:
        return {"most": None, "why": "the server runs elsewhere, and its machine is not known here"}
    if instance.memory_limit:
        return {"most": int(instance.memory_limit * 0.75), "why": "75 %% of its container's %s" % shown(instance.memory_limit)}
    available = host_memory(stage.platform, instance).get("MemAvailable")
    if available is None:
        return {"most": None, "why": "how much memory its host has left cannot be read"}
    # Rounded down, so that a host that breathes does not change what a plan said.
    return {"most": available // 2 // (16 * STEP_BYTES) * 16 * STEP_BYTES, "why": "50 %% of the %s that its host has left" % shown(available)}


def choose_config(params: Mapping[str, Any], facts: Mapping[str, Any], room: Mapping[str, Any], warning: float) -> dict[str, Any]:
    """What is to be set to what; {} when all is as wanted. Refused when it must not be. Pure."""
    wanted: dict[str, Any] = {}
    asked, policy = params.get("maxmemory"), params.get("maxmemory_policy")
    if asked is None and not policy:
        raise Refused("nothing says what is to be set", fix="give maxmemory or maxmemory_policy", kind="bad_option")
    if policy:
        if policy not in POLICIES:
            raise Refused("there is no policy %s" % policy, fix="one of %s" % ", ".join(POLICIES), kind="bad_option")
        if policy != "noeviction" and facts["broker"]:
            raise Refused(
                "the queues of a Celery broker stand there, and %s throws keys away" % policy, fix="keep noeviction, or give the broker a Redis of its own"
            )
        wanted["maxmemory-policy"] = policy
    if asked == "grow":
        limit = grown(facts["used"], facts["maxmemory"], room, warning)
        if limit is not None:
            wanted["maxmemory"] = limit
    elif asked is not None:
        wanted["maxmemory"] = given(int(asked), facts["used"], room)
    return {name: value for name, value in wanted.items() if facts[name] != value}


def grown(used: int, limit: int, room: Mapping[str, Any], warning: float) -> int | None:
    """The next limit: half as much again as the larger of what is used and what is allowed; None when there is no need. Pure."""
    if not limit:
        raise Refused("it has no limit that could grow", fix="give maxmemory in bytes%s" % (", at most %d" % room["most"] if room["most"] else ""))
    if 100.0 * used < warning * limit:
        return None
    base = used if used > FULL_FACTOR * limit else limit
    found = -(-base * 3 // 2 // STEP_BYTES) * STEP_BYTES
    if room["most"] is None:
        raise Refused("how far it may grow is not known: %s" % room["why"], fix="give maxmemory in bytes")
    found = min(found, room["most"])
    if found <= limit or found < HEADROOM * used:
        raise Refused(
            "there is no room to grow: %s are used of %s, and its limit may not be above %s (%s)"
            % (shown(used), shown(limit), shown(room["most"]), room["why"]),
            fix="raise the memory limit of its container first (component_resources), or remove keys that nobody needs",
            kind="no_room",
        )
    return found


def given(asked: int, used: int, room: Mapping[str, Any]) -> int:
    """A limit that somebody names, where it can be had. Pure."""
    if asked <= 0:
        raise Refused("without a limit the kernel would end it in the middle of its work when memory runs out", fix="give a number of bytes")
    if asked < 1.05 * used:
        raise Refused(
            "%s are used already: with %s it would refuse writes, or throw keys away, at once" % (shown(used), shown(asked)),
            fix="give at least %d bytes" % (used * HEADROOM),
            kind="no_room",
        )
    if room["most"] is not None and asked > room["most"]:
        raise Refused(
            "%s are more than %s (%s)" % (shown(asked), shown(room["most"]), room["why"]),
            fix="give at most %d bytes, or raise the memory limit of its container first (component_resources)" % room["most"],
        )
    return asked


def largest_keys(stage: Stage, component: str, most: int = 5) -> str:
    """The largest of some of the keys, in words."""

    def ask(client: Any) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        databases = [int(name[2:]) for name in client.info("keyspace")]
        for database in databases:
            client.execute_command("SELECT", database)
            cursor, seen = 0, 0
            while seen < SCANNED_KEYS // max(1, len(databases)):
                cursor, keys = client.scan(cursor, count=500)
                pipe = client.pipeline(transaction=False)
                for key in keys:
                    pipe.memory_usage(key)
                sizes = pipe.execute(raise_on_error=False)
                found += [(size, "db%d %s" % (database, key)) for key, size in zip(keys, sizes) if isinstance(size, int)]
                found = sorted(found, reverse=True)[:most]
                seen += max(1, len(keys))
                if not int(cursor):
                    break
        return found

    try:
        return ", ".join("%s (%s)" % (key[:80], shown(size)) for size, key in at_redis(stage, component, ask)) or "none"
    except StackError as error:
        return "cannot be read: %s" % error.message


# What the server is started with --------------------------------------------------------------------------------------


@dataclass
class Start:
    """What a server is started with, as far as that can be read.

    options: setting -> [(words, where it is written)], the last one counts except for save. certain: whether all of it was read.
    secrets: {path or setting: text} of what a start script may read. why: what is not certain.
    """

    options: dict[str, list[tuple[list[str], str]]] = field(default_factory=dict)
    certain: bool = False
    secrets: dict[str, str] = field(default_factory=dict)
    why: str = ""

    def words(self, name: str) -> tuple[list[str], str] | None:
        found = self.options.get(name)
        return found[-1] if found else None

    def add(self, name: str, words: list[str], where: str) -> None:
        self.options.setdefault(name.lower(), []).append((words, where))


def read_start(stage: Stage, instance: Instance) -> Start:
    """The command line, the configuration file it names, or a start script with the secrets that it is given."""

    def read(path: str) -> str | None:
        found = stage.platform.file(instance, path if path.startswith("/") else posixpath.join(instance.working_dir or "/", path))
        return None if found is None else found.content.decode("utf-8", "replace")

    mounted = [one["target"] for one in instance.mounts if one["kind"] == "secret" or is_secret_mount(one["target"])]
    command, environment = stage.platform.started_with(instance)
    start = start_of(command, {name: value for name, value in environment.items() if re.search(r"PASS", name, re.IGNORECASE)}, mounted, read)
    if not command:
        start.options = worked_by(configurations(stage, instance), instance.working_dir, read)
    for words, _where in start.options.get("requirepass", []):
        stage.mask.learn(" ".join(words))
    for text in start.secrets.values():
        stage.mask.learn(text)
    return start


def start_of(command: list[str], environment: Mapping[str, str], secret_files: Iterable[str], read: Callable[[str], str | None]) -> Start:
    """The same from the words of a command. read: the text of a file inside, None when there is none. Pure but for it."""
    start = Start()
    place = next((number for number, word in enumerate(command) if posixpath.basename(word) in SERVER_PROGRAMS), None)
    # The usual entry point is given options, or a file, alone.
    bare = len(command) > 1 and posixpath.basename(command[0]) == "docker-entrypoint.sh" and (command[1].startswith("-") or command[1].endswith(".conf"))
    if place is not None or bare:
        arguments = command[1 if place is None else place + 1 :]
        if arguments and not arguments[0].startswith("-"):
            start.certain = _read_conf(start, arguments[0], read, 0)
            if not start.certain:
                start.why = "its configuration file %s cannot be read" % arguments[0]
            arguments = arguments[1:]
        else:
            start.certain = True
        _read_arguments(start, arguments)
        return start
    start.why = "it is started by a script (%s)" % " ".join(command)[:60] if command else "what starts it stands in its image alone"
    for path in secret_files:
        text = read(path)
        if text is not None:
            start.secrets[path] = text.strip()
    if not start.secrets:
        start.secrets.update({name: value for name, value in environment.items() if value and not name.upper().endswith("_FILE")})
    script = " ".join(command)
    for word in command:
        if word.startswith("/") and not word.startswith("/bin/"):
            script += "\n" + (read(word) or "")
    for path in dict.fromkeys(re.findall(r"/[\w./-]+\.conf\b", script)):
        _read_conf(start, path, read, 0)
    for match in re.finditer(r"--(save|appendonly|maxmemory-policy|maxmemory|dir)[ =]+(\"[^\"]*\"|'[^']*'|\S+)", script):
        start.add(match[1], shlex.split(match[2]) or [""], "command line")
    return start


def configurations(stage: Stage, instance: Instance) -> list[str]:
    """The paths of the configuration files inside; [] where nothing there can list them."""
    try:
        _code, listed = stage.platform.run_inside(instance, ["sh", "-c", CONFIGURATIONS])
    except StackError:
        return []
    return listed.split()


def worked_by(paths: Iterable[str], folder: str, read: Callable[[str], str | None]) -> dict[str, list[tuple[list[str], str]]]:
    """The options of the one configuration file of these that puts a server into the folder in which it works; {} where none does, or several. Pure."""
    fitting = []
    for path in paths:
        start = Start()
        _read_conf(start, path, read, 0)
        place = start.words("dir")
        if folder and place and place[0][:1] == [folder]:
            fitting.append(start.options)
    return fitting[0] if len(fitting) == 1 else {}


def _read_arguments(start: Start, arguments: list[str]) -> None:
    """--name value value …"""
    name, words = "", []  # type: str, list[str]
    for word in [*arguments, "--"]:
        if word.startswith("--"):
            if name:
                start.add(name, " ".join(words).split() if name == "save" else words, "command line")
            name, _equals, value = word[2:].partition("=")
            words = [value] if value else []
        else:
            words.append(word)


def _read_conf(start: Start, path: str, read: Callable[[str], str | None], depth: int) -> bool:
    """A configuration file with what it includes; whether all of it was read."""
    text = read(path)
    if text is None:
        return False
    complete = True
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            words = shlex.split(line)
        except ValueError:
            complete = False
            continue
        if words[0].lower() == "include":
            # The last one counts: what is included stands where it is included.
            complete = depth < 4 and _read_conf(start, words[1], read, depth + 1) and complete
        else:
            start.add(words[0], words[1:], path)
    return complete


def saves(start: Start) -> bool:
    """Whether a server that is started so writes its data before it ends: an append-only file, or save points. Pure."""
    aof = start.words("appendonly")
    if aof is not None and aof[0][:1] == ["yes"]:
        return True
    points = start.options.get("save")
    if points is None:
        # The default has save points.
        return start.certain
    return bool([word for word in points[-1][0] if word])


def kept_where(stage: Stage, component: str, instance: Instance | None, name: str, value: Any) -> list[str]:
    """The line of the user's own files in which a setting must stand, because a restart brings back what stands there."""
    if instance is None:
        return ["set %s to %s where the server is managed: a restart brings the old value back" % (name, value)]
    text = "%dmb" % (value // MIB) if name == "maxmemory" and value % MIB == 0 else str(value)
    try:
        found = read_start(stage, instance).words(name)
    except StackError:
        found = None
    owner = stage.defined_in(component) if stage.component(component).workload else "the server"
    if found is None:
        return ["add --%s %s to %s's command: a restart forgets it" % (name, text, owner)]
    words, where = found
    if name == "maxmemory" and memory_bytes(" ".join(words)) >= value:
        return ["nothing to write down: %s says %s %s, a restart brings that back" % (where, name, " ".join(words))]
    if where == "command line":
        return ["%s's command says --%s %s: write --%s %s, a restart brings the old value back" % (owner, name, " ".join(words), name, text)]
    mount = next(
        (mount for mount in instance.mounts if mount["kind"] in KEEPERS and (where == mount["target"] or where.startswith(mount["target"] + "/"))), None
    )
    place = mount["source"] + where[len(mount["target"]) :] if mount else "%s (in the image)" % where
    return ["%s says %s %s: write %s %s, a restart brings the old value back" % (place, name, " ".join(words), name, text)]


def memory_bytes(text: str) -> int:
    """Bytes of Redis' own way to write a size, 0 for what is none. Pure."""
    match = re.fullmatch(r"(\d+)\s*([kmg]?)(b?)", text.strip().lower())
    if not match:
        return 0
    power = " kmg".index(match[2] or " ")
    return int(int(match[1]) * (1024 if match[3] else 1000) ** power)


# A save that fails ----------------------------------------------------------------------------------------------------


class RedisPersistence:
    """Cures a failing save at its cause, as far as that is a folder whose owner lost its right to write; then saves."""

    name = "redis_persistence"

    def preview(self, stage: Stage, step: Step) -> Preview:
        facts = read_persistence(stage, step.component)
        target = {"component": step.component, "run_id": facts["run_id"]}
        if not facts["failing"]:
            return Preview(risk=SAFE, target=target, state=[], changed=False)
        instance = stage.server(step.component, "redis").instance
        if instance is None:
            raise Refused("%s runs elsewhere: what its folder looks like cannot be seen from here" % step.component, fix="look there: %s" % facts["folders"][0])
        folders = [read_folder(stage, instance, path, facts["pid"]) for path in facts["folders"]]
        said, platform = last_words(stage, instance, facts["logfile"]), stage.platform.name
        cause = save_cause(folders, said, facts, host_memory(stage.platform, instance), platform)
        modes, users = cause["modes"], fallen_users(stage, step.component, UNSAVED)
        return Preview(
            risk=SAFE,
            target={**target, "container": instance.id},
            state=[facts["failing"], modes, users],
            diff=[{"what": "mode of %s in %s" % (path, instance.name), "before": old, "after": new} for path, old, new in modes]
            + [{"what": "last save of %s" % step.component, "before": "failed", "after": "written"}]
            + _started(users),
            undo={"component": step.component, "modes": modes, "users": users},
            texts={"cause": cause["words"], "failing": facts["failing"]},
            touches=sorted({step.component, *(row[0] for row in users)}),
        )

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {
            "persistence": at_redis(stage, step.component, lambda client: client.info("persistence")),
            "logs": {step.component: last_lines(stage, step.component)},
            "cause": stage.mask.text(preview.texts["cause"]),
        }

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        instance = running_copy(stage, step.component)
        for path, _old, new in preview.state[1]:
            change_mode(stage, instance, path, new)
        at_redis(stage, step.component, _save)
        problem = self.verify(stage, step, preview)
        if problem:
            raise StackError(problem, kind="not_verified")
        start_users(stage, preview.state[2])

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        seconds = SAVE_SECONDS + read_persistence(stage, step.component)["used"] / SAVE_BYTES_PER_SECOND

        def problem() -> str:
            facts = read_persistence(stage, step.component)
            return "saving still fails at %s (%s)" % (step.component, ", ".join(facts["failing"])) if facts["failing"] else ""

        return stage.wait(problem, min(600.0, seconds))

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        stop_users(stage, record["users"])
        if record["modes"]:
            instance = running_copy(stage, record["component"])
            for path, old, _new in record["modes"]:
                change_mode(stage, instance, path, old)


def _save(client: Any) -> None:
    """Ask for what has failed, unless it is under way."""
    info = client.info("persistence")
    if info.get("rdb_last_bgsave_status") == "err" and not info.get("rdb_bgsave_in_progress"):
        client.execute_command("BGSAVE", *(["SCHEDULE"] if info.get("aof_rewrite_in_progress") else []))
    if info.get("aof_enabled") and info.get("aof_last_bgrewrite_status") == "err" and not info.get("aof_rewrite_in_progress"):
        client.execute_command("BGREWRITEAOF")


def read_persistence(stage: Stage, component: str) -> dict[str, Any]:
    """{"run_id", "pid" (inside), "failing": [what], "busy", "folders": [paths], "logfile", "used"}."""

    def ask(client: Any) -> dict[str, Any]:
        info = client.info("all")
        settings: dict[str, str] = {}
        for name in ("dir", "logfile", "appenddirname"):
            settings.update(client.config_get(name))
        failing = ["rdb_last_bgsave_status"] if info.get("rdb_last_bgsave_status") == "err" else []
        if info.get("aof_enabled"):
            failing += [name for name in ("aof_last_write_status", "aof_last_bgrewrite_status") if info.get(name) == "err"]
        folders = [settings["dir"]]
        if info.get("aof_enabled") and settings.get("appenddirname"):
            folders.append(posixpath.join(settings["dir"], settings["appenddirname"]))
        return {
            "run_id": info.get("run_id", ""),
            "pid": info.get("process_id", 1),
            "failing": failing,
            "busy": bool(info.get("rdb_bgsave_in_progress") or info.get("aof_rewrite_in_progress")),
            "folders": folders,
            "logfile": settings.get("logfile", ""),
            "used": info.get("used_memory", 0),
            "save_bytes": info.get("used_memory", 0),
        }

    try:
        return at_redis(stage, component, ask)
    except StackError as error:
        if error.kind == "denied":
            raise Refused("%s does not let its clients' account use CONFIG" % component, fix="cure it where that server is managed") from error
        raise


def running_copy(stage: Stage, component: str) -> Instance:
    instance = next(iter(stage.component(component).running), None)
    if instance is None:
        raise StackError("%s does not run" % component, kind="not_found", fix="start it, and try again")
    return instance


def read_folder(stage: Stage, instance: Instance, path: str, pid: int | str = "") -> dict[str, Any]:
    """A folder that the server writes into, looked at inside, by root where that can be had.

    {"path", "owner", "mode", "uid" (the server's), "shared" (whether it may write as one of a group, or as anybody), "changeable" (whether a
    command inside may change its mode), "free", "size" (bytes), "read_only"}.
    """
    code, output = stage.platform.run_inside(instance, ["sh", "-c", FOLDER, "sh", path, str(pid)], user="0")
    found = parse_folder(path, output) if code == 0 else None
    if found is None:
        raise Refused("the folder %s cannot be looked at inside of %s: %s" % (path, instance.name, " ".join(output.split())[:160]), fix="look at it by hand")
    return found


def parse_folder(path: str, output: str) -> dict[str, Any] | None:
    """The same from the words of stat, df and /proc; None when they cannot be read. Pure."""
    lines = output.splitlines()
    if len(lines) < 3 or not re.fullmatch(r"[0-7]+ \d+ \d+", lines[0]) or not lines[1].isdigit():
        return None
    octal, owner, group = lines[0].split()
    mode, told = int(octal, 8), [line.split() for line in lines[3:]]
    groups = {word for words in told if words[:1] == ["group"] for word in words[1:]}
    by = next((words[1:] for words in told if words[:1] == ["by"]), ["0", "0"])
    sizes = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%\s", lines[2] + " ")
    mounts = [line.split()[1:3] for line in lines[3:] if line.startswith("at ") and len(line.split()) >= 3]
    over = [(at, options) for at, options in mounts if path == at or path.startswith(at.rstrip("/") + "/")]
    options = max(over, key=lambda mount: len(mount[0]))[1].split(",") if over else []
    return {
        "path": path,
        "mode": mode,
        "owner": int(owner),
        "uid": int(lines[1]),
        "shared": mode & 0o003 == 0o003 or (group in groups and mode & 0o030 == 0o030),
        "changeable": by[0] == owner or (by[0] == "0" and bool(int(by[1], 16) & CAP_FOWNER)),
        "size": int(sizes[1]) * 1024 if sizes else None,
        "free": int(sizes[3]) * 1024 if sizes else None,
        "read_only": "ro" in options,
    }


def last_words(stage: Stage, instance: Instance, logfile: str) -> str:
    """The last line of the server's log that tells why a save failed; "" when there is none."""
    lines: list[str] = []
    try:
        if logfile and logfile != "/dev/stdout":
            code, output = stage.platform.run_inside(instance, ["tail", "-n", "300", logfile], user="0")
            lines = output.splitlines() if code == 0 else []
        else:
            lines = stage.platform.logs(instance, 0.0, 300)
    except StackError:
        pass
    telling = [
        line for line in lines if re.search(r"Failed opening|No space left|Read-only file system|Can't save in background|Write error|Permission denied", line)
    ]
    return telling[-1] if telling else ""


def save_cause(folders: list[dict[str, Any]], words: str, facts: Mapping[str, Any], host: Mapping[str, int], platform: str = "compose") -> dict[str, Any]:
    """{"modes": [[path, old, new]], "words"}: what lets the server save again. Refused where that is no matter of a lost right. Pure."""
    modes = []
    for one in folders:
        if one["read_only"]:
            raise Refused(
                "%s is on a file system that is mounted read-only" % one["path"],
                fix="find out why (the kernel's log, the mount's options), and mount it to write",
            )
        needed = facts["save_bytes"]
        if one["free"] is not None and (one["free"] < MIB or ("No space left" in words and one["free"] < needed)):
            raise Refused(
                "the disk below %s is full: %s free of %s, and the data are up to %s" % (one["path"], shown(one["free"]), shown(one["size"]), shown(needed)),
                fix="make room on that disk, or enlarge the volume",
            )
        # Root writes wherever it likes.
        if one["uid"] == 0 or (one["owner"] == one["uid"] and one["mode"] & 0o300 == 0o300) or (one["owner"] != one["uid"] and one["shared"]):
            continue
        if one["owner"] != one["uid"]:
            raise Refused(
                "%s belongs to uid %d (mode %04o), and the server runs as uid %d: whose it should be is not guessed"
                % (one["path"], one["owner"], one["mode"], one["uid"]),
                fix=CHOWN[platform] % (one["uid"], one["path"]),
            )
        new = one["mode"] | 0o200
        if new & 0o300 != 0o300:
            raise Refused(
                "%s has the mode %04o: more than its owner's right to write is missing" % (one["path"], one["mode"]), fix="set the mode that it should have"
            )
        if not one["changeable"]:
            raise Refused(
                "%s has the mode %04o, and a command inside may not change it: it runs neither as its owner nor as root" % (one["path"], one["mode"]),
                fix="chmod %04o %s where the volume is kept, or in an init container that runs as uid %d" % (new, one["path"], one["owner"]),
            )
        modes.append([one["path"], "%04o" % one["mode"], "%04o" % new])
    if "Can't save in background" in words and not modes and host.get("MemAvailable", 1 << 62) < facts["used"]:
        raise Refused(
            "the kernel refused the copy of the process that writes: %s are used, %s are free on the host"
            % (shown(facts["used"]), shown(host["MemAvailable"])),
            fix="sysctl vm.overcommit_memory=1 on the host, or give it more memory",
        )
    return {"modes": modes, "words": words.strip()[-200:] or "what stopped it is over"}


def change_mode(stage: Stage, instance: Instance, path: str, mode: str) -> None:
    code, output = stage.platform.run_inside(instance, ["chmod", mode, path], user="0")
    if code:
        raise StackError("chmod %s %s in %s: %s" % (mode, path, instance.name, " ".join(output.split())[:160]), kind="denied", fix="do it by hand")


# A password that is not its clients' any more ---------------------------------------------------------------------------


class RedisPassword:
    """Restarts a server whose password was changed at run time, so that it has again what its own configuration and its clients have.

    params: accept_data_loss: restart it even where it is not sure that it saves before.
    """

    name = "redis_password"

    def preview(self, stage: Stage, step: Step) -> Preview:
        server = stage.server(step.component, "redis")
        copies = [one for one in stage.instances(step.component) if one.running] if server.instance is not None else []
        if not copies:
            raise Refused("%s does not run in this stack" % step.component, fix="align the password where that server is managed")
        password = common_password(server.clients)
        what, identity = self._meant(stage, step.component, copies)
        target = {"component": step.component, "containers": sorted(one.id for one in copies), **identity}
        try:
            at_redis(stage, step.component, lambda client: client.ping())
            return Preview(risk=DISRUPTIVE, target=target, state=[], changed=False)
        except StackError as error:
            if error.kind not in AUTH_KINDS:
                raise Refused("%s does not answer, and not for its password: %s" % (step.component, error.message)) from error
        start = read_start(stage, copies[0])
        where = agrees(start, password)
        users = fallen_users(stage, step.component, LOCKED_OUT)
        danger = "; ".join(filter(None, (self._danger(stage, step.component, one, start) for one in copies)))
        if danger and not step.params.get("accept_data_loss"):
            raise Refused(
                "a restart would put the password right, and lose what is queued and cached: %s" % danger,
                fix="save the data first, or accept it: accept_data_loss",
            )
        return Preview(
            risk=TRANSIENT if danger else DISRUPTIVE,
            target=target,
            state=[sorted([one.id, one.started_at] for one in copies), stage.token(password), where, danger, users],
            diff=[{"what": name, "before": "running, with a password set at run time", "after": "restarted, with that of its " + where} for name in what]
            + _started(users),
            undo={},
            texts={"where": where, "danger": danger, "undo": "a password set at run time, that nobody knows, cannot be put back"},
            touches=sorted({step.component, *(row[0] for row in users)}),
        )

    # What a platform does in its own way.

    def _meant(self, stage: Stage, component: str, copies: list[Instance]) -> tuple[list[str], dict[str, Any]]:
        """(what is restarted, as a person calls it; its identity); Refused where it would not be restarted with what it was started with."""
        return ["container %s" % one.name for one in copies], {}

    def _restart(self, stage: Stage, step: Step, preview: Preview) -> None:
        for identity in preview.target["containers"]:
            stage.platform.restart(identity)

    def _stands(self, stage: Stage, component: str) -> str:
        return wait_healthy(stage, component)

    def _danger(self, stage: Stage, component: str, instance: Instance, start: Start) -> str:
        main = next((process.command for process in instance.processes if process.pid == instance.pid), "")
        lines = stage.platform.logs(instance, 0.0, 300) if instance.log_driver in READABLE else []
        used = stage.platform.memory(instance)["used"]
        danger = data_danger(start, main, lines, used, stage.platform.grace(instance.id))
        if danger:
            return danger
        path = saved_in(start, instance)
        if not path.startswith("/"):
            return "in which folder it keeps its data is not known"
        try:
            return folder_danger(read_folder(stage, instance, path), used)
        except Refused as error:
            return error.message

    def evidence(self, stage: Stage, step: Step, preview: Preview) -> dict[str, Any]:
        return {"logs": {step.component: last_lines(stage, step.component)}, "danger": preview.texts["danger"]}

    def apply(self, stage: Stage, step: Step, preview: Preview) -> None:
        self._restart(stage, step, preview)
        # Its address may be another one now.
        stage.renew()
        problem = self.verify(stage, step, preview)
        if problem:
            raise StackError(problem, kind="not_verified")
        start_users(stage, preview.state[4])

    def verify(self, stage: Stage, step: Step, preview: Preview) -> str:
        def problem() -> str:
            try:
                at_redis(stage, step.component, lambda client: client.ping())
                return ""
            except StackError as error:
                return "%s does not let its clients in: %s" % (step.component, error.message)

        return self._stands(stage, step.component) or stage.wait(problem, SAVE_SECONDS)

    def undo(self, stage: Stage, record: dict[str, Any]) -> None:
        """Nothing was changed that could be put back: nobody knows the password that was set at run time."""


def common_password(clients: Iterable[Target]) -> str:
    """The one password that all clients have, "" for none. Refused where they differ. Pure."""
    by_password: dict[str, list[str]] = {}
    for target in clients:
        if target.user not in ("", "default"):
            raise Refused(
                "%s signs in as %s: accounts of an access control list are not ours to align" % (target.component, target.user), fix="compare ACL GETUSER"
            )
        by_password.setdefault(target.password, []).append("%s (%s)" % (target.component, target.password_setting or target.setting))
    if not by_password:
        raise Refused("no client of it is known, so that nobody's password can be compared")
    if len(by_password) > 1:
        groups = sorted(("no password" if not password else "one", sorted(set(names))) for password, names in by_password.items())
        raise Refused(
            "its clients do not have the same password: %s" % "; ".join("%s: %s" % (", ".join(names), what) for what, names in groups),
            fix="correct the one that is wrong: stack_env",
        )
    return next(iter(by_password))


def agrees(start: Start, password: str) -> str:
    """Where the server's start-up configuration says what the clients have. Refused where it says something else, or cannot be read. Pure."""
    said = start.words("requirepass")
    if start.certain:
        if any(words[:1] == ["default"] for words, _where in start.options.get("user", [])) or "aclfile" in start.options:
            raise Refused(
                "its accounts come from an access control list: whose password counts is not guessed", fix="compare ACL GETUSER default with the clients"
            )
        configured = (" ".join(said[0]) if said else "").strip()
        if configured == password:
            return said[1] if said else "start (no password)"
        raise Refused(
            "its start-up configuration (%s) and its clients do not have the same password either" % (said[1] if said else "no password"),
            fix="decide which one counts; change the clients' setting by stack_env, or the server's configuration",
        )
    same = [name for name, text in sorted(start.secrets.items()) if text == password and password]
    if same:
        # By its name alone: paths of secrets are hidden in what is shown.
        return "secret %s" % posixpath.basename(same[0])
    if start.secrets:
        raise Refused(
            "what it is given at its start (%s) is not what its clients have" % ", ".join(sorted(start.secrets)),
            fix="decide which one counts; change the clients' setting by stack_env, or the server's secret",
        )
    raise Refused(
        "what password it is started with cannot be told: %s" % (start.why or "nothing says so"),
        fix="look at how it is started, and restart it if that is right",
    )


def saved_in(start: Start, instance: Instance) -> str:
    """The folder of its data; a relative path where that in which it works is not known. Pure."""
    said = start.words("dir")
    return posixpath.normpath(posixpath.join(instance.working_dir, said[0][0] if said and said[0] else ""))


def folder_danger(folder: dict[str, Any], used: int) -> str:
    """Why the server cannot save at its end in the folder that it saves in; "" when it can. Refused with what is wrong there. Pure."""
    modes = save_cause([folder], "", {"save_bytes": used, "used": used}, {})["modes"]
    if modes:
        return "it may not write into %s (mode %s), and could not save" % (folder["path"], modes[0][1])
    if folder["free"] is not None and folder["free"] < used:
        return "%s has %s free, and the data may need %s" % (folder["path"], shown(folder["free"]), shown(used))
    return ""


def data_danger(start: Start, main_process: str, log: Iterable[str], used: int, grace: float) -> str:
    """Why a restart may lose data; "" when it does not. Pure."""
    if not saves(start):
        return "no save points and no append-only file are configured"
    program = posixpath.basename((main_process.split() or [""])[0])
    if program not in SERVER_PROGRAMS + INIT_PROGRAMS:
        return "its first process is %s, which may not pass on the signal to save and end" % (program or "not known")
    told = [
        line
        for line in log
        if re.search(r"saved on disk|saving terminated with success|saving error|Failed opening|Write error|MISCONF|Error trying to save", line)
    ]
    if told and not re.search(r"saved on disk|terminated with success", told[-1]):
        return "its last save failed"
    if used / SAVE_BYTES_PER_SECOND > max(1.0, grace - 2):
        return "%s may take longer to save than the %d s that it is given to end" % (shown(used), grace)
    return ""
