# SPDX-License-Identifier: MIT
"""Scenarios of the drop-in: stock xenstored, xenconsoled and xl, unmodified, on the hypervisor."""
import os
import re
import time

from system import ROOT, demand

# verb line, what its output or that of the check must contain, check command
STEPS = [
    ("xl list", "s2", None),
    ("xl list -l s2", "domid", None),
    ("xl domid s2", "", None),
    ("xl pause s2", "p", "xl list s2"),
    ("xl unpause s2", "", "xl list s2"),
    ("xl vcpu-list", "s2", None),
    ("xl vcpu-pin s2 0 1", " 1 / ", "xl vcpu-list s2"),
    ("xl vcpu-pin s2 all all", "", "xl vcpu-list s2"),
    ("xl mem-set s2 100", "", "sleep 2; xl list s2"),
    ("xl mem-set s2 128", "", "sleep 2; xl list s2"),
    ("xl mem-max s2 140", "", "xl list -l s2"),
    ("xl sched-credit2", "Cpupool", None),
    ("xl sched-credit2 -d s2 -w 512", "", "xl sched-credit2 -d s2"),
    ("xl cpupool-list", "Pool-0", None),
    ("xl uptime", "s2", None),
    ("xl info -n", "numa", None),
    ("xl dmesg", "", None),
    ("xl debug-keys q", "", None),
    ("xentop -b -i 1", "s2", None),
    ("xl rename s2 other", "other", "xl list"),
    ("xl rename other s2", "s2", "xl list"),
    ("xl trigger s2 nmi", "", None),
    ("xl sysrq s2 h", "", None),
    ("xenstore-ls /local/domain/$(xl domid s2)", "console", None),
]


# What `xl info` of stock Xen 4.17 says on this machine (2 CPUs, 2048 MB, dom0_mem=768M), as patterns for whole values.
STOCK_INFO = {
    "host": "dom0", "release": r"6\.1\.0-\d+-amd64", "version": r"#1 SMP PREEMPT_DYNAMIC Debian 6\.1\..*", "machine": "x86_64",
    "nr_cpus": "2", "max_cpu_id": "1", "nr_nodes": "1", "cores_per_socket": "2", "threads_per_core": "1",
    "cpu_mhz": r"\d{3,4}\.\d{3}", "hw_caps": r"1fcbf3fd(:[0-9a-f]{8}){7}", "virt_caps": "pv hvm hap gnttab-v1 gnttab-v2",
    "total_memory": r"204[0-9]", "free_memory": r"12\d\d", "sharing_freed_memory": "0", "sharing_used_memory": "0",
    "outstanding_claims": "0", "free_cpus": "0", "xen_major": "4", "xen_minor": "17", "xen_extra": r"\.\d+",
    "xen_version": r"4\.17\.\d+", "xen_caps": "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64",
    "xen_scheduler": "credit2", "xen_pagesize": "4096", "platform_params": "virt_start=0xffff800000000000", "xen_changeset": "",
    "xen_commandline": r"console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all dom0_mem=768M,max:768M",
    "cc_compiler": "x86_64-linux-gnu-gcc .*", "cc_compile_by": "pkg-xen-devel", "cc_compile_domain": r"lists\..*",
    "cc_compile_date": r"\w{3} \w{3} +\d+ [\d:]+ \w+ \d{4}", "build_id": "[0-9a-f]{32,40}", "xend_config_format": "4",
}
# What a listed field says here; a field that is listed and not here may say anything.
OUR_INFO = {
    "xen_extra": r"\.0-joist", "xen_version": r"4\.17\.0-joist", "xen_caps": "xen-3.0-x86_64", "virt_caps": "pv gnttab-v1",
    "free_memory": r"1[0-3]\d\d", "hw_caps": "[0-9a-f]{8}(:[0-9a-f]{8}){7}", "xen_changeset": r"joist [\d.]+",
    "cc_compile_by": "joist", "build_id": "",
}
LIST = r"Name +ID +Mem VCPUs\tState\tTime\(s\)\nDomain-0 +0 +768 +2 +r----- +\d+\.\d\n"


