#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lint.py [--results FILE] [CHECK...]: the rules that the source must keep. One verdict line per check."""
import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from source import ROOT, bare, files, functions, read  # noqa: E402

FILE_MAX, FUNCTION_MAX, NESTING_MAX, PARAMETERS_MAX, COLUMNS_MAX = 800, 80, 4, 6, 100
IFS_PER_1000 = 0.5

# The layers: for each directory, the directories whose headers it may include. "" stands for the directory itself.
CORE_LOW = ["xen-core/abi", "xen-core/lib", "xen-core/port"]
CORE_2 = CORE_LOW + ["xen-core/base"]
CORE_3 = CORE_2 + ["xen-core/mm"]
CORE_4 = CORE_3 + ["xen-core/domain", "xen-core/sched"]
CORE_5 = CORE_4 + ["xen-core/evtchn", "xen-core/gnttab", "xen-core/irq"]
CORE_ALL = CORE_5 + ["xen-core/hcall", "xen-core/ctl", "xen-core/start"]
X86_CPU = ["arch/x86_64/cpu"]
LAYERS = {
    "xen-core/abi": [],
    "xen-core/lib": ["xen-core/abi"],
    "xen-core/port": ["xen-core/abi", "xen-core/lib", "xen-core/mm/addr.h", "xen-core/mm/frame.h",
                      "xen-core/base/cpumask.h"],
    "xen-core/base": CORE_LOW,
    "xen-core/mm": CORE_2,
    "xen-core/domain": CORE_3 + ["xen-core/sched"],
    "xen-core/sched": CORE_3 + ["xen-core/domain"],
    "xen-core/evtchn": CORE_4,
    "xen-core/gnttab": CORE_4,
    "xen-core/irq": CORE_4 + ["xen-core/evtchn"],
    "xen-core/hcall": CORE_ALL,
    "xen-core/ctl": CORE_ALL,
    "xen-core/start": CORE_ALL,
    "drivers": ["xen-core/abi", "xen-core/lib", "xen-core/port", "xen-core/base", "drivers"],
    "arch/x86_64/cpu": ["xen-core/abi", "xen-core/lib", "xen-core/mm/addr.h"],
    "arch/x86_64/guest": CORE_ALL + X86_CPU,
    "arch/x86_64/hw": CORE_ALL + X86_CPU + ["drivers", "arch/x86_64/guest"],
    "arch/x86_64": CORE_ALL + X86_CPU + ["drivers", "arch/x86_64/hw", "arch/x86_64/guest"],
    "arch/efi": ["xen-core/abi", "xen-core/lib", "xen-core/start/boot_info.h", "arch/efi"],
    "dom0-tools": ["xen-core/abi", "xen-core/lib", "dom0-tools"],
}
# Up-calls that the design names: an includer and the one header it may reach above its layer.
NAMED_UPCALLS = {
    ("xen-core/base", "evtchn/evtchn.h"), ("xen-core/domain", "evtchn/evtchn.h"), ("xen-core/sched", "evtchn/evtchn.h"),
    ("xen-core/domain", "gnttab/gnttab.h"), ("xen-core/domain", "irq/rights.h"), ("xen-core/domain", "irq/pirq.h"),
    # the result HC_AGAIN, the row of a table, and arguments
    ("xen-core/mm", "hcall/hcall.h"), ("xen-core/domain", "hcall/hcall.h"), ("xen-core/sched", "hcall/hcall.h"),
    ("xen-core/evtchn", "hcall/hcall.h"), ("xen-core/gnttab", "hcall/hcall.h"), ("xen-core/irq", "hcall/hcall.h"),
    # the machine's part of a domain and of a vcpu is embedded in them
    ("xen-core/domain", "cpu/arch_types.h"),
    # ports bound to interrupts
    ("xen-core/evtchn", "irq/pirq.h"),
    # options and the boot memory map are read where they count
    ("xen-core/domain", "start/cmdline.h"), ("xen-core/sched", "start/cmdline.h"), ("xen-core/base", "start/cmdline.h"),
    ("xen-core/mm", "start/boot_info.h"), ("xen-core/mm", "start/cmdline.h"),
    # a frame's owner: its counts and its list
    ("xen-core/mm", "domain/domain.h"),
}
GENERATED = {"config.h", "version.h", "port_inline.h"}
ROOTS = ["xen-core", "arch/x86_64", "", "dom0-tools"]

