# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A program that a test starts as a person would."""

from __future__ import annotations

import signal


def as_at_a_terminal() -> None:
    """For preexec_fn: whoever is run in the background ignores Ctrl-C, and so do those that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