def listed_fields():
    """The fields of `xl info` that may differ, from the table of docs/control-abi.md."""
    with open(os.path.join(ROOT, "docs", "control-abi.md"), encoding="utf-8") as f:
        rows = re.findall(r"^\| `xl info` ([^|]+)\|", f.read(), re.M)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def compare_info(text, is_joist):
    """Each field of `xl info` beside stock Xen's: the same fields, the same values but for the listed ones."""
    fields = {}
    for line in text.strip().splitlines():
        name, colon, value = line.partition(":")
        demand(colon, "`xl info` has a line of no field: %r" % line)
        fields[name.strip()] = value.strip()
    listed = listed_fields()
    wrong = ["no field %s" % name for name in sorted(set(STOCK_INFO) - set(fields))]
    wrong += ["field %s is not stock Xen's" % name for name in sorted(set(fields) - set(STOCK_INFO))]
    wrong += ["%s is listed, and there is no such field" % name for name in sorted(listed - set(STOCK_INFO))]
    for name in sorted(set(fields) & set(STOCK_INFO)):
        may_differ = is_joist and name in listed
        want = OUR_INFO.get(name, ".*") if may_differ else STOCK_INFO[name]
        if not re.fullmatch(want, fields[name]):
            wrong.append("%s: %r, want %r" % (name, fields[name], want))
    demand(not wrong, "`xl info`: " + "; ".join(wrong))
    return "%d fields as on stock Xen, %d listed" % (len(set(fields) - listed), len(listed))


def boot(h, _args):
    """The commands of the toolstack on an idle host; what they say differs from stock Xen in what is listed."""
    for line in ("xl info", "xl list", "xl dmesg", "xenstore-ls /local/domain/0", "cat /proc/xen/capabilities"):
        rc, out = h.cmd(line)
        demand(rc == 0, "`%s` ended with %d: %s" % (line, rc, out[-300:]))
    demand("control_d" in out, "capabilities are %r" % out)
    said = compare_info(h.sh("xl info"), h.is_joist)
    out = h.sh("xl list")
    demand(re.fullmatch(LIST, out.lstrip("\n")), "`xl list` says %r" % out)
    lines = [x for x in h.sh("xl dmesg").splitlines() if x.strip()]
    mark = "(JOIST) " if h.is_joist else "(XEN) "
    bad = [x for x in lines[1:] if not x.startswith(mark)]      # of a full ring the first line may be a part
    demand(len(lines) > 5 and not bad, "`xl dmesg` has lines without %s: %r" % (mark, bad[:3]))
    return said


def domu_create(h, _args):
    """Create with 1 and 2 vCPUs, console, destroy; create, shutdown."""
    times = []
    for n in (1, 2, 1):
        t = time.monotonic()
        h.create("s", "vcpus=%d" % n)
        out = h.on_console("s", "grep -c ^processor /proc/cpuinfo")
        times.append(time.monotonic() - t)
        demand(re.search(r"(?m)^%d$" % n, out[0]), "not %d vCPUs: %r" % (n, out[0]))
        h.must("xl list")
        h.must("xl destroy s")
    h.create("s")
    h.on_console("s", "true")
    h.must("xl shutdown -w s", 90)
    h.must("xl list; xl info; xl dmesg")
    return "to the console and back in %s s" % "/".join("%.1f" % t for t in times)


def lifecycle(h, _args):
    """A table of verbs; those that fail are named with the call that is missing."""
    h.create("s2", "vcpus=2")
    h.on_console("s2", "true")
    bad = []
    for line, want, check in STEPS:
        rc, out = h.cmd(line, 60)
        if check:
            out += h.sh(check)
        ok = rc == 0 and want in out
        print("  %-48s %s" % (line, "ok" if ok else "FAILED (%d): %s" % (rc, " ".join(out.split())[-200:])), flush=True)
        if not ok:
            bad.append(line)
    h.must("xl destroy s2")
    demand(not bad, "%d of %d failed: %s" % (len(bad), len(STEPS), "; ".join(bad)))
    return "%d verbs" % len(STEPS)
