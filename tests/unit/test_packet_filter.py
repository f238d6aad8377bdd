# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which rule of a packet filter stops a packet: tables as iptables-save writes them."""

from __future__ import annotations

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.observe.packet_filter import Packet, blocking_rule

PORT = "-p tcp -m tcp --dport 5432 -j DROP"
OTHERS = "! -s 172.20.0.6/32 " + PORT
RESET = "-s 172.20.0.5/32 -j REJECT --reject-with tcp-reset"
PACKET = Packet("172.20.0.5", "172.20.0.3", 5432)
# Docker's own, as it stands on a host with two bridges.
DOCKER = """*nat
:PREROUTING ACCEPT [0:0]
[9:9] -A PREROUTING -p tcp --dport 5432 -j DROP
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD %s [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
[5:300] -A FORWARD -j DOCKER-USER
[5:300] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
[5:300] -A FORWARD -o br-0681dd1a2b3e -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[5:300] -A FORWARD -o br-0681dd1a2b3e -j DOCKER
[5:300] -A FORWARD -i br-0681dd1a2b3e -o br-0681dd1a2b3e -j ACCEPT
[1:60] -A DOCKER -d 172.20.0.9/32 ! -i br-0681dd1a2b3e -o br-0681dd1a2b3e -p tcp -m tcp --dport 80 -j ACCEPT
[0:0] -A DOCKER-ISOLATION-STAGE-1 -i br-0681dd1a2b3e ! -o br-0681dd1a2b3e -j DOCKER-ISOLATION-STAGE-2
[0:0] -A DOCKER-ISOLATION-STAGE-2 -o br-0681dd1a2b3e -j DROP
[0:0] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
%s
COMMIT
"""


def user(*rules, policy="DROP"):
    return DOCKER % (policy, "\n".join([*("[7:420] -A DOCKER-USER " + rule for rule in rules), "[9:540] -A DOCKER-USER -j RETURN"]))


def chain(*rules, policy="ACCEPT", name="INPUT"):
    return "*filter\n:%s %s [0:0]\n%s\nCOMMIT\n" % (name, policy, "\n".join("[3:180] -A %s %s" % (name, rule) for rule in rules))


CASES = [
    ("Docker alone", user(), "FORWARD", ""),
    ("a rule for this port", user(PORT), "FORWARD", "-A DOCKER-USER " + PORT),
    ("of this client", user(RESET), "FORWARD", "-A DOCKER-USER " + RESET),
    ("to this network", user("-d 172.20.0.0/16 -j DROP"), "FORWARD", "-A DOCKER-USER -d 172.20.0.0/16 -j DROP"),
    ("another port", user("-p tcp -m tcp --dport 6379 -j DROP"), "FORWARD", ""),
    ("another protocol", user("-p udp -m udp --dport 5432 -j DROP"), "FORWARD", ""),
    ("another client", user("-s 172.20.0.6/32 -j DROP"), "FORWARD", ""),
    ("all but this client", user(OTHERS), "FORWARD", "-A DOCKER-USER " + OTHERS),
    ("all but this port", user("-p tcp -m tcp ! --dport 5432 -j DROP"), "FORWARD", ""),
    ("a range", user("-p tcp -m multiport --dports 80,5000:6000 -j DROP"), "FORWARD", "-A DOCKER-USER -p tcp -m multiport --dports 80,5000:6000 -j DROP"),
    ("what is open already only", user("-p tcp -m conntrack --ctstate ESTABLISHED -j DROP"), "FORWARD", ""),
    ("what is new", user("-p tcp -m conntrack --ctstate NEW -m comment --comment \"no entry\" -j DROP"), "FORWARD",
     "-A DOCKER-USER -p tcp -m conntrack --ctstate NEW -m comment --comment \"no entry\" -j DROP"),
    ("let through before", user("-s 172.20.0.5/32 -j ACCEPT", PORT), "FORWARD", ""),
    ("another let through before", user("-s 172.20.0.7/32 -j ACCEPT", PORT), "FORWARD", "-A DOCKER-USER " + PORT),
    ("returned before", user("-s 172.20.0.5/32 -j RETURN", PORT), "FORWARD", ""),
    ("for a mark that nobody knows here", user("-m mark --mark 0x1 -j DROP"), "FORWARD", ""),
    ("at a rate that nobody knows here", user("-p tcp -m limit --limit 5/min -j ACCEPT", PORT), "FORWARD", "-A DOCKER-USER " + PORT),
    ("counted only", user("-p tcp -m tcp --dport 5432 -j LOG --log-prefix \"seen: \""), "FORWARD", ""),
    ("in a network of its own", chain(PORT), "INPUT", "-A INPUT " + PORT),
    ("in another chain", chain(PORT), "OUTPUT", ""),
    ("nobody is let in", chain(policy="DROP"), "INPUT", "-P INPUT DROP"),
    ("some are let in", chain("-p tcp -m tcp --dport 6379 -j ACCEPT", policy="DROP"), "INPUT", "-P INPUT DROP"),
    ("this one is let in", chain("-p tcp -m tcp --dport 5432 -j ACCEPT", policy="DROP"), "INPUT", ""),
    ("perhaps it is let in", chain("-i eth0 -j ACCEPT", policy="DROP"), "INPUT", ""),
    ("nothing at all", "", "INPUT", ""),
    ("damaged", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"half -j DROP\n-A INPUT -j\nCOMMIT", "INPUT", ""),
    ("a chain that calls itself", "*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n-A INPUT -j A\n-A A -j A\n-A A -j DROP\nCOMMIT", "INPUT", "-A A -j DROP"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "saved", "name", "rule"), CASES, ids=[case[0] for case in CASES])
def test_which_rule(what, saved, name, rule):
    found = blocking_rule(saved, PACKET, name)
    assert (found["rule"] if found else "") == rule


def test_how_many_packets_it_has_met():
    assert blocking_rule(user("-p tcp --dport 5432 -j DROP"), PACKET, "FORWARD")["packets"] == 7
    assert blocking_rule("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT", PACKET, "INPUT")["packets"] == 0
