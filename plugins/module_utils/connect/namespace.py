# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stand where a container stands: its network namespace, its resolver, its sockets (Linux, root)."""

from __future__ import annotations

import ctypes
import os
import random
import socket
import struct
import time

from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

CLONE_NEWNET = 0x40000000
LISTEN, ESTABLISHED = "0A", "01"
# The kinds of records that hold an address of IPv4 and of IPv6.
A, AAAA = 1, 28


def can_enter(pid: int, container_id: str) -> bool:
    """Whether this pid is that container's process on this very machine, and we may enter its network namespace."""
    try:
        with open("/proc/%d/cgroup" % pid, encoding="ascii", errors="replace") as groups:
            if container_id not in groups.read():
                return False
        return os.geteuid() == 0 and os.access("/proc/%d/ns/net" % pid, os.R_OK)
    except OSError:
        return False


def enter_network(pid: int) -> None:
    """Move the calling thread into the network namespace of a process. The thread stays there: use one of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        handle = os.open("/proc/%d/ns/net" % pid, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StackError("the container's process is gone: %s" % error, kind="gone") from error
    try:
        if libc.setns(handle, CLONE_NEWNET) != 0:
            raise StackError("cannot enter the container's network: %s" % os.strerror(ctypes.get_errno()), kind="denied")
    finally:
        os.close(handle)


def resolve_inside(pid: int, host: str, timeout: float) -> list[str]:
    """The addresses of a name by the container's own hosts file and name servers; call after enter_network()."""
    root = "/proc/%d/root/etc/" % pid
    found = []
    for line in _lines(root + "hosts"):
        words = line.split("#")[0].split()
        if host in words[1:]:
            found.append(words[0])
    if found:
        return found
    servers, search = [], []
    for line in _lines(root + "resolv.conf"):
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            servers.append(words[1])
        elif words and words[0] == "search":
            search = words[1:]
    names = [host] + ([host + "." + domain for domain in search] if "." not in host else [])
    failure = None
    for name in names:
        for server in servers[:2]:
            try:
                addresses = ask_dns(server, name, timeout / max(1, len(names) * min(2, len(servers))))
            except (OSError, ValueError) as error:
                failure = error
                continue
            if addresses:
                return addresses
            break
    if failure is not None:
        raise StackError("the name server of this container did not answer for %s" % host, kind="dns_timeout")
    return []


def ask_dns(server: str, name: str, timeout: float) -> list[str]:
    """The addresses of a name at one name server, those of IPv6 where there are no others; [] when it says that there are none.

    Raises OSError, ValueError.
    """
    until = time.monotonic() + timeout
    found, answer = _ask_once(server, name, A, timeout)
    if found or answer[3] & 0xF:  # where there is no such name, there is none of the other kind
        return found
    try:
        return _ask_once(server, name, AAAA, max(0.1, until - time.monotonic()))[0]
    except OSError:
        return []


def _ask_once(server: str, name: str, kind: int, timeout: float) -> tuple[list[str], bytes]:
    number = random.randrange(1, 65536)
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(timeout)
        link.connect((server, 53))
        link.send(dns_question(number, name, kind))
        answer = link.recv(4096)
    return dns_addresses(number, answer), answer