PRIVATE = re.compile(r"/[w]ork/|/[t]mp/(?:[h]ub|w/|[l]ab|[b]rief|[s]lot)|registry\.|\bnexus\b|\bartifactory\b")
C_NAMES = (".c", ".h")
SOURCE_NAMES = (".c", ".h", ".S", ".py", ".sh", ".mk", ".lds", "Makefile", "Kconfig")


def c_files():
    return [f for f in files() if f.endswith(C_NAMES)]


def room_of(name):
    """The directory of the layer table that a file belongs to, or None."""
    best = None
    for room in LAYERS:
        if name.startswith(room + "/") and (best is None or len(room) > len(best)):
            best = room
    return best


def resolve(name, target, tree):
    """The project's file that an include names, or None for a system header."""
    for root in ROOTS:
        path = os.path.normpath(os.path.join(root, target))
        if path in tree:
            return path
    beside = os.path.normpath(os.path.join(os.path.dirname(name), target))
    return beside if beside in tree else None


def check_layers():
    tree = set(files())
    for name in c_files():
        room = room_of(name)
        if room is None:
            continue
        for i, line in enumerate(read(name).split("\n"), 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not m or m.group(1) in GENERATED:
                continue
            path = resolve(name, m.group(1), tree)
            if path is None:
                yield f"{name}:{i}: {m.group(1)} does not exist"
                continue
            allowed = LAYERS[room] + [room]
            ok = any(path == a or path.startswith(a + "/") for a in allowed)
            if path.startswith("arch/host/") or path.startswith("tests/"):
                ok = False
            if not ok and (room, m.group(1)) not in NAMED_UPCALLS:
                yield f"{name}:{i}: {room} may not include {m.group(1)}"


def check_size():
    for name in c_files():
        text = read(name)
        if text.count("\n") > FILE_MAX and not name.startswith("tests/"):
            yield f"{name}: {text.count(chr(10))} lines, at most {FILE_MAX}"
        if not name.endswith(".c") or name.startswith("tests/"):
            continue
        for function, line, length, nesting, params in functions(text):
            if length > FUNCTION_MAX:
                yield f"{name}:{line}: {function} has {length} lines, at most {FUNCTION_MAX}"
            if nesting > NESTING_MAX:
                yield f"{name}:{line}: {function} is nested {nesting} deep, at most {NESTING_MAX}"
            if params > PARAMETERS_MAX:
                yield f"{name}:{line}: {function} has {params} parameters, at most {PARAMETERS_MAX}"


def check_budget():
    table = re.findall(r"^\| (`[^|]+`) \| (\d+) \|", read("docs/budget.md"), re.M)
    if not table:
        yield "docs/budget.md has no table"
    for names, ceiling in table:
        rooms, most = names.replace("`", ""), int(ceiling)
        total = sum(read(n).count("\n") for n in files() if n.endswith((".c", ".h", ".S")) and
                    any(n.startswith(r + "/") for r in rooms.split()))
        print(f"    {rooms.split()[0] + (' …' if ' ' in rooms else ''):24} {total:6} of {most}")
        if total > most:
            yield f"{rooms}: {total} lines, at most {most}"


def check_ifdef():
    count = lines = 0
    where = []
    for name in c_files():
        if name.startswith("tests/") or "/hw/" in name or name.endswith("abi/errno.h"):
            continue
        text = bare(read(name))
        lines += text.count("\n")
        for i, line in enumerate(text.split("\n"), 1):
            if re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b", line):
                count += 1
                where.append(f"{name}:{i}: {line.strip()}")
    if count > IFS_PER_1000 * lines / 1000:
        yield f"{count} conditionals in {lines} lines, at most {IFS_PER_1000} per 1000: " + "; ".join(where)


def check_style():
    for name in files():
        if not name.endswith(SOURCE_NAMES) and not name.startswith(("scripts/", ".ci/")):
            continue
        text = read(name)
        lines = text.split("\n")
        if "SPDX-License-Identifier: MIT" not in "\n".join(lines[:2]):
            yield f"{name}:1: no SPDX line"
        if name.endswith(C_NAMES + (".S",)) and len(lines) > 1 and not lines[1].startswith("/*"):
            yield f"{name}:2: the file does not say what it is"
        tabular = False
        for i, line in enumerate(lines, 1):
            if "clang-format o" in line:
                tabular = "clang-format off" in line
            if line != line.rstrip():
                yield f"{name}:{i}: blanks at the end of the line"
            if "\t" in line and not name.endswith((".mk", "Makefile", "Kconfig")):
                yield f"{name}:{i}: tab"
            if len(line) > COLUMNS_MAX + 10 * tabular and name.endswith(C_NAMES):
                yield f"{name}:{i}: {len(line)} columns"
            if PRIVATE.search(line) and name != "tests/lint/lint.py":
                yield f"{name}:{i}: names a private place: {line.strip()[:60]}"
        if name.endswith(".h") and "#pragma once" not in text and not name.endswith(("lock_order.h", "hidden.h")) \
                and "/abi/" not in name:
            yield f"{name}: no #pragma once"
        if name.endswith(C_NAMES):
            plain = re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/', lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
            for i, line in enumerate(plain.split("\n"), 1):
                if "//" in line:
                    yield f"{name}:{i}: // comment"


def check_asm():
    for name in c_files():
        if "/hw/" in name or name.startswith(("tests/", "arch/host/")):
            continue
        for i, line in enumerate(bare(read(name)).split("\n"), 1):
            if re.search(r"\b(__asm__|asm)\b\s*(volatile|__volatile__|\()", line):
                yield f"{name}:{i}: inline assembly outside hw/"


def check_format():
    names = [n for n in c_files() if os.path.basename(n) != "lock_order.h"]
    try:
        for i in range(0, len(names), 60):
            done = subprocess.run(["clang-format", "--dry-run", "--Werror", *names[i:i + 60]], cwd=ROOT,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            for line in done.stdout.decode(errors="replace").split("\n"):
                m = re.match(r"(\S+?):(\d+):\d+: error", line)
                if m:
                    yield f"{m.group(1)}:{m.group(2)}: not in the form of clang-format (make format)"
    except FileNotFoundError:
        yield "clang-format is missing: run scripts/setup"


def check_python():
    names = [n for n in files() if n.endswith(".py")]
    try:
        done = subprocess.run(["pyflakes3", *names], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        yield from done.stdout.decode(errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        yield "pyflakes3 is missing: run scripts/setup"


def check_locks():
    header = {}
    if not os.path.exists(os.path.join(ROOT, "xen-core/base/lock_order.h")):
        yield "xen-core/base/lock_order.h is missing"
        return
    for m in re.finditer(r"LOCK_CLASS\((\d+),\s*(\w+),\s*(\d),\s*(\d)\)", bare(read("xen-core/base/lock_order.h"))):
        header[m.group(2)] = (m.group(1), m.group(3))
    ranks = [int(r) for r, _ in header.values()]
    if ranks != sorted(set(ranks)):
        yield "xen-core/base/lock_order.h: ranks do not rise"
    if not os.path.exists(os.path.join(ROOT, "docs/locking.md")):
        yield "docs/locking.md is missing"
        return
    table = {}
    for m in re.finditer(r"^\|\s*(\d+)\s*\|\s*`?(\w+)`?\s*\|([^\n]*)$", read("docs/locking.md"), re.M):
        table[m.group(2)] = (m.group(1), "1" if re.search(r"\|\s*yes\s*\|", "|" + m.group(3)) else "0")
    for name in sorted(set(header) | set(table)):
        if header.get(name) != table.get(name):
            yield f"lock {name}: header says {header.get(name)}, docs/locking.md {table.get(name)}"


ROW = re.compile(r"^\s*\[\s*(\w+)[^\]]*\]\s*=\s*\{\s*\.?(?:name\s*=\s*)?\"\"\s*,\s*(?:\.\w+\s*=\s*)?(\w+)", re.M)


def table_rows():
    """Every row of a hypercall or sub-operation table: file, number's name, handler."""
    for name in c_files():
        if not name.startswith(("xen-core/", "arch/x86_64/")) or not name.endswith(".c"):
            continue
        text = bare(read(name))
        for table in re.finditer(r"const struct (?:hcall_row|subop_row|ctl_row|domctl_row|sysctl_row|mem_row)\s+\w+\[[^\]]*\]\s*=\s*\{"
                                 r"(.*?)^\};", text, re.S | re.M):
            for row in ROW.finditer(table.group(1)):
                yield name, row.group(1), row.group(2)


def check_hypercalls():
    if not os.path.exists(os.path.join(ROOT, "docs/hypercalls.md")):
        yield "docs/hypercalls.md is missing"
        return
    doc = read("docs/hypercalls.md")
    documented = set(re.findall(r"\b\w+\b", "\n".join(x for x in doc.split("\n") if x.startswith("|"))))
    rows = list(table_rows())
    if not rows:
        yield "no hypercall table found"
    for name, number, handler in rows:
        if number not in documented:
            yield f"{name}: {number} has no row in docs/hypercalls.md"
        elif handler not in documented and handler != "NULL":
            yield f"{name}: {number}: docs/hypercalls.md does not name the handler {handler}"


# Families of sub-operations: the public header, the names (a pattern) and where in the header they stand.
PUBLIC = [("xen.h", r"__HYPERVISOR_\w+", None), ("xen.h", r"MMUEXT_\w+", None), ("xen.h", r"MMU_\w+", None),
          ("xen.h", r"CONSOLEIO_\w+", None), ("xen.h", r"VMASST_\w+", None), ("memory.h", r"XENMEM_[a-z]\w+", None),
          ("version.h", r"XENVER_\w+", None), ("vcpu.h", r"VCPUOP_[a-z]\w+", None), ("sched.h", r"SCHEDOP_\w+", None),
          ("event_channel.h", r"EVTCHNOP_\w+", None), ("grant_table.h", r"GNTTABOP_\w+", None),
          ("physdev.h", r"PHYSDEVOP_[a-z]\w+", None), ("platform.h", r"XENPF_[a-z]\w+", None),
          ("callback.h", r"CALLBACKOP_\w+", None), ("nmi.h", r"XENNMI_[a-z]\w+_callback", None),
          ("arch-x86/xen-x86_64.h", r"SEGBASE_\w+", None), ("domctl.h", r"XEN_DOMCTL_[a-z]\w+", "struct xen_domctl {"),
          ("sysctl.h", r"XEN_SYSCTL_[a-z]\w+", "struct xen_sysctl {")]
SUB_SUB = re.compile(r"XENMEM_\w+_op_|XENMEM_resource_")
HEADERS = os.environ.get("PUBLIC_HEADERS", "/usr/include/xen") + "/"  # elsewhere only in tests of this program
CALL_ROW = re.compile(r"^\| (\d+) `(\w+)` \|(.*)\|$", re.M)


def public_names():
    """Every call and sub-operation of the public headers: name -> number."""
    for header, pattern, where in PUBLIC:
        with open(HEADERS + header, encoding="utf-8") as f:
            text = f.read()
        if where:
            text = text[text.index("uint32_t cmd;", text.index(where)):]
            text = text[:text.index("interface_version")]
        for m in re.finditer(r"^#define[ \t]+(%s)[ \t]+(\d+)\b" % pattern, text, re.M):
            if not SUB_SUB.match(m.group(1)):
                yield m.group(1), int(m.group(2))


def missing_tests(cell):
    """Names in a cell of the tests' column that are no test of ours."""
    for name in re.findall(r"`(\w+)`", cell):
        place = "tests/fuzz/" if name.startswith("fuzz_") else "tests/unit/"
        if not os.path.exists(os.path.join(ROOT, place + name + ".c")):
            yield name
    for guests in re.findall(r"guests? ([\w, -]+)", cell):
        for name in guests.split(","):
            if not os.path.exists(os.path.join(ROOT, "tests/guests", name.strip(), "main.c")):
                yield name.strip()


def check_calls():
    if not os.path.exists(HEADERS):
        yield "the public headers are missing: run scripts/setup"
        return
    functions_of = "\n".join(read(n) for n in c_files() if n.startswith(("xen-core/", "arch/x86_64/")) and n.endswith(".c"))
    defined = set(re.findall(r"^(?:static )?(?:int64_t|int|bool) (\w+)\(", functions_of, re.M))
    rows = {}
    for number, name, cells in CALL_ROW.findall(read("docs/hypercalls.md")):
        cells = [c.strip() for c in cells.split("|")]
        rows[name] = int(number)
        if len(cells) != 5 or not all(cells):
            yield f"docs/hypercalls.md: {name}: a cell is missing or empty"
            continue
        handler = re.fullmatch(r"`(\w+)`", cells[0])
        if not handler and not re.fullmatch(r"refused: `-E\w+`", cells[0]):
            yield f"docs/hypercalls.md: {name}: neither a handler nor an error: {cells[0]}"
        if handler and handler.group(1) not in defined:
            yield f"docs/hypercalls.md: {name}: there is no function {handler.group(1)}"
        for test in missing_tests(cells[4]):
            yield f"docs/hypercalls.md: {name}: there is no test {test}"
    for name, number in public_names():
        if name not in rows:
            yield f"docs/hypercalls.md: {name} ({number}) of the public headers has no row"
        elif rows[name] != number:
            yield f"docs/hypercalls.md: {name} is {number}, not {rows[name]}"
    refused = set(re.findall(r"`(\w+)` \| refused:", read("docs/hypercalls.md")))
    for name, number, handler in table_rows():
        if number in refused and handler != "NULL":
            yield f"{name}: {number} has a handler, docs/hypercalls.md says that it is refused"


def check_advisories():
    name = "docs/advisories.md"
    rows = 0
    for i, line in enumerate(read(name).split("\n"), 1):
        m = re.match(r"\| ([\d ]+) \|(.*)\|$", line)
        if not m:
            continue
        rows += 1
        cells = [c.strip() for c in m.group(2).split("|")]
        if len(cells) != 3 or not all(cells) or cells[1] not in ("impossible", "tested", "mitigated"):
            yield f"{name}:{i}: what, verdict and why are wanted"
        elif cells[1] == "tested" and not re.search(r"`(?:test_|fuzz_|make |tests/)|guest |attack |system |UBSan", cells[2]):
            yield f"{name}:{i}: tested by what?"
        for test in missing_tests(" ".join(re.findall(r"`(?:test|fuzz)_\w+`", cells[-1]))):
            yield f"{name}:{i}: there is no test {test}"
        for kind, place in (("attack", "attack/"), ("guest", "")):
            for guest in re.findall(rf"\b{kind} ([\w-]+)", cells[-1]):
                if not os.path.exists(os.path.join(ROOT, "tests/guests", place + guest, "main.c")):
                    yield f"{name}:{i}: there is no {kind} {guest}"
    if not rows:
        yield f"{name} has no table"


def check_abi():
    script = os.path.join(ROOT, "tests/lint/abi_complete.py")
    done = subprocess.run([sys.executable, script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        yield from done.stdout.decode(errors="replace").strip().split("\n")


CHECKS = {
    "layers": check_layers,
    "size": check_size,
    "budget": check_budget,
    "ifdef": check_ifdef,
    "style": check_style,
    "asm": check_asm,
    "format": check_format,
    "python": check_python,
    "locks": check_locks,
    "hypercalls": check_hypercalls,
    "calls": check_calls,
    "advisories": check_advisories,
    "abi": check_abi,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results")
    parser.add_argument("checks", nargs="*")
    args = parser.parse_args()
    rows = []
    for name in args.checks or CHECKS:
        problems = list(CHECKS[name]())
        print(f"  lint     {name}: {'ok' if not problems else str(len(problems)) + ' problems'}", flush=True)
        for p in problems[:40]:
            print("    " + p)
        if len(problems) > 40:
            print(f"    and {len(problems) - 40} more")
        rows.append(("FAIL" if problems else "PASS", "lint", name, problems[0] if problems else ""))
    if args.results:
        os.makedirs(os.path.dirname(args.results) or ".", exist_ok=True)
        with open(args.results, "a", encoding="utf-8") as out:
            for row in rows:
                out.write("\t".join(row) + "\n")
    sys.exit(1 if any(r[0] == "FAIL" for r in rows) else 0)


main()
