# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The records of a stack on a cluster: two who want to act, one that is dead or cut off, rights that are missing, what is too large.

That the engine works with them as with those of a host: test_act_engine.py.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
import time
from types import SimpleNamespace

import pytest
from fake_cluster import ACCOUNT, FakeCluster

from ansible_collections.aiops.runbook.plugins.module_utils.act import records_cluster
from ansible_collections.aiops.runbook.plugins.module_utils.act.records import Records
from ansible_collections.aiops.runbook.plugins.module_utils.act.records_cluster import ClusterRecords, fitting, holder_of, index_of, micro_time, records_of
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError
from ansible_collections.aiops.runbook.plugins.module_utils.platform.kubernetes_settings import Held, Settings
from ansible_collections.aiops.runbook.plugins.module_utils.times import read_time

LEASE = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/aiops-runbook"
SECRETS = "/api/v1/namespaces/shop/secrets/aiops-runbook-"
# Longer than a lease lasts.
LATER = 61.0


@pytest.fixture
def cluster():
    return FakeCluster()


def records(cluster, selector=""):
    """As another controller sees them."""
    return ClusterRecords(cluster, "shop", selector)


def a_run(kept, *events, by="kim", **facts):
    """A journal with these events."""
    journal = kept.new_run()
    for event in events:
        journal.write(event, **({"by": by} if event == "begin" else {"step": 1} if event == "acting" else {}), **facts)
    return journal


def dead_run(cluster, *events):
    """A run whose controller was killed: its lease is not given back, and after a while not renewed any more."""
    kept = records(cluster)
    lease = kept.lease({"by": "old", "job": "apply", "run": "xyz"})
    kept.held = lease  # as in the block, without the thread that renews
    journal = a_run(kept, *events, by="old")
    return kept, lease, journal


# where


def test_a_cluster_keeps_its_own_records_and_a_host_has_files(tmp_path, cluster):
    platform = SimpleNamespace(name="kubernetes", cluster=cluster, namespace="shop", namespaces=["shop"], selector="a=b", project="shop@1")
    found = records_of({"state_dir": str(tmp_path)}, platform)
    assert isinstance(found, ClusterRecords) and found.namespace == "shop" and found.former is None
    here = records_of({"state_dir": str(tmp_path)}, SimpleNamespace(name="compose", project="shop"))
    assert isinstance(here, Records) and here.folder == str(tmp_path / "shop")


SELECTORS = [
    ("the order of its requirements", "a=1,b=2", "b=2,a=1", True),
    ("one sign or two", "a=1,b=2", "a==1,b==2", True),
    ("spaces", "a=1,b=2", " a = 1 , b=2 ", True),
    ("the same twice", "a=1", "a=1,a==1,", True),
    ("the order of values", "app in (a,b)", "app in (b, a)", True),
    ("commas within brackets", "a=1,app notin (x,y),!old", "!old,app notin (y,x), a=1", True),
    ("nothing", "", " ", True),
    ("another value", "a=1", "a=2", False),
    ("another sign", "a=1", "a!=1", False),
    ("other values", "app in (a,b)", "app in (a)", False),
    ("the opposite", "app in (a,b)", "app notin (a,b)", False),
    ("fewer requirements", "a=1,b=2", "a=1", False),
    ("the whole namespace", "a=1", "", False),
]


@pytest.mark.parametrize(("what", "one", "other", "same"), SELECTORS, ids=[case[0] for case in SELECTORS])
def test_a_selector_has_a_lease_of_its_own_however_it_is_written(cluster, what, one, other, same):
    assert (records(cluster, one).name == records(cluster, other).name) is same


def test_the_names_of_the_earlier_versions_stay_where_they_say_the_same(cluster):
    for text, name in (("", ""), ("app.kubernetes.io/instance=shop,tier=app", "-cb4d26dc"), ("app in (a, b)", "-eae759b7")):
        assert (records(cluster, text).name, records(cluster, text).former) == ("aiops-runbook" + name, None)


