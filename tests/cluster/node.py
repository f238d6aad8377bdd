# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One node: etcd, the control plane, a container runtime and a kubelet of its own, beside whatever else runs on the machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import binaries
import processes
from certificates import Authority
from places import DATA, DNS_SERVICE, FIRST_SERVICE, KUBECONFIG, POD_NETWORK, SERVICE_NETWORK, STATE, ClusterError, given, run, say, wait

API_PORT = 16443
ETCD_PORT = 12379
CERTS = DATA / "certificates"
LOGS = DATA / "pods"
SOCKET = STATE / "containerd.sock"
PAUSE = "aiops.local/pause:1"
BRIDGE = "aiops-cni0"
IMAGES = "k8s.io"  # the namespace of containerd that the kubelet looks into
_SERVICES = ("kube-proxy", "kubelet", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "containerd", "etcd")
_GUESTS = ("kwok", "registry")  # started by others, on demand
_OURS = re.compile(r"KUBE-|CNI-")


def up(fresh: bool = False) -> None:
    """Start what does not run, over whatever an earlier one left, and wait until the node is ready.

    fresh: one that has to be started forgets what was on the earlier one, but not its images.
    """
    started = time.monotonic()
    if os.geteuid() != 0:
        raise ClusterError("a node needs root: run it as root (sudo make cluster), or give a KUBECONFIG of your own")
    if not all(map(processes.running, _SERVICES)):
        down(keep_data=True)
        if fresh:
            _forget()
        _prepare()
    program = binaries.folder()
    address = _address()
    _etcd()
    _api_server(program, address)
    _containerd()
    kubeconfig = KUBECONFIG.parent
    for name, more in (
        ("kube-controller-manager", ["--root-ca-file=%s" % (CERTS / "ca.crt"), "--service-account-private-key-file=%s" % (CERTS / "sa.key"),
                                     "--use-service-account-credentials", "--enable-hostpath-provisioner", "--kube-api-qps=500", "--kube-api-burst=1000",
                                     "--horizontal-pod-autoscaler-sync-period=5s", "--horizontal-pod-autoscaler-downscale-stabilization=30s",
                                     "--node-monitor-grace-period=20s", "--cluster-signing-cert-file=%s" % (CERTS / "ca.crt"),
                                     "--cluster-signing-key-file=%s" % (CERTS / "ca.key")]),
        # A claim that is bound while its pod is being weighed can go unseen: by itself the scheduler looks again after five minutes only.
        ("kube-scheduler", ["--kube-api-qps=500", "--kube-api-burst=1000", "--pod-max-in-unschedulable-pods-duration=20s"]),
    ):  # fmt: skip
        command = [program / name, "--kubeconfig=%s" % (kubeconfig / name), "--leader-elect=false", "--bind-address=127.0.0.1", *more]
        processes.start(name, command)
    _containerd_answers()
    _kubelet(program, address)
    processes.start(
        "kube-proxy",
        [program / "kube-proxy", "--kubeconfig=%s" % (kubeconfig / "kube-proxy"), "--proxy-mode=iptables", "--cluster-cidr=%s" % POD_NETWORK,
         "--hostname-override=%s" % node_name(), "--conntrack-max-per-core=0", "--metrics-bind-address=127.0.0.1:10249", "--iptables-sync-period=5s",
         "--iptables-min-sync-period=200ms"],
    )  # fmt: skip
    _let_pods_talk()
    wait("the node", _node_problem, 60)
    say("the node is ready after %.0f s" % (time.monotonic() - started))


def down(keep_data: bool = False) -> None:
    """Stop everything and remove what it left on the machine; the data too unless it is kept."""
    _expect_no_other_kubelet()
    for name in (*_GUESTS, *_SERVICES):
        if name == "containerd":
            _end_containers()
        processes.stop(name)
    _unmount(DATA, STATE)
    _unshape_network()
    # Some lie where their programs know no other place.
    for path in (STATE, Path("/var/lib/cni/networks/aiops-runbook"), Path("/var/lib/kubelet/device-plugins"), LOGS):
        shutil.rmtree(path, ignore_errors=True)
    for path in Path("/var/lib/cni/results").glob("aiops-runbook-*"):
        path.unlink(missing_ok=True)
    for link in Path("/var/log/containers").glob("*"):
        if os.path.islink(link) and os.readlink(link).startswith(str(LOGS)):
            link.unlink()
    if not keep_data:
        _forget()
        shutil.rmtree(DATA, ignore_errors=True)
    _remove_groups()


