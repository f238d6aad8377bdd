# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is told of a URL that is asked: one row a case."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.connect.http import HttpTarget
from ansible_collections.aiops.runbook.plugins.module_utils.model import StackError

SHOWN = [
    ("http://api:8000/v1/", "http://api:8000/v1", ""),
    ("http://u:planted@api:8000/?x=planted", "http://api:8000", "planted"),
    ("http://u:p%40w@api", "http://api", "p@w"),
    ("http://u:pl/anted@api", "http://***@api", "pl/anted"),
    ("http://u:12/planted@api/v1?x=1", "http://***@api/v1", "12/planted"),
    ("http://u:pl#an?ted@api", "http://***@api", "pl#an?ted"),
]


@pytest.mark.parametrize(("url", "shown", "password"), SHOWN)
def test_what_is_shown_of_a_url(url, shown, password):
    target = HttpTarget(url)
    assert (target.shown, target.password) == (shown, password)


@pytest.mark.parametrize(
    "url", ["http://u:pl/anted@api", "ftp://u:pl/anted@api", "ftp://u:planted@api", "http://u:planted@api:99999", "http://u:pl\u2100anted@api"]
)
def test_no_error_tells_the_password(url):
    with pytest.raises(StackError) as caught:
        HttpTarget(url).place()
    assert HttpTarget(url).password.startswith("pl"), "known, so that it can be hidden"
    assert "pl" not in caught.value.message and "anted" not in caught.value.message and caught.value.__cause__ is None