def test_two_who_write_the_same_stack_in_another_way_do_not_act_at_once(cluster):
    def of(selector, *namespaces):
        return records_of({}, a_platform(cluster, namespaces, selector))

    with of("a=1,b=2", "shop", "data").lease({"by": "kim"}):
        assert {path.split("/")[5] for path in cluster.objects if "/leases/" in path} == {"data"}, "the first by name"
        for selector, namespaces in (("b==2, a=1", ("shop", "data")), ("a=1,b=2", ("data", "shop")), ("b=2,a=1", ("data", "shop"))):
            with pytest.raises(StackError, match="^kim is at work on this stack"):
                of(selector, *namespaces).lease({"by": "lee"})
        with of("a=2", "shop", "data").lease({"by": "lee"}):
            pass


OVERLAPS = [
    ("a part of the whole", "", "app=c", r", on the whole namespace shop: wait for it"),
    ("the whole of a part", "app=c", "", r", on what app=c picks of the namespace shop: wait for it"),
    ("the same part", "app=c", "app=c", ": wait for it"),
    ("another part", "app=c", "app=d", ""),
]


@pytest.mark.parametrize(("what", "held", "wanted", "words"), OVERLAPS, ids=[case[0] for case in OVERLAPS])
def test_who_acts_on_a_part_and_who_acts_on_the_whole_exclude_each_other(cluster, what, held, wanted, words):
    with records(cluster, held).lease({"by": "kim", "run": "xyz"}):
        if words:
            with pytest.raises(StackError, match=r"^kim is at work on this stack since .* \(run xyz\)" + words) as caught:
                records(cluster, wanted).lease({"by": "lee"})
            assert caught.value.kind == "leased" and caught.value.details["holder"]["by"] == "kim"
            assert records(cluster, held).lease_holder()["by"] == "kim" and (held == wanted or records(cluster, wanted).lease_holder() is None)
        else:
            with records(cluster, wanted).lease({"by": "lee"}):
                assert records(cluster, held).lease_holder()["by"] == "kim"
    with records(cluster, wanted).lease({"by": "lee"}):
        pass


