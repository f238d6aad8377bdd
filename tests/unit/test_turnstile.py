"""How many may be at one server at once."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect import turnstile
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(turnstile.tempfile, "gettempdir", lambda: str(tmp_path))


def test_no_more_than_the_seats_at_once():
    inside, most = [], []
    lock = threading.Lock()

    def visit():
        with turnstile.turn("db:5432", 10):
            with lock:
                inside.append(1)
                most.append(len(inside))
            time.sleep(0.02)
            with lock:
                inside.pop()

    visitors = [threading.Thread(target=visit) for _number in range(20)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert len(most) == 20
    assert max(most) == turnstile.SEATS


def test_another_server_has_seats_of_its_own_and_a_full_one_says_so():
    held = [turnstile.turn("db:5432", 1) for _seat in range(turnstile.SEATS)]
    for seat in held:
        seat.__enter__()
    with turnstile.turn("other:5432", 0.1):
        pass
    with pytest.raises(StackError) as error, turnstile.turn("db:5432", 0.1):
        pass
    assert error.value.kind == "crowded"
    held[0].__exit__(None, None, None)
    with turnstile.turn("db:5432", 0.1):
        pass


def test_a_look_that_takes_long_leaves_its_seat_to_others(monkeypatch):
    monkeypatch.setattr(turnstile, "LOOKS", 1)
    monkeypatch.setattr(turnstile.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(turnstile, "BUSY_SECONDS", 0.3)
    came = []

    def short():
        with turnstile.look():
            came.append(time.monotonic())

    with turnstile.look():
        began = time.monotonic()
        other = threading.Thread(target=short)
        other.start()
        time.sleep(0.6)
        assert len(came) == 1
    other.join()
    assert 0.25 <= came[0] - began < 0.55
    began = time.monotonic()
    short()
    assert came[1] - began < 0.1
