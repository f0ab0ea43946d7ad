#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_lint.py: each check of lint.py must accept a small good tree and refuse it with one thing wrong."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
HEAD = "/* SPDX-License-Identifier: MIT */\n/* A file. */\n"
GOOD = {
    "xen-core/base/log.h": HEAD + "#pragma once\n\nvoid log_it(void);\n",
    "xen-core/base/log.c": HEAD + '#include "base/log.h"\n\n/* Nothing. */\nvoid log_it(void)\n{\n}\n',
    "xen-core/lib/str.h": HEAD + "#pragma once\n\nint str_len(const char *s);\n",
    "xen-core/base/lock_order.h": HEAD + "LOCK_CLASS(10, domlist, 0, 0)\nLOCK_CLASS(50, evtchn, 1, 1)\n",
    "xen-core/hcall/ops.c": HEAD + '\nstatic const struct subop_row ops[] = {\n    [OP_a] = { "a", op_a },\n};\n',
    "docs/locking.md": "| Rank | Class | IRQ-safe |\n|---|---|---|\n| 10 | `domlist` | no |\n| 50 | `evtchn` | yes |\n",
    "docs/hypercalls.md": "| Call | Handler |\n|---|---|\n| `OP_a` | `op_a` |\n"
                          "| 1 `EVTCHNOP_b` | `op_b` | any | no | one | `test_b`, guests c, d |\n"
                          "| 2 `EVTCHNOP_c` | refused: `-ENOSYS` | any | no | no need | `test_b` |\n",
    "docs/advisories.md": "| 1 2 | what | tested | `test_b`, guest c |\n",
    "xen-core/hcall/b.c": HEAD + "\nstatic int64_t op_b(struct vcpu *v)\n{\n}\n",
    "tests/unit/test_b.c": HEAD,
    "tests/guests/c/main.c": HEAD,
    "tests/guests/d/main.c": HEAD,
    "docs/budget.md": "| Part | Ceiling |\n|---|---|\n| `xen-core/base` | 100 | |\n",
}
# Stand-ins of the public headers; the names count, and where the control calls' begin and end.
HEADERS = dict.fromkeys(("xen.h", "memory.h", "version.h", "vcpu.h", "sched.h", "grant_table.h", "physdev.h", "platform.h",
                         "callback.h", "nmi.h", "arch-x86/xen-x86_64.h"), "/* nothing */\n")
HEADERS["event_channel.h"] = "#define EVTCHNOP_b 1\n#define EVTCHNOP_c 2\n"
HEADERS["domctl.h"] = "struct xen_domctl {\nuint32_t cmd;\ninterface_version\n"
HEADERS["sysctl.h"] = "struct xen_sysctl {\nuint32_t cmd;\ninterface_version\n"
CALLS = GOOD["docs/hypercalls.md"]
BODY = HEAD + "\n/* F. */\nvoid f({})\n{{\n{}}}\n"


def deep(n):
    text = ""
    for i in range(1, n + 1):
        text += "    " * i + "if (x) {\n"
    return text + "".join("    " * i + "}\n" for i in range(n, 0, -1))