def _forget() -> None:
    """All objects, and what volumes held."""
    for path in (DATA / "etcd", Path("/tmp/hostpath_pv")):
        shutil.rmtree(path, ignore_errors=True)


def status() -> str:
    """What does not run, in words."""
    gone = [name for name in _SERVICES if not processes.running(name)]
    return "not running: %s" % ", ".join(gone) if gone else _node_problem()


def kubectl(*words: str | Path, stdin: str | None = None, timeout: float = 60, check: bool = True) -> str:
    own = binaries.folder() / "kubectl"
    return run([own if own.exists() else "kubectl", "--kubeconfig", given() or KUBECONFIG, *words], timeout=timeout, stdin=stdin, check=check)


def load_images(tags: list[str]) -> None:
    """Bring images of the Docker engine to the node; those that it has stay."""
    for tag in tags:
        wanted = run(["docker", "image", "inspect", "--format", "{{.Id}}", tag]).strip()
        known = json.loads(_image_file().read_text(encoding="utf-8")) if _image_file().exists() else {}
        if known.get(tag) == wanted and tag.partition("/")[2] in _ctr("images", "ls", "-q"):
            continue
        with subprocess.Popen(["docker", "save", tag], stdout=subprocess.PIPE) as saved:
            done = subprocess.run(
                ["ctr", "-a", str(SOCKET), "-n", IMAGES, "images", "import", "-"], stdin=saved.stdout, capture_output=True, timeout=300, check=False
            )
        if done.returncode or saved.returncode:
            raise ClusterError("the image %s cannot be brought to the node: %s" % (tag, done.stderr.decode(errors="replace")[-300:]))
        _image_file().write_text(json.dumps({**known, tag: wanted}), encoding="utf-8")


def _image_file() -> Path:
    return DATA / "images.json"


def _ctr(*words: str) -> str:
    return run(["ctr", "-a", SOCKET, "-n", IMAGES, *words])


def node_name() -> str:
    return socket.gethostname().lower()


def _address() -> str:
    """The machine's own address, which pods reach."""
    routes = json.loads(run(["ip", "-j", "-4", "addr", "show", "scope", "global"]) or "[]")
    found = [info["local"] for link in routes for info in link.get("addr_info", []) if not re.match(r"docker|br-|veth|cni|aiops|kube", link["ifname"])]
    if found:
        return str(found[0])
    # A machine without a network of its own: an address that only it knows.
    run(["ip", "link", "add", "aiops-host0", "type", "dummy"], check=False)
    run(["ip", "addr", "replace", "192.0.2.254/32", "dev", "aiops-host0"])
    run(["ip", "link", "set", "aiops-host0", "up"])
    return "192.0.2.254"