def test_of_many_that_want_the_whole_and_parts_at_once_none_acts_beside_who_has_the_whole(cluster):
    got, start = [], threading.Barrier(9)

    def want(selector):
        start.wait()
        try:
            got.append((selector, records(cluster, selector).lease({"by": selector or "all"})))
        except StackError as error:
            assert error.kind in ("leased", "conflict")

    threads = [threading.Thread(target=want, args=(selector,)) for selector in ("", "app=c", "app=d") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [selector for selector, _lease in got]
    assert len(held) == len({*held}) and ("" not in held or held == [""]), held


def test_a_run_on_the_whole_that_was_taken_for_dead_does_nothing_more_when_a_part_is_acted_on(cluster):
    kept, lease, journal = dead_run(cluster, "begin")
    lease._renewed -= LATER
    cluster.ahead = LATER
    with records(cluster, "app=c").lease({"by": "lee"}):
        with pytest.raises(StackError, match="had run out, and lee is at work on what app=c picks of the namespace shop: nothing more") as caught:
            lease._write({})
        assert caught.value.kind == "lease_lost"
        with pytest.raises(StackError, match="lee is at work"):
            journal.write("acting", step=1)
    assert kept.held is lease


def former_run(cluster, *events, namespace="shop", selector=""):
    """What an earlier version of ours left, which went by the selector as it was written; its controller was killed."""
    kept = ClusterRecords(cluster, namespace)
    kept.name = "aiops-runbook-" + hashlib.sha256(selector.encode()).hexdigest()[:8] if selector else kept.name
    kept.held = kept.lease({"by": "old", "run": "xyz"})
    return a_run(kept, *events, by="old")


FORMER = [
    ("by the selector as it was written", {"selector": "b=2,a=1"}, ("shop",), "b=2,a=1"),
    ("in the namespace that was given first", {"namespace": "shop"}, ("shop", "data"), ""),
]


@pytest.mark.parametrize(("what", "former", "namespaces", "selector"), FORMER, ids=[case[0] for case in FORMER])
def test_what_an_earlier_version_of_ours_kept_is_read_and_gone_on_with(cluster, what, former, namespaces, selector):
    journal = former_run(cluster, "begin", "acting", **former)
    kept = records_of({}, a_platform(cluster, namespaces, selector))
    with pytest.raises(StackError, match="^old is at work on this stack"):
        kept.lease({"by": "lee"})
    assert kept.lease_holder()["by"] == "old" and kept.at_work()["lease"]["by"] == "old"
    assert holder_of(kept.read_lease(), time.time()) is None, "it is not kept"
    cluster.ahead = LATER
    assert [one["run"] for one in kept.at_work()["unfinished"]] == [journal.name]
    assert [one.name for one in kept.runs()] == [journal.name] and kept.run(journal.name).begin["by"] == "old"
    with kept.lease({"by": "lee"}):
        (found,) = kept.unfinished()
        with found.taking_back(1):
            pass
        found.write("end", result="undone")
        new = a_run(kept, "begin", "end")
        assert kept.former.lease_holder()["by"] == "lee", "who still has the earlier version does not act either"
    assert kept.at_work() == {"lease": None, "unfinished": [], "overdue": []} and kept.former.lease_holder() is None
    assert [one.name for one in kept.runs()] == [journal.name, new.name] and [one.name for one in kept.former.runs()] == [journal.name]


CONTAINER = {"name": "api", "envFrom": [{"secretRef": {"name": "all"}}], "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "pw"}}}]}


def a_platform(cluster, namespaces=("shop",), selector="", **secrets):
    """A stack whose only workload refers to all of the Secret all, and to a key of db."""
    held = {("shop", name): Held({key: value.encode() for key, value in data.items()}) for name, data in secrets.items()}
    workload = SimpleNamespace(namespace="shop", template={"spec": {"containers": [CONTAINER]}}, finite=False)
    job = SimpleNamespace(namespace="shop", template={"spec": {"containers": [{"envFrom": [{"secretRef": {"name": "job"}}]}]}}, finite=True)
    where = {"cluster": cluster, "namespace": namespaces[0], "namespaces": namespaces, "selector": selector, "name": "kubernetes"}
    return SimpleNamespace(**where, workloads={"api": workload, "job": job}, settings=Settings({}, held))


KEYS = [
    ("the same again", {"all": {"A": "1", "B": "2"}, "db": {"pw": "x"}}, True),
    ("what nobody refers to", {"all": {"A": "1", "B": "2"}, "db": {"pw": "x", "other": "z"}, "job": {"C": "3"}}, True),
    ("another value", {"all": {"A": "1", "B": "2"}, "db": {"pw": "y"}}, False),
    ("one more of what is taken whole", {"all": {"A": "1", "B": "2", "C": ""}, "db": {"pw": "x"}}, False),
    ("one that may not be read", {"all": {"A": "1", "B": "2"}}, False),
]


@pytest.mark.parametrize(("what", "secrets", "same"), KEYS, ids=[case[0] for case in KEYS])
def test_the_key_is_the_same_for_all_who_see_the_same(cluster, what, secrets, same):
    first = records_of({}, a_platform(cluster, all={"B": "2", "A": "1"}, db={"pw": "x"})).key()
    assert len(first) == 32 and (records_of({}, a_platform(cluster, **secrets)).key() == first) is same
    assert {method for method, _path in cluster.asked} == {"GET"}, "a diagnosis writes nothing"


def test_the_key_is_another_in_another_namespace(cluster):
    first = records(cluster).key()
    cluster.objects[ACCOUNT]["metadata"]["uid"] = "another"
    assert records(cluster).key() != first


# the lease


def test_the_lease_says_who_holds_it_and_is_given_back(cluster):
    kept = records(cluster)
    assert kept.lease_holder() is None
    with kept.lease({"by": "kim", "job": "apply", "run": "xyz"}):
        spec = cluster.objects[LEASE]["spec"]
        assert spec["leaseDurationSeconds"] == 60 and spec["holderIdentity"].startswith("kim/") and abs(read_time(spec["renewTime"]) - time.time()) < 5
        holder = records(cluster).lease_holder()
        assert (holder["by"], holder["job"], holder["run"]) == ("kim", "apply", "xyz") and {"since", "host", "pid"} <= set(holder)
        with pytest.raises(StackError, match=r"^kim is at work on this stack since .* \(run xyz\): wait for it") as caught:
            records(cluster).lease({"by": "lee"})
        assert caught.value.kind == "leased" and caught.value.details["holder"]["by"] == "kim"
    assert records(cluster).lease_holder() is None and "holderIdentity" not in cluster.objects[LEASE]["spec"]
    with records(cluster).lease({"by": "lee"}):
        assert cluster.objects[LEASE]["spec"]["leaseTransitions"] == 1


def test_of_two_that_want_it_at_once_one_gets_it(cluster):
    got, start = [], threading.Barrier(8)

    def want(number):
        start.wait()
        try:
            got.append(records(cluster).lease({"by": str(number)}))
        except StackError as error:
            assert error.kind == "leased"

    threads = [threading.Thread(target=want, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_it_is_waited_for(cluster, monkeypatch):
    monkeypatch.setattr(records_cluster, "POLL_SECONDS", 0.01)
    lease = records(cluster).lease({"by": "kim"}).__enter__()
    threading.Timer(0.2, lease.__exit__, (None, None, None)).start()
    with records(cluster).lease({"by": "lee"}, wait=5.0):
        assert records(cluster).lease_holder()["by"] == "lee"


def test_it_is_renewed_while_it_is_held(cluster, monkeypatch):
    monkeypatch.setattr(records_cluster, "RENEW_SECONDS", 0.01)
    with records(cluster).lease({"by": "kim"}) as lease:
        first = cluster.objects[LEASE]["spec"]["renewTime"]
        # Somebody puts a label on it meanwhile.
        cluster.change("PATCH", LEASE, {"metadata": {"labels": {"seen": "yes"}}})
        wait_for(lambda: cluster.objects[LEASE]["spec"]["renewTime"] > first)
        lease.check()
    at_the_end = cluster.objects[LEASE]
    time.sleep(0.05)
    assert cluster.objects[LEASE] == at_the_end and at_the_end["metadata"]["labels"]["seen"] == "yes"


def test_one_that_is_not_renewed_is_free_by_the_servers_clock(cluster):
    dead_run(cluster)
    cluster.ahead = 40.0
    with pytest.raises(StackError, match=r"and was not heard of for 4\d s: it is taken for dead after 60 s"):
        records(cluster).lease({"by": "lee"})
    cluster.ahead = LATER
    assert records(cluster).lease_holder() is None
    with records(cluster).lease({"by": "lee"}):
        assert records(cluster).lease_holder()["by"] == "lee"


def test_one_whose_lease_was_taken_over_writes_nothing_more_and_gives_nothing_back(cluster):
    kept, lease, journal = dead_run(cluster, "begin")
    cluster.ahead = LATER
    with records(cluster).lease({"by": "lee"}) as other:
        with pytest.raises(StackError, match="^the lease on this stack was taken over by lee: nothing more is done") as caught:
            lease._write({})
        assert caught.value.kind == "lease_lost"
        before = dict(cluster.objects)
        with pytest.raises(StackError, match="taken over by lee"):
            journal.write("acting", step=1)
        assert cluster.objects == before and [entry["event"] for entry in journal.entries] == ["begin"]
        lease.__exit__()
        other.check()
        assert records(cluster).lease_holder()["by"] == "lee" and kept.held is None


def test_one_that_cannot_renew_stops_before_others_take_it(cluster, monkeypatch):
    monkeypatch.setattr(records_cluster, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(records_cluster, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(records_cluster, "STOP_SECONDS", 0.2)
    kept = records(cluster)
    with kept.lease({"by": "kim"}):
        journal = a_run(kept, "begin")
        cluster.down = True
        time.sleep(0.3)
        with pytest.raises(StackError, match=r"could not be renewed for 0 s \(the API server did not answer in time\): nothing more is done") as caught:
            journal.write("acting", step=1)
        assert caught.value.kind == "lease_lost"
        cluster.down = False
        wait_for(lambda: not problem_of(kept))
        journal.write("acting", step=1)  # nobody took it meanwhile: that is what its renewal shows


def test_a_lease_that_somebody_takes_away_is_lost(cluster):
    _kept, lease, _journal = dead_run(cluster)
    del cluster.objects[LEASE]
    with pytest.raises(StackError, match="was taken away"):
        lease._write({})
    with pytest.raises(StackError, match="was taken away"):
        lease.check()


def test_a_person_can_hold_it(cluster):
    with records(cluster).lease({"by": "kim"}):
        pass
    mark = {"holderIdentity": "maintenance", "renewTime": micro_time(time.time()), "acquireTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 3600}
    cluster.change("PATCH", LEASE, {"spec": mark})
    with pytest.raises(StackError, match="^maintenance is at work on this stack since 2026"):
        records(cluster).lease({"by": "lee"})


@pytest.mark.parametrize("how", ["done", "not done"])
def test_a_lost_answer_is_asked_for(cluster, how):
    kept = records(cluster)
    cluster.stumbles = [how]
    with kept.lease({"by": "kim"}):
        cluster.stumbles = [how]
        journal = kept.new_run()
        for event in ("begin", "acted", "end"):
            cluster.stumbles = [how]
            journal.write(event)
        cluster.stumbles = [how]
        journal.keep("evidence-1.json", {"log": ["x"]})
    assert [entry["event"] for entry in records(cluster).run(journal.name).entries] == ["begin", "acted", "end"]
    assert records(cluster).lease_holder() is None


# journals


def test_a_journal_is_kept_in_a_secret_and_read_by_another_controller(cluster):
    kept = records(cluster)
    with kept.lease({"by": "kim"}):
        journal = a_run(kept, "begin", "acting", undo={"password": "old"})
        path = SECRETS + journal.name.lower()
        assert journal.folder == "secret/aiops-runbook-%s in the namespace shop" % journal.name.lower()
        assert cluster.objects[path]["type"] == "aiops.runbook/journal"
        journal.keep("evidence-1.json", {"step": 1, "log": ["last words"]})
        journal.write("end", result="held")
    found = records(cluster).run(journal.name)
    assert [entry["event"] for entry in found.entries] == ["begin", "acting", "end"] and found.begin["by"] == "kim"
    assert found.last("acting")["undo"] == {"password": "old"}
    evidence = gzip.decompress(base64.b64decode(cluster.objects[path]["data"]["evidence-1.json.gz"]))
    assert json.loads(evidence) == {"step": 1, "log": ["last words"]}
    assert [one.name for one in records(cluster).runs()] == [journal.name]
    assert all(method != "GET" or not path.endswith("/secrets") for method, path in cluster.asked), "Secrets are never listed"


def test_the_index_names_a_run_before_its_secret_is_there(cluster):
    kept = records(cluster)
    with kept.lease({"by": "kim"}):
        journal = kept.new_run()
        assert [(entry["run"], entry["by"], entry["open"]) for entry in index_of(cluster.objects[LEASE])] == [(journal.name, "kim", True)]
        assert SECRETS + journal.name.lower() not in cluster.objects
    # It died there: nothing was begun, and nothing is left of it.
    assert records(cluster).at_work() == {"lease": None, "unfinished": [], "overdue": []}
    assert records(cluster).runs() == [] and records(cluster).unfinished() == []
    with kept.lease({"by": "kim"}):
        kept.new_run()
        assert [entry["open"] for entry in index_of(cluster.objects[LEASE])] == [False, True]


def test_a_run_that_died_is_found_when_its_lease_has_run_out(cluster):
    _kept, _lease, journal = dead_run(cluster, "begin", "acting")
    news = records(cluster).at_work()
    assert (news["lease"]["by"], news["unfinished"]) == ("old", []), "it may just be under way"
    cluster.ahead = LATER
    news = records(cluster).at_work()
    assert news["lease"] is None and [(one["run"], one["by"], one["last"]) for one in news["unfinished"]] == [(journal.name, "old", "acting")]
    kept = records(cluster)
    with kept.lease({"by": "lee"}):
        (found,) = kept.unfinished()
        with found.taking_back(1):
            pass
        found.write("end", result="undone")
    cluster.asked.clear()
    assert records(cluster).at_work() == {"lease": None, "unfinished": [], "overdue": []}
    assert cluster.asked == [("GET", LEASE)], "of runs that ended no journal is read"


def test_a_run_that_is_being_taken_back_is_open_again_before_that_begins(cluster):
    kept = records(cluster)
    with kept.lease({"by": "kim"}):
        journal = a_run(kept, "begin", "acting", "end")
        assert [entry["open"] for entry in kept.held.index] == [False]
        cluster.denied = {"patch secrets"}
        with pytest.raises(StackError):
            journal.write("undo", by="kim")
        cluster.denied = set()
        assert [entry["open"] for entry in index_of(cluster.objects[LEASE])] == [True]
        journal.write("undo", by="kim")
    (left,) = records(cluster).at_work()["unfinished"]
    assert (left["run"], left["last"]) == (journal.name, "undo")


def test_who_goes_on_with_a_run_is_the_only_one_that_writes_to_it(cluster):
    """Also where the first one does not know yet that its lease is gone."""
    _kept, _lease, journal = dead_run(cluster, "begin")
    cluster.ahead = LATER
    other = records(cluster)
    with other.lease({"by": "lee"}):
        other.unfinished()[0].write("undoing", step=1)
        with pytest.raises(StackError, match="another one has gone on with the run") as caught:
            journal.write("acting", step=1)
        assert caught.value.kind == "lease_lost"
        assert [entry["event"] for entry in other.run(journal.name).entries] == ["begin", "undoing"]


def test_what_is_to_put_itself_back_stays_in_sight_after_the_end(cluster):
    kept = records(cluster)
    with kept.lease({"by": "kim"}):
        a_run(kept, "begin", "acting", "end", until=time.time() - 1000)
    assert [one["last"] for one in records(cluster).at_work()["overdue"]] == ["end"]


def test_old_runs_make_room_and_open_ones_stay(cluster, monkeypatch):
    monkeypatch.setattr(records_cluster, "KEEP_RUNS", 3)
    kept = records(cluster)
    with kept.lease({"by": "kim"}):
        names = [a_run(kept, "begin").name]
        names += [a_run(kept, "begin", "end").name for _run in range(4)]
        cluster.denied = {"delete secrets"}
        names.append(a_run(kept, "begin", "end").name)
        assert len(kept.runs()) == 5, "what cannot be deleted is not forgotten"
        cluster.denied = set()
        names.append(a_run(kept, "begin", "end").name)
    assert [one.name for one in kept.runs()] == [names[0], *names[-3:]]
    assert sorted(path for path in cluster.objects if "/secrets/" in path) == sorted(SECRETS + one.lower() for one in [names[0], *names[-3:]])


def test_an_unknown_run(cluster):
    for name in ("20260101T000000Z-000", "../../pods"):
        with pytest.raises(StackError, match="there is no record of a run .* in the namespace shop") as caught:
            records(cluster).run(name)
        assert caught.value.kind == "bad_option"


def test_nothing_is_written_without_the_lease(cluster):
    _kept, lease, journal = dead_run(cluster, "begin")
    lease.__exit__()
    for write in (journal.records.new_run, lambda: journal.write("end"), lambda: journal.keep("x", 1)):
        with pytest.raises(StackError, match="under the lease only"):
            write()


# rights


DENIED = [
    ("create leases", "lease/aiops-runbook"),
    ("patch leases", "lease/aiops-runbook"),
    ("create secrets", "secret/aiops-runbook-"),
    ("patch secrets", "secret/aiops-runbook-"),
]


@pytest.mark.parametrize(("right", "where"), DENIED, ids=[case[0] for case in DENIED])
def test_without_the_right_to_record_nothing_is_done(cluster, right, where):
    if right == "patch leases":
        with records(cluster).lease({"by": "before"}):
            pass
    cluster.denied = {right}
    kept = records(cluster)
    with pytest.raises(StackError) as caught, kept.lease({"by": "kim"}):
        a_run(kept, "begin", "acting")
    assert caught.value.kind == "no_record" and "cannot be kept as " + where in caught.value.message
    assert "nothing is done that is not recorded first" in caught.value.message
    verb, resource = right.split()
    assert 'resources: ["%s"], verbs: ["%s"]' % (resource, verb) in caught.value.details["fix"]


def test_who_may_not_read_secrets_hears_what_the_lease_says(cluster):
    _kept, _lease, journal = dead_run(cluster, "begin", "acting")
    cluster.denied, cluster.ahead = {"get secrets"}, LATER
    (left,) = records(cluster).at_work()["unfinished"]
    assert (left["run"], left["by"], left["last"]) == (journal.name, "old", "begin")
    with pytest.raises(StackError, match="records of earlier runs cannot be read") as caught:
        records(cluster).runs()
    assert caught.value.kind == "denied"


def test_who_may_not_read_leases_is_told_so(cluster):
    cluster.denied = {"get leases"}
    with pytest.raises(StackError) as caught:
        records(cluster).at_work()
    assert caught.value.kind == "denied"


# sizes


def test_what_does_not_fit_is_not_begun_and_the_end_still_fits(cluster):
    kept = records(cluster)
    with kept.lease({"by": "kim"}):
        journal = a_run(kept, "begin")
        journal.write("acting", step=1, undo={"text": "x" * (800 << 10)})
        with pytest.raises(StackError, match=r"it would have 9\d\d KiB, and a Secret holds 1024; nothing is done") as caught:
            journal.write("acting", step=2, undo={"text": "x" * (150 << 10)})
        assert caught.value.kind == "no_record" and journal.acted() == [1]
        journal.write("end", result="failed", steps=["x" * (100 << 10)])
    assert records(cluster).run(journal.name).ended


@pytest.mark.parametrize("most", [1 << 20, 60_000, 5_000, 100])
def test_evidence_is_cut_to_its_last_lines(most):
    lines = ["%06d %s" % (number, base64.b16encode(number.to_bytes(20, "big")).decode()) for number in range(20_000)]
    packed = fitting({"step": 1, "logs": {"api": lines}}, most)
    found = json.loads(gzip.decompress(packed))
    if most == 100:
        assert found["left_out"].endswith("there is no room for it")
        return
    assert len(packed) <= most and found["step"] == 1 and found["logs"]["api"][-1] == lines[-1]
    assert len(found["logs"]["api"]) == 20_000 or found["logs"]["api"][0].endswith("before these are left out)")


def test_all_evidence_of_a_run_leaves_room_for_its_journal(cluster):
    kept = records(cluster)
    noise = [base64.b64encode(bytes((number * number * 7 + place * number) % 251 for place in range(100))).decode() for number in range(9_000)]
    with kept.lease({"by": "kim"}):
        journal = a_run(kept, "begin")
        for number in range(5):
            journal.keep("evidence-%d.json" % number, {"step": number, "logs": noise})
    sizes = {key: len(base64.b64decode(value)) for key, value in cluster.objects[SECRETS + journal.name.lower()]["data"].items()}
    assert len(sizes) == 6 and sum(sizes.values()) < records_cluster.EVIDENCE_BYTES + 2_000, sizes


# pure

HELD = {"holderIdentity": "x", "leaseDurationSeconds": 60, "renewTime": micro_time(1000.0)}
HOLDERS = [
    ("no lease", None, 1000.0, None),
    ("given back", {"spec": {"leaseDurationSeconds": 60}}, 1000.0, None),
    ("held", {"spec": HELD}, 1030.0, "x"),
    ("at its end", {"spec": HELD}, 1060.0, "x"),
    ("run out", {"spec": HELD}, 1060.5, None),
    ("renewed by a clock that is ahead", {"spec": HELD}, 990.0, "x"),
    ("taken and never renewed", {"spec": {"holderIdentity": "x", "acquireTime": micro_time(1000.0)}}, 1030.0, "x"),
    ("whose, in words", {"spec": HELD, "metadata": {"annotations": {"aiops.runbook/holder": '{"identity": "x", "by": "kim"}'}}}, 1030.0, "kim"),
    ("of an earlier one", {"spec": HELD, "metadata": {"annotations": {"aiops.runbook/holder": '{"identity": "y", "by": "kim"}'}}}, 1030.0, "x"),
    ("garbage beside it", {"spec": HELD, "metadata": {"annotations": {"aiops.runbook/holder": "["}}}, 1030.0, "x"),
]


@pytest.mark.parametrize(("what", "lease", "now", "by"), HOLDERS, ids=[case[0] for case in HOLDERS])
def test_who_holds_a_lease(what, lease, now, by):
    found = holder_of(lease, now)
    assert (found or {}).get("by") == by


def test_times_are_written_as_they_are_read():
    assert micro_time(1764000000.25) == "2025-11-24T16:00:00.250000Z" and read_time(micro_time(1764000000.25)) == 1764000000.25


def problem_of(kept):
    try:
        kept.check()
    except StackError as error:
        return error.message
    return ""


def wait_for(what, seconds=5.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