def dns_question(number: int, name: str, kind: int = A) -> bytes:
    """A query for the records of a name (RFC 1035, 3596)."""
    labels = b"".join(bytes([len(label)]) + label for label in name.rstrip(".").encode("idna").split(b"."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def dns_addresses(number: int, answer: bytes) -> list[str]:
    """The addresses in an answer; [] for "no such name". ValueError when it is not an answer to our question or a refusal."""
    try:
        got, flags, questions, answers = struct.unpack_from("!4H", answer)
        if got != number or not flags & 0x8000:
            raise ValueError("not an answer to this question")
        if flags & 0xF not in (0, 3):
            # Docker's resolver answers SERVFAIL where its own upstream cannot be reached: for us the name has no address.
            return []
        place = 12
        for _unused in range(questions):
            place = _skip_name(answer, place) + 4
        found = []
        for _unused in range(answers):
            place = _skip_name(answer, place)
            kind, _class, _ttl, length = struct.unpack_from("!HHIH", answer, place)
            place += 10
            family = {(A, 4): socket.AF_INET, (AAAA, 16): socket.AF_INET6}.get((kind, length))
            if family is not None:
                found.append(socket.inet_ntop(family, answer[place : place + length]))
            place += length
        return found
    except (struct.error, IndexError) as error:
        raise ValueError("a damaged answer") from error


def _skip_name(answer: bytes, place: int) -> int:
    while True:
        length = answer[place]
        if length & 0xC0:
            return place + 2
        if length == 0:
            return place + 1
        place += 1 + length


def sockets_of(pid: int) -> dict[str, list]:
    """{"listening": [{"address", "port"}], "peers": [{"local_port", "address", "port"}]} of a network namespace, from /proc."""
    tables = [read_sockets(_lines("/proc/%d/net/%s" % (pid, table))) for table in ("tcp", "tcp6")]
    return {key: [one for table in tables for one in table[key]] for key in ("listening", "peers")}


def read_sockets(lines: list[str]) -> dict[str, list]:
    """The same of the lines of one such table."""
    listening, peers = [], []
    for line in lines[1:]:
        words = line.split()
        if len(words) < 4:
            continue
        address, port = decode_address(words[1])
        if words[3] == LISTEN:
            listening.append({"address": address, "port": port})
        elif words[3] == ESTABLISHED:
            other, other_port = decode_address(words[2])
            peers.append({"local_port": port, "address": other, "port": other_port})
    return {"listening": listening, "peers": peers}


def memory_of(pid: int, container_id: str) -> int | None:
    """Bytes in use by a container, by its process, without reclaimable cache; None where the files are not where they are expected."""
    folder, usage, cache = _cgroup_of(pid, container_id)
    used = _lines("%s/%s" % (folder, usage))
    if not used:
        return None
    reclaimable = [words[1] for words in (entry.split() for entry in _lines(folder + "/memory.stat")) if words and words[0] == cache]
    return max(0, int(used[0]) - int(reclaimable[0] if reclaimable else 0))


def processes_of(pid: int, container_id: str) -> list[tuple[int, int, str, str]]:
    """(pid, parent, state, command) of every process of a container, by one of them, as ps(1) shows them; [] where that cannot be read."""
    members = [int(line) for folder, _below, _files in os.walk(_cgroup_of(pid, container_id)[0]) for line in _lines(folder + "/cgroup.procs")]
    return [found for found in map(_process, sorted(members)) if found]


def _process(pid: int) -> tuple[int, int, str, str] | None:
    status = "".join(_lines("/proc/%d/stat" % pid))
    if not status:
        return None  # it has ended meanwhile
    name, rest = status[status.index("(") + 1 : status.rindex(")")], status[status.rindex(")") + 2 :].split()
    command = " ".join(_lines("/proc/%d/cmdline" % pid)).replace("\0", " ").strip()
    return pid, int(rest[1]), rest[0], command or "[%s]%s" % (name, " <defunct>" if rest[0] == "Z" else "")


def _cgroup_of(pid: int, container_id: str) -> tuple[str, str, str]:
    """(folder of the memory cgroup of a container's process, its file of the bytes in use, its figure of reclaimable cache).

    The folder is "" where there is none, and where the process is no longer of that container: one that has just ended counts as of the whole host.
    """
    for line in _lines("/proc/%d/cgroup" % pid):
        _number, controllers, path = line.split(":", 2)
        if container_id not in path:
            continue
        if controllers == "memory":
            return "/sys/fs/cgroup/memory" + path, "memory.usage_in_bytes", "total_inactive_file"
        if controllers == "":
            return "/sys/fs/cgroup" + path, "memory.current", "inactive_file"
    return "", "", ""


def decode_address(text: str) -> tuple[str, int]:
    """An address of /proc/net/tcp: hexadecimal, each group of four bytes in the machine's order."""
    address, port = text.split(":")
    raw = bytes.fromhex(address)
    raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    if len(raw) == 4:
        return socket.inet_ntoa(raw), int(port, 16)
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntoa(raw[12:]), int(port, 16)
    return socket.inet_ntop(socket.AF_INET6, raw), int(port, 16)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read(1 << 20).splitlines()
    except OSError:
        return []
