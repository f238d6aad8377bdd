# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can only be seen from inside a pod, asked by one command: processes, sockets, environment, memory; and ways out of it.

The commands read /proc and open connections on which they send nothing. What they answer is parsed here, and that is pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping

from ansible_collections.aiops.runbook.plugins.module_utils.connect import namespace
from ansible_collections.aiops.runbook.plugins.module_utils.platform.base import Process, of_program

MARK = "@@aiops.runbook@@"
# Beyond so many processes a container is not told process by process.
MOST_PROCESSES = 400
LOOK = r"""
m='%(mark)s'
echo "$m self $$"
echo; echo "$m folder 0"; pwd
n=0
for d in /proc/[0-9]*; do
  n=$((n+1)); [ $n -gt %(most)d ] && break
  echo; echo "$m process ${d#/proc/}"
  cat $d/stat $d/cmdline 2>/dev/null
done
for f in /proc/net/tcp /proc/net/tcp6 /sys/fs/cgroup/memory.current /sys/fs/cgroup/memory/memory.usage_in_bytes \
  /sys/fs/cgroup/memory.stat /sys/fs/cgroup/memory/memory.stat /etc/resolv.conf; do
  echo; echo "$m file $f"; cat $f 2>/dev/null
done
for d in /proc/[0-9]*; do
  p=${d#/proc/}
  [ $p = $$ ] && continue
  read -r l < $d/stat 2>/dev/null || continue
  l=${l##*) }; set -- $l
  case " 0 $k " in *" $2 "*)
    k="$k $p"; echo; echo "$m environment $p"; cat $d/environ 2>/dev/null
    echo; echo "$m folder $p"; readlink $d/cwd 2>/dev/null;;
  esac
  [ ${#k} -gt 40 ] && break
done
echo; echo "$m end"
""" % {"mark": MARK, "most": MOST_PROCESSES}

# Name and connection of each place, in Python where there is one: it tells refused, timed out and unknown apart.
# A name that is still being asked for when the time is over ("again") has a name server that does not answer.
REACH = r"""
import socket,sys,threading,time
o=[];n={}
def go(h,p):
    t=time.time();a=[];e="";n[h,p]=t
    try:
        a=sorted({x[4][0] for x in socket.getaddrinfo(h,p,type=socket.SOCK_STREAM)})
    except socket.gaierror as x:
        e="again" if x.errno==socket.EAI_AGAIN else "name"
    except Exception as x:
        e="name"
    r=time.time();n.pop((h,p))
    if a:
        try:
            socket.create_connection((a[0],p),%(timeout)s).close()
        except socket.timeout:
            e="timeout"
        except ConnectionRefusedError:
            e="refused"
        except OSError as x:
            e="os "+(x.strerror or str(x))
    o.append("\t".join([h,str(p),",".join(a),e,"%%.4f"%%(time.time()-r)]))
s=[threading.Thread(target=go,args=(w.rsplit(":",1)[0],int(w.rsplit(":",1)[1])),daemon=True) for w in sys.argv[1:]]
[x.start() for x in s]
u=time.time()+%(whole)s
[x.join(max(0,u-time.time())) for x in s]
o+=["\t".join([h,str(p),"","again","%%.4f"%%(time.time()-t)]) for (h,p),t in list(n.items())]
print("\n".join(o))
"""

# The same with what a small image may have; error "unknown" where it has nothing to connect with.
BY_SHELL = r"""
for w in "$@"; do
  h=${w%%:*}; p=${w##*:}; e=name
  a=$(getent hosts "$h" 2>/dev/null | head -n 1 | cut -d' ' -f1)
  if [ -n "$a" ]; then
    e=unknown
    if command -v nc >/dev/null; then
      if nc -z -w %d "$h" "$p" >/dev/null 2>&1; then e=; else e=closed; fi
    fi
  fi
  printf '%%s\t%%s\t%%s\t%%s\t0\n' "$h" "$p" "$a" "$e"
done
"""