def _prepare() -> None:
    address = _address()
    server = "https://%s:%d" % (address, API_PORT)
    for path in (DATA, STATE, CERTS):
        path.mkdir(parents=True, exist_ok=True)
    # Another address or name, as on a machine that was copied: certificates say both, and the old node would stay for ever.
    made_for = CERTS / ("for-%s-%s" % (address, node_name()))
    if not made_for.exists():
        authority = Authority(CERTS)
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", node_name())
        authority.issue("apiserver", "kube-apiserver", hosts=("127.0.0.1", FIRST_SERVICE, address, *names))
        authority.issue("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
        authority.issue("front-proxy", "front-proxy")
        authority.issue("admin", "admin", "system:masters")
        authority.issue("kubelet", "system:node:" + node_name(), "system:nodes")
        for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
            authority.issue(name, "system:" + name)
        authority.account_key()
        for name in ("admin", "kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
            authority.kubeconfig(KUBECONFIG.parent / name, name, server)
        # Data of another authority is of no use: its service accounts' tokens are not believed any more.
        _forget()
        for path in CERTS.glob("for-*"):
            path.unlink()
        made_for.touch()


def _etcd() -> None:
    clients, peers = ("http://127.0.0.1:%d" % port for port in (ETCD_PORT, ETCD_PORT + 1))
    processes.start(
        "etcd",
        [
            "etcd",
            "--data-dir=%s" % (DATA / "etcd"),
            "--listen-client-urls=%s" % clients,
            "--advertise-client-urls=%s" % clients,
            "--listen-peer-urls=%s" % peers,
            "--initial-advertise-peer-urls=%s" % peers,
            "--initial-cluster=default=%s" % peers,
            "--unsafe-no-fsync",
            "--quota-backend-bytes=2147483648",
        ],
    )


def _api_server(program: Path, address: str) -> None:
    own = {name: CERTS / name for name in ("ca.crt", "apiserver.crt", "apiserver.key", "apiserver-kubelet-client.crt", "apiserver-kubelet-client.key",
                                           "front-proxy.crt", "front-proxy.key", "sa.key", "sa.pub")}  # fmt: skip
    processes.start(
        "kube-apiserver",
        [
            program / "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:%d" % ETCD_PORT,
            "--bind-address=0.0.0.0",
            "--secure-port=%d" % API_PORT,
            "--advertise-address=%s" % address,
            "--service-cluster-ip-range=%s" % SERVICE_NETWORK,
            "--client-ca-file=%s" % own["ca.crt"],
            "--tls-cert-file=%s" % own["apiserver.crt"],
            "--tls-private-key-file=%s" % own["apiserver.key"],
            "--kubelet-client-certificate=%s" % own["apiserver-kubelet-client.crt"],
            "--kubelet-client-key=%s" % own["apiserver-kubelet-client.key"],
            "--kubelet-preferred-address-types=InternalIP,Hostname",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-account-key-file=%s" % own["sa.pub"],
            "--service-account-signing-key-file=%s" % own["sa.key"],
            "--requestheader-client-ca-file=%s" % own["ca.crt"],
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            "--proxy-client-cert-file=%s" % own["front-proxy.crt"],
            "--proxy-client-key-file=%s" % own["front-proxy.key"],
            "--enable-aggregator-routing=true",
            "--event-ttl=1h",
        ],
    )

    def problem() -> str:
        processes.expect_running("etcd", "kube-apiserver")
        return "" if kubectl("get", "--raw", "/readyz", check=False).strip() == "ok" else processes.last_words("kube-apiserver")

    wait("the API server", problem, 60)


def _containerd() -> None:
    network = DATA / "network"
    network.mkdir(exist_ok=True)
    (network / "10-aiops.conflist").write_text(
        json.dumps(
            {
                "cniVersion": "0.4.0",
                "name": "aiops-runbook",
                "plugins": [
                    {
                        "type": "bridge",
                        "bridge": BRIDGE,
                        "isGateway": True,
                        "ipMasq": True,
                        "hairpinMode": True,
                        "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_NETWORK}]], "routes": [{"dst": "0.0.0.0/0"}]},
                    },
                    {"type": "portmap", "capabilities": {"portMappings": True}},
                ],
            }
        ),
        encoding="ascii",
    )
    settings = DATA / "containerd.toml"
    settings.write_text(
        """version = 2
root = "%s"
state = "%s"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "%s"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%s"
  restrict_oom_score_adj = true
  enable_selinux = false
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "%s"
"""
        % (DATA / "containerd", STATE / "containerd", SOCKET, PAUSE, network),
        encoding="ascii",
    )
    processes.start("containerd", ["containerd", "--config", settings])


def _containerd_answers() -> None:
    def problem() -> str:
        processes.expect_running("containerd")
        return "" if run(["ctr", "-a", SOCKET, "version"], check=False) else processes.last_words("containerd")

    wait("containerd", problem, 30)
    if not run(["docker", "image", "ls", "-q", PAUSE]).strip():
        # What holds a pod's network open needs a program that only waits.
        run(["docker", "build", "-q", "-t", PAUSE, "-"], stdin='FROM debian:bookworm-slim\nENTRYPOINT ["sleep", "infinity"]\n')
    load_images([PAUSE])


def _kubelet(program: Path, address: str) -> None:
    resolver = DATA / "resolv.conf"
    resolver.write_text("nameserver %s\n" % address, encoding="ascii")
    settings: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": str(CERTS / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE],
        "resolvConf": str(resolver),
        "podLogsDir": str(LOGS),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": "unix://%s" % SOCKET,
        # A disk that is shared with others is nearly full at times, and imported images come from nowhere else.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        "registryPullQPS": 0,
        "serializeImagePulls": False,
    }
    path = DATA / "kubelet.json"
    path.write_text(json.dumps(settings), encoding="ascii")
    processes.start(
        "kubelet",
        [program / "kubelet", "--config=%s" % path, "--kubeconfig=%s" % (KUBECONFIG.parent / "kubelet"), "--node-ip=%s" % address,
         "--hostname-override=%s" % node_name(), "--root-dir=%s" % (DATA / "kubelet")],
    )  # fmt: skip


def _node_problem() -> str:
    processes.expect_running(*_SERVICES)
    said = kubectl(
        "get",
        "node",
        node_name(),
        "-o",
        'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}',
        check=False,
    )
    return "" if said.startswith("True") else said.strip() or "the kubelet has not registered yet: %s" % processes.last_words("kubelet")


def _let_pods_talk() -> None:
    """Docker lets nothing be forwarded that it does not know."""
    for side in ("-s", "-d"):
        rule = ["FORWARD", side, POD_NETWORK, "-m", "comment", "--comment", "aiops-runbook-cluster", "-j", "ACCEPT"]
        if subprocess.run(["iptables", "-w", "-C", *rule], capture_output=True, check=False).returncode:
            run(["iptables", "-w", "-I", *rule])
    for name in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        try:
            Path("/proc/sys", name).write_text("1", encoding="ascii")
        except OSError:
            continue


def _expect_no_other_kubelet() -> None:
    """Its pods' control groups and chains are called like ours: nothing of it may be touched."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(words[0]).name == "kubelet" and str(DATA) not in " ".join(words):
            raise ClusterError("another Kubernetes has its node here (kubelet, process %s): give its KUBECONFIG instead" % entry.name)


def _end_containers() -> None:
    """The containers of this node: their shims live on without the runtime."""
    processes.kill_all_with(str(SOCKET))
    for group in _groups():
        try:
            for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
                os.kill(int(pid), 9)
        except (OSError, ValueError):
            continue


def _groups() -> list[Path]:
    """The control groups of all pods, inner ones last. They vanish while they are listed, which os.walk bears."""
    roots = [*Path("/sys/fs/cgroup").glob("*/kubepods"), Path("/sys/fs/cgroup/kubepods")]
    return sorted(Path(folder) for root in roots for folder, _folders, _files in os.walk(root))


def _remove_groups() -> None:
    for group in reversed(_groups()):
        _remove(group)


def _remove(group: Path) -> None:
    try:
        group.rmdir()
    except OSError:
        pass


def _unmount(*roots: Path) -> None:
    """What is mounted below these folders, the deepest first; network namespaces of pods are mounts, too."""
    for _round in range(3):
        points = [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
        ours = [point for point in points if any(point.startswith(str(root)) for root in roots)]
        if not ours:
            break
        for point in sorted(ours, key=len, reverse=True):
            run(["umount", "-l", point], check=False)
    for line in run(["ip", "netns", "list"], check=False).splitlines():
        if line.startswith("cni-") and not run(["ip", "netns", "pids", line.split()[0]], check=False).strip():
            run(["ip", "netns", "delete", line.split()[0]], check=False)


def _unshape_network() -> None:
    for name in (BRIDGE, "aiops-host0", "kube-ipvs0"):
        run(["ip", "link", "delete", name], check=False)
    for program in ("iptables", "ip6tables"):
        for table in ("nat", "filter", "mangle"):
            if shutil.which(program + "-save"):
                orders = rules_away(run([program + "-save", "-t", table], check=False))
                if orders:
                    run([program + "-restore", "-w", "-n"], stdin="*%s\n%s\nCOMMIT\n" % (table, "\n".join(orders)), check=False)


def rules_away(saved: str) -> list[str]:
    """What takes the cluster's chains, and the rules that lead there, out of a table as iptables-save shows it; everything else stays."""
    lines = saved.splitlines()
    chains = [line.split()[0][1:] for line in lines if line.startswith(":") and _OURS.match(line[1:])]
    rules = [
        line.replace("-A", "-D", 1)
        for line in lines
        if line.startswith("-A") and not _OURS.match(line.split()[1]) and (re.search(r" -[jg] (KUBE-|CNI-)", line) or "aiops-runbook-cluster" in line)
    ]
    return [*rules, *("-F %s" % chain for chain in chains), *("-X %s" % chain for chain in chains)]
