# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a module returns packed arrives whole, and its options without their secrets."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.aiops.runbook.plugins.module_utils.pack import exit_packed, unpack


@pytest.mark.parametrize("password", ["1", "app", "postgres", "Zx9-planted", "False"])
def test_a_password_that_stands_in_the_packed_text_by_chance(password, capsys):
    document = {"numbers": [str(number * 7919) for number in range(3000)], "app": "postgres"}
    with patch_module_args({"login_password": password}):
        module = basic.AnsibleModule({"login_password": {"type": "str", "no_log": True}})
        with pytest.raises(SystemExit):
            exit_packed(module, {"answer": document}, reason="said by %s" % password)
    told = json.loads(capsys.readouterr().out)
    assert told["changed"] is False and unpack(told["answer"]) == document
    assert told["invocation"]["module_args"]["login_password"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    assert password not in told["reason"]
