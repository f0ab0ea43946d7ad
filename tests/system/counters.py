# SPDX-License-Identifier: MIT
"""Scenario of the hypervisor's counters: what a guest's traffic costs in grants, flushes and events."""
import re

import networks
from system import Skip, demand

COUNTERS = ("grant_maps", "grant_unmaps", "grant_unmap_calls", "grant_unmap_flushes", "grant_copies", "events_sent")


def counted(h, source, target):
    """What one transfer of checked bytes counts."""
    h.must_tool("info --counters --reset")
    networks.ok(h, "tcp", source, target, 8 * networks.MB)
    out = {name: int(n) for name, n in re.findall(r"(\w+) *: (\d+)", h.must_tool("info --counters"))}
    missing = [name for name in COUNTERS if name not in out]
    demand(not missing, "`info --counters` lacks %s" % missing)
    return out


def unmaps(h, _args):
    """Back ends unmap in batches: at most one flush for each call that unmaps, and none for pages that nobody looked at."""
    if not h.is_joist or h.tools != "joist":
        raise Skip("counters are those of joist")
    networks.guest_up(h, "n1")
    networks.guest_up(h, "n2")
    said = []
    for source, target in (("n1", None), ("n1", "n2")):
        c = counted(h, source, target)
        name = "%s>%s" % (source, target or "dom0")
        demand(c["grant_unmaps"] > 500, "%s: only %d grants were unmapped" % (name, c["grant_unmaps"]))
        demand(c["grant_unmap_calls"] <= c["grant_unmaps"], "%s: %r" % (name, c))
        demand(c["grant_unmap_flushes"] <= c["grant_unmap_calls"], "%s: more flushes than calls: %r" % (name, c))
        said.append("%s: %s" % (name, ", ".join("%d %s" % (c[x], x) for x in COUNTERS)))
    # the control domain passes the frames on without reading their data
    demand(c["grant_unmap_flushes"] * 4 < c["grant_unmap_calls"], "n1>n2: flushes for pages that nobody looked at: %r" % c)
    return "; ".join(said)