@dataclass
class Inside:
    """What one look inside a container gave. environments: of the first process and its first children, raw.

    folders: in which these work, by their numbers; 0: in which a command begins, as the first process has.
    """

    processes: list[Process] = field(default_factory=list)
    sockets: dict[str, Any] | None = None
    environments: dict[int, dict[str, str]] = field(default_factory=dict)
    folders: dict[int, str] = field(default_factory=dict)
    memory: int | None = None
    search: list[str] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The process from which all others of the application come; 0 where none was seen."""
        roots = [one for one in self.processes if one.parent == 0 and one.command.split(" ")[0].rsplit("/", 1)[-1] not in ("pause",)]
        return min((one.pid for one in roots), default=0)


def parse_look(output: bytes) -> Inside:
    """What LOOK printed."""
    found = Inside()
    own = 0
    sockets: dict[str, list] = {"listening": [], "peers": []}
    usage: dict[str, str] = {}
    rows: list[Process] = []
    for part in output.split(b"\n" + MARK.encode() + b" ") if not output.startswith(MARK.encode()) else (b"\n" + output).split(b"\n" + MARK.encode() + b" "):
        head, _newline, body = part.partition(b"\n")
        words = head.decode("utf-8", "replace").split()
        if len(words) < 2:
            continue
        what, which = words[0], words[1]
        if what == "self" and which.isdigit():
            own = int(which)
        elif what == "process" and which.isdigit():
            row = _process(int(which), body)
            if row:
                rows.append(row)
        elif what == "environment" and which.isdigit():
            pairs = [pair for pair in body.split(b"\0") if b"=" in pair]
            if pairs:
                found.environments[int(which)] = dict(pair.decode("utf-8", "surrogateescape").split("=", 1) for pair in pairs)
        elif what == "folder" and which.isdigit():
            found.folders[int(which)] = body.decode("utf-8", "replace").strip()
        elif what == "file" and which.startswith("/proc/net/"):
            read = namespace.read_sockets(body.decode("ascii", "replace").splitlines())
            found.sockets = sockets
            for key in sockets:
                sockets[key] += read[key]
        elif what == "file":
            usage[which] = body.decode("utf-8", "replace")
    # Where a pod's containers share their processes, the first one only holds the room.
    shared = any(row.pid == 1 and "pause" in row.command for row in rows)
    found.processes = _without_us(rows if shared else of_program(rows, 1), own)
    found.memory = _memory(usage)
    found.search = re.findall(r"^search\s+(.*)$", usage.get("/etc/resolv.conf", ""), re.MULTILINE)[-1:]
    return found


def _process(pid: int, body: bytes) -> Process | None:
    stat, _newline, command = body.partition(b"\n")
    text = stat.decode("utf-8", "replace")
    if ")" not in text:
        return None  # it has ended meanwhile
    name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    line = command.decode("utf-8", "replace").replace("\0", " ").strip()
    return Process(pid, int(rest[1]), rest[0], line or "[%s]%s" % (name, " <defunct>" if rest[0] == "Z" else ""))


def _without_us(rows: list[Process], own: int) -> list[Process]:
    """The application's processes: not the look itself, nor what other looks and probes run at the same moment."""
    ours = {own}
    for row in sorted(rows, key=lambda row: row.pid):
        if row.parent in ours or MARK in row.command:
            ours.add(row.pid)
    return [row for row in rows if row.pid not in ours]


def _memory(usage: dict[str, str]) -> int | None:
    for used, stat, cache in (
        ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"),
        ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"),
    ):
        text = usage.get(used, "").strip()
        if text.isdigit():
            hit = re.search(r"^%s (\d+)$" % cache, usage.get(stat, ""), re.MULTILINE)
            return max(0, int(text) - (int(hit.group(1)) if hit else 0))
    return None


def reach_commands(places: Iterable[tuple[str, int]], timeout: float) -> list[list[str]]:
    """Commands that try these places from inside, the best first; each prints one line a place."""
    words = ["%s:%d" % place for place in places]
    script = REACH % {"timeout": min(2.0, timeout / 2), "whole": timeout * 0.8}
    return [["python3", "-c", script, *words], ["python", "-c", script, *words], ["sh", "-c", BY_SHELL % max(1, int(timeout / 2)), "sh", *words]]


def parse_reach(output: bytes) -> dict[tuple[str, int], dict[str, Any]]:
    """{(host, port): {"resolves", "addresses", "connects", "error", "seconds"}}; without "connects" where that could not be tried."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for line in output.decode("utf-8", "replace").splitlines():
        words = line.split("\t")
        if len(words) != 5 or not words[1].isdigit():
            continue
        host, port, addresses, error, seconds = words
        fact: dict[str, Any] = {"resolves": bool(addresses), "addresses": [one for one in addresses.split(",") if one]}
        if error == "again":
            fact = {"resolves": None, "addresses": []}
        elif addresses and error != "unknown":
            fact.update({"connects": not error, "error": {"closed": "refused"}.get(error, error.replace("os ", "", 1)), "seconds": float(seconds)})
        found[(host, int(port))] = fact
    return found


def taken_by_proxy(found: Mapping[tuple[str, int], dict[str, Any]]) -> None:
    """In a mesh the proxy of the pod itself takes every connection out of it, so that it was taken says nothing of the place. Loopback passes it by."""
    for fact in found.values():
        if fact.get("connects") and not any(address == "::1" or address.startswith("127.") for address in fact["addresses"]):
            fact.update({"connects": None, "meshed": True})