# check -> (file to change, its new text, what the complaint must say)
BAD = [
    ("layers", "xen-core/lib/a.c", HEAD + '#include "base/log.h"\n', "may not include base/log.h"),
    ("layers", "xen-core/lib/a.c", HEAD + '#include "lib/nothing.h"\n', "does not exist"),
    ("size", "xen-core/lib/a.c", BODY.format("void", "    x();\n" * 79), "at most 80"),
    ("size", "xen-core/lib/a.c", BODY.format("void", deep(5)), "at most 4"),
    ("size", "xen-core/lib/a.c", BODY.format("int a, int b, int c, int d, int e, int g, int h", ""), "at most 6"),
    ("size", "xen-core/lib/a.c", HEAD + "\n" * 800, "at most 800"),
    ("budget", "xen-core/base/b.c", HEAD + "\n" * 120, "at most 100"),
    ("budget", "docs/budget.md", "nothing\n", "no table"),
    ("ifdef", "xen-core/lib/a.c", HEAD + "#ifdef X\n#endif\n", "conditionals"),
    ("style", "xen-core/lib/a.c", "int x;\n", "no SPDX line"),
    ("style", "xen-core/lib/a.c", "/* SPDX-License-Identifier: MIT */\nint x;\n", "does not say what it is"),
    ("style", "xen-core/lib/a.c", HEAD + "int x; // no\n", "// comment"),
    ("style", "xen-core/lib/a.c", HEAD + "\tint x;\n", "tab"),
    ("style", "xen-core/lib/a.c", HEAD + "int x; \n", "blanks at the end"),
    ("style", "xen-core/lib/a.c", HEAD + "int " + "x" * 100 + ";\n", "columns"),
    ("style", "xen-core/lib/a.h", HEAD + "int x;\n", "no #pragma once"),
    ("style", "scripts/a.py", "#!x\n# SPDX-License-Identifier: MIT\n# /wo" + "rk/shared/x\n", "private place"),
    ("asm", "xen-core/lib/a.c", HEAD + 'void f(void)\n{\n    __asm__ volatile("hlt");\n}\n', "inline assembly"),
    ("format", "xen-core/lib/a.c", HEAD + "int  x  ;\n", "clang-format"),
    ("python", "scripts/a.py", "# SPDX-License-Identifier: MIT\nprint(nothing)\n", "undefined name 'nothing'"),
    ("locks", "docs/locking.md", GOOD["docs/locking.md"].replace("50", "51"), "lock evtchn"),
    ("locks", "docs/locking.md", GOOD["docs/locking.md"].replace("yes", "no"), "lock evtchn"),
    ("locks", "xen-core/base/lock_order.h", GOOD["xen-core/base/lock_order.h"].replace("10,", "60,"), "ranks do not rise"),
    ("hypercalls", "docs/hypercalls.md", "| a |\n", "OP_a has no row"),
    ("hypercalls", "docs/hypercalls.md", "| `OP_a` | `other` |\n", "does not name the handler op_a"),
    ("advisories", "docs/advisories.md", "| 1 | what | tested |  |\n", "what, verdict and why are wanted"),
    ("advisories", "docs/advisories.md", "| 1 | what | perhaps | `test_b` |\n", "what, verdict and why are wanted"),
    ("advisories", "docs/advisories.md", "| 1 | what | tested | we think |\n", "tested by what?"),
    ("advisories", "docs/advisories.md", "| 1 | what | tested | `test_x` |\n", "there is no test test_x"),
    ("advisories", "docs/advisories.md", "| 1 | what | tested | attack c |\n", "there is no attack c"),
    ("calls", "docs/hypercalls.md", CALLS.replace("| one |", "| |"), "a cell is missing or empty"),
    ("calls", "docs/hypercalls.md", CALLS[:CALLS.index("| 2 ")], "EVTCHNOP_c (2) of the public headers has no row"),
    ("calls", "docs/hypercalls.md", CALLS.replace("2 `EVTCHNOP_c`", "3 `EVTCHNOP_c`"), "EVTCHNOP_c is 2, not 3"),
    ("calls", "docs/hypercalls.md", CALLS.replace("`op_b`", "`op_x`"), "there is no function op_x"),
    ("calls", "docs/hypercalls.md", CALLS.replace("refused: `-ENOSYS`", "refused"), "neither a handler nor an error"),
    ("calls", "docs/hypercalls.md", CALLS.replace("guests c, d", "guests c, e"), "there is no test e"),
    ("calls", "docs/hypercalls.md", CALLS.replace("`test_b`,", "`test_x`,"), "there is no test test_x"),
    ("calls", "xen-core/hcall/ops.c", GOOD["xen-core/hcall/ops.c"] + GOOD["xen-core/hcall/ops.c"].replace("OP_a", "EVTCHNOP_c"),
     "docs/hypercalls.md says that it is refused"),
]


def lint(tree, *checks):
    env = dict(os.environ, PUBLIC_HEADERS=os.path.join(os.path.dirname(tree), "public"))
    done = subprocess.run([sys.executable, os.path.join(tree, "tests/lint/lint.py"), *checks], cwd=tree, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def make_tree(tree):
    files = GOOD | {"../public/" + name: text for name, text in HEADERS.items()}
    for name, text in files.items():
        path = os.path.join(tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    os.makedirs(os.path.join(tree, "tests/lint"))
    for name in ("lint.py", "source.py"):
        shutil.copy(os.path.join(HERE, name), os.path.join(tree, "tests/lint", name))
    shutil.copy(os.path.join(TOP, ".clang-format"), os.path.join(tree, ".clang-format"))


def main():
    bad = []
    checks = sorted({case[0] for case in BAD})
    with tempfile.TemporaryDirectory(prefix="joist-lint-") as top:
        good = os.path.join(top, "good")
        make_tree(good)
        code, text = lint(good, *checks)
        if code:
            bad.append("the good tree is refused: " + text)
        for i, (check, name, content, want) in enumerate(BAD):
            tree = os.path.join(top, str(i))
            shutil.copytree(good, tree)
            os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
            with open(os.path.join(tree, name), "w", encoding="utf-8") as f:
                f.write(content)
            code, text = lint(tree, check)
            if code == 0 or want not in text:
                bad.append(f"{check}: {want!r} expected, exit {code}: {text}")
    for problem in bad:
        print("    " + problem)
    print(f"TEST lint-refuses {'FAIL ' + str(len(bad)) + ' of ' if bad else 'PASS '}{len(BAD)} cases")
    sys.exit(1 if bad else 0)


main()
