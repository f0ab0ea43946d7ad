#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""allconfigs.py BUILDDIR: build hypervisor, loader and host library with each set of options and each compiler, and once
again in another directory at another time, which must give the same bytes. One verdict per build."""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "lint"))
import source  # noqa: E402

OPTIONS = {"default": "--alldefconfig", "all-on": "--allyesconfig", "all-off": "--allnoconfig"}
# Options do not reach the tools: one build per compiler is enough for them.
GOALS = {"default": ["hypervisor", "host-lib", "tools"], "all-on": ["hypervisor", "core-lib"],
         "all-off": ["hypervisor", "core-lib"]}


def make(out, compiler, goals, top=TOP):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "O", "CC")}
    env["KCONFIG_CONFIG"] = os.path.join(out, "options")
    jobs = str(len(os.sched_getaffinity(0)))
    done = subprocess.run(["make", "-j", jobs, *goals, f"O={out}", f"CC={compiler}"], cwd=top, env=env, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace")


def one(out, compiler, options):
    os.makedirs(out, exist_ok=True)
    env = dict(os.environ, KCONFIG_CONFIG=os.path.join(out, "options"))
    subprocess.run(["kconfig-conf", OPTIONS[options], "Kconfig"], cwd=TOP, env=env, check=True, stdout=subprocess.DEVNULL)
    return make(out, compiler, GOALS[options])


def digest(out):
    names = ["joist.efi", "joist.elf", "joist-syms"]
    tools = os.path.join(out, "tools")
    if os.path.isdir(tools):
        names += [os.path.join("tools", t) for t in sorted(os.listdir(tools))]
    sums = {}
    for name in names:
        path = os.path.join(out, name)
        if os.path.exists(path):
            with open(path, "rb") as f:
                sums[name] = hashlib.sha256(f.read()).hexdigest()
    return sums


def same_bytes(first):
    """Build a copy of the source elsewhere; compare with the build in `first`."""
    with tempfile.TemporaryDirectory(prefix="joist-same-") as other:
        copy = os.path.join(other, "a", "longer", "name")
        for name in source.files():
            os.makedirs(os.path.dirname(os.path.join(copy, name)), exist_ok=True)
            shutil.copy(os.path.join(TOP, name), os.path.join(copy, name))
        out = os.path.join(copy, "build")
        os.makedirs(out)
        shutil.copy(os.path.join(first, "options"), os.path.join(out, "options"))
        time.sleep(1.1)
        code, text = make(out, "gcc", ["hypervisor", "tools"], copy)
        if code:
            return "second build failed", text
        a, b = digest(first), digest(out)
        differing = sorted(n for n in set(a) | set(b) if a.get(n) != b.get(n))
        return ("differ: " + ", ".join(differing) if differing else "" if a else "nothing was built"), ""


def main():
    build = os.path.abspath(sys.argv[1])
    rows = []
    for compiler in ("gcc", "clang"):
        for options in OPTIONS:
            name = f"{compiler}-{options}"
            began = time.monotonic()
            code, text = one(os.path.join(build, "configs", name), compiler, options)
            print(f"  build    {name}: {'FAILED' if code else 'ok'}, {time.monotonic() - began:.0f} s", flush=True)
            if code:
                print(text[-6000:])
            rows.append(("FAIL" if code else "PASS", "all-configs", name, f"make ended with {code}" if code else ""))
    if rows[0][0] == "PASS":
        problem, text = same_bytes(os.path.join(build, "configs", "gcc-default"))
        print(f"  build    same bytes: {problem or 'ok'}")
        print(text[-6000:], end="")
        rows.append(("FAIL" if problem else "PASS", "all-configs", "same-bytes", problem))
    with open(os.path.join(build, "test-results"), "a", encoding="utf-8") as out:
        for row in rows:
            out.write("\t".join(row) + "\n")
    sys.exit(1 if any(r[0] == "FAIL" for r in rows) else 0)


main()
