# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_report
short_description: Write the report of a diagnosis and show its verdict
version_added: 0.1.0
author:
  - aiops.runbook contributors (@aiops)
description:
  - Takes the report of a diagnosis, shows its verdict on the terminal, and writes it as JSON, HTML, Markdown, JUnit and Prometheus metrics.
  - Each run gets the folder C(<report_dir>/<stack>/<time in UTC>/), in which all files appear at once; C(latest) beside it points at the last one.
  - The file C(<report_dir>/<stack>/status.json) tells the last attempt in a few words, and a verdict from a crash, which both end Ansible with status 2.
  - It compares with the report of the run before and says what is new, gone and still there.
  - It runs on the controller and needs no connection, so a stack that cannot be reached gets its report too.
  - What looks like a secret is masked before it is written, as a second net behind observations that hold none.
options:
  report:
    description:
      - The report of one stack, as the diagnosis returned it.
      - Exactly one of O(report), O(report_file) and O(crashed) is needed.
    type: dict
  report_file:
    description:
      - A JSON file on the controller with the report, compressed with gzip or not. A large one costs less so than through O(report).
    type: path
  record:
    description:
      - What was done to the stack before it was looked at, from M(aiops.runbook.stack_remediate); it becomes a part of the report.
    type: dict
  crashed:
    description:
      - The error of a run that ended without a verdict. Only C(status.json) of the stack is written, with C(exit_reason) V(crashed), and the task fails.
      - For the C(rescue) section of a block.
    type: str
  stack:
    description:
      - The name of the stack. Needed with O(crashed); otherwise the report has it.
    type: str
  report_dir:
    description:
      - Where reports are kept, a path on the controller relative to the current directory.
    type: path
    default: ./reports
  formats:
    description:
      - Which faces of the report are written. Without V(json) the next run has nothing to compare with.
    type: list
    elements: str
    choices: [json, html, md, xml, prom]
    default: [json, html, md, xml, prom]
  fail_on:
    description:
      - What makes the task fail, after the report was written and shown.
      - V(critical) means a critical finding, or the verdict V(down) or V(unknown).
      - V(warning) means also a warning, or the verdict V(degraded).
      - V(unknown) means also any check that could not be made.
      - V(never) only reports, whatever was found and whatever O(required_checks) says.
    type: str
    choices: [critical, warning, unknown, never]
    default: critical
  required_checks:
    description:
      - Finding ids, patterns or prefixes (V(postgres.lock_held), V(postgres.*), V(redis)) that must have been looked for.
      - The task fails when one of them could not be checked, or when no check of that name was made at all.
    type: list
    elements: str
    default: []
  lang:
    description:
      - The language of the report's own words. The findings come in the language of the diagnosis, which is also the default here.
    type: str
    choices: [en, zh-TW]
  keep:
    description:
      - How many runs of this stack are kept; older ones are removed. V(0) keeps all.
    type: int
    default: 50
  quiet:
    description:
      - Show one line for the stack instead of the whole verdict.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
    details:
      - Nothing on a target is ever touched. The report is the controller's own file and is written in check mode too.
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: none
  platform:
    description: Target operating systems the module can be used with.
    support: full
    platforms: all
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
    support: full
seealso:
  - name: The report
    description: The files of a report, the shape of the JSON, and the exit statuses.
    link: https://github.com/aiops/runbook/blob/main/docs/report.md
"""

EXAMPLES = r"""
- name: Report on a diagnosis
  aiops.runbook.stack_report:
    report: "{{ diagnosis.report }}"

- name: Fail the pipeline on any warning, and when the database could not be looked at
  aiops.runbook.stack_report:
    report_file: /var/tmp/shop-report.json.gz
    report_dir: /var/lib/aiops/reports
    fail_on: warning
    required_checks:
      - postgres.*
      - redis.*

- name: Leave a status behind when the run itself breaks
  block:
    - name: Diagnose
      ansible.builtin.import_role:
        name: aiops.runbook.diagnose
  rescue:
    - name: Say that there is no verdict
      aiops.runbook.stack_report:
        stack: "{{ inventory_hostname }}"
        crashed: "{{ ansible_failed_result.msg }}"
"""

RETURN = r"""
verdict:
  description: What the diagnosis said, V(healthy), V(degraded), V(down) or V(unknown).
  returned: always
  type: str
  sample: degraded
headline:
  description: The verdict in one sentence.
  returned: when a report was written
  type: str
exit_reason:
  description: Why the task failed or did not, V(passed), V(fail_on), V(required_checks), V(remediation) or V(crashed).
  returned: always
  type: str
  sample: fail_on
report_folder:
  description: The folder of this run.
  returned: when a report was written
  type: str
  sample: reports/shop/20261122T200310Z
report_paths:
  description: The path of each face that was written, by its format, of C(status.json) under V(status), and of the plan under V(plan) where there is one.
  returned: when a report was written
  type: dict
counts:
  description: >-
    How many critical, warning, info, findings, root_causes, unknown, ruled_out, new, fixed and persisting there are.
  returned: when a report was written
  type: dict
root_causes:
  description: The root causes, each with key, id, component, severity and title.
  returned: when a report was written
  type: list
  elements: dict
"""
