#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py [--efi IMAGE|xen] [--tools joist|stock] [--long] [NAME...]: the Linux scenarios, one verdict line each.

A scenario is a function of the modules below, listed in a group with the machine it wants; the
scenarios of a group share one boot, unless one fails: then the next gets a fresh machine.
"""
import argparse
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import system  # noqa: E402
from system import harness, image  # noqa: E402
import blocks  # noqa: E402
import backends  # noqa: E402
import attacks  # noqa: E402
import boots  # noqa: E402
import commands  # noqa: E402
import counters  # noqa: E402
import daemons  # noqa: E402
import debians  # noqa: E402
import devices  # noqa: E402
import dropin  # noqa: E402
import guests  # noqa: E402
import networks  # noqa: E402
import runs  # noqa: E402
import screens  # noqa: E402
import shown  # noqa: E402
import wrappings  # noqa: E402
import images  # noqa: E402

# Groups and scenarios of the long form only: `commands` walks the whole command table of tests/cli on a real control domain.
LONG_ONLY = ("attacks-long", "backends.killed", "commands", "installed", "networks.guest_memory", "runs")

# group: (arguments of system.Host, or None for scenarios that boot by themselves; the scenarios)
GROUPS = [
    ("guests", {}, [guests.info, guests.vcpus, guests.pause, guests.cycles, guests.misbehaving, guests.bad_configs]),
    ("commands", {"share": commands.SHARE, "cmdline": "joist.share"}, [commands.commands]),
    ("daemons", {}, [daemons.kill_each, daemons.kernel_ring_survives, daemons.console_survives]),
    ("attacks", {"smp": 4}, attacks.ALL),
    ("attacks-1cpu", {"smp": 1}, attacks.ONE_CPU),
    ("attacks-long", {"smp": 2, "mem": 3072}, [attacks.big_trees]),
    ("networks", {"extra": networks.machine_args}, networks.ALL[:1] + [counters.unmaps] + networks.ALL[1:]),
    ("devices", {"extra": lambda: system.device_args() + system.express_args(), "vga": True},
     [devices.disks, devices.partitions, devices.virtual_functions, devices.network, devices.efi_variables, devices.clock, devices.screen, devices.reboot]),
    ("blocks", {"ramdisk": os.path.join(system.IMAGE, "disks.ird")},
     [blocks.files, blocks.refused, blocks.plugging, blocks.images, blocks.killed, blocks.reboots, blocks.bad_front, blocks.under_io]),
    ("backends", {"ramdisk": os.path.join(system.IMAGE, "disks.ird"), "extra": backends.machine_args, "share": backends.SHARE,
                  "cmdline": "joist.share"}, backends.ALL),
    ("dropin", {"tools": "stock"}, [dropin.boot, dropin.domu_create, dropin.lifecycle]),
    ("wrappings", {"share": wrappings.SHARE, "cmdline": "joist.share"}, [wrappings.whole, wrappings.damaged]),
    ("screens", {"extra": screens.machine_args, "share": screens.SHARE, "cmdline": "joist.share"},
     [screens.picture, screens.survives, screens.refused, screens.channels]),
    ("images", {"share": images.SHARE, "cmdline": "joist.share"},
     [images.run_command, images.run_ends, images.extracted, images.pv_grub]),
    ("installed", None, [debians.installed_dom0, debians.from_disk, debians.destroyed, debians.new_kernel,
                         debians.user_build]),
    ("boots", None, [boots.one_cpu, boots.guarded, boots.old_board, boots.four_cpus_6g, boots.eight_cpus, boots.sixteen_gb, boots.dom0_kernels,
                     boots.damaged_kernels, boots.cloud_kernel]),
    ("runs", None, [runs.terminal, runs.wrong_kernel, runs.sizes]),
]


def verdict(name, kind, text, secs):
    print("TEST %s %s %s (%.1f s)" % (name, kind, " ".join(str(text).split())[:900], secs), flush=True)


def run_one(scenario, args, host):
    """Runs one scenario; returns (True if it has not failed, True if the machine is fit for the next)."""
    name = "%s.%s" % (scenario.__module__, scenario.__name__)
    t = time.monotonic()
    try:
        text = scenario(host, args)
        verdict(name, "PASS", text or "", time.monotonic() - t)
        return True, host is None or host.p.poll() is None
    except system.Skip as e:
        verdict(name, "SKIP", e, time.monotonic() - t)
        return True, True
    except (system.Wrong, harness.Timeout, harness.Ended, RuntimeError, image.ImageError) as e:
        verdict(name, "FAIL", e, time.monotonic() - t)
    except Exception as e:
        traceback.print_exc()
        verdict(name, "FAIL", "%s: %s" % (type(e).__name__, e), time.monotonic() - t)
    return False, False


def boot(name, machine, args):
    opts = dict(machine)
    opts = {k: v() if callable(v) else v for k, v in opts.items()}
    opts.setdefault("tools", args.tools)
    host = system.Host("system-" + name, args.efi, **opts)
    try:
        return host.up()
    except BaseException:
        host.close()
        raise


def run_group(name, machine, scenarios, args):
    host, bad = None, 0
    for scenario in scenarios:
        if machine is not None and host is None:
            t = time.monotonic()
            try:
                host = boot(name, machine, args)
            except (system.Wrong, harness.Timeout, harness.Ended) as e:
                verdict("%s.%s" % (scenario.__module__, scenario.__name__), "FAIL", "no boot: %s" % e,
                        time.monotonic() - t)
                bad += 1
                continue
        ok, is_fit = run_one(scenario, args, host)
        bad += not ok
        if host and not is_fit:
            host.close()
            host = None
    if host:
        host.close()
    return bad


def names_of(group, scenario):
    """What a scenario may be called by: its group, its place there, the name in its verdict."""
    return {group, "%s.%s" % (group, scenario.__name__), "%s.%s" % (scenario.__module__, scenario.__name__)}


def is_wanted(args, group, scenario):
    names = names_of(group, scenario)
    if args.names:
        return bool(names & set(args.names))
    return args.long or not names & set(LONG_ONLY)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--efi", default=harness.default_efi())
    p.add_argument("--tools", default="joist", choices=("joist", "stock"))
    p.add_argument("--long", action="store_true")
    p.add_argument("names", nargs="*", metavar="NAME", help="groups or scenarios")
    args = p.parse_args()
    nowhere = set(args.names).difference(*(names_of(name, s) for name, _, group in GROUPS for s in group))
    if nowhere:
        p.error("no group or scenario: " + " ".join(sorted(nowhere)))
    args.efi = image.stock_efi() if args.efi == "xen" else args.efi
    unknown = shown.missing("%s.%s" % (s.__module__, s.__name__) for _, _, group in GROUPS for s in group)
    bad = len(unknown)
    if unknown:
        verdict("system.shown", "FAIL", "tests/system/shown.py names what does not exist: %s" % " ".join(unknown), 0)
    try:
        image.make("kernels", "guest", "driver", "dom0", "stock", "disks")
    except image.ImageError as e:
        print("TEST system.images FAIL %s" % e)
        sys.exit(1)
    for name, machine, scenarios in GROUPS:
        chosen = [s for s in scenarios if is_wanted(args, name, s)]
        if chosen:
            bad += run_group(name, machine, chosen, args)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
