# SPDX-License-Identifier: MIT
"""Scenario of the command table (tests/cli/table.py) on a real control domain: every verb, option and bad input."""
import os
import re
import shutil
import sys
import tarfile

from system import ROOT, Skip, demand, harness

sys.path.append(os.path.join(ROOT, "tests", "cli"))
import kernels  # noqa: E402
import table  # noqa: E402

SHARE = os.path.join(harness.BUILD, "run", "commands")
os.makedirs(SHARE, exist_ok=True)

# What a command could change; the rest (times, letters that a scheduler moves) is left out.
STATE = r"""state() {
    joist list | awk 'NR > 1 { print $1, $2, $3, $4, substr($5, 3, 1) }'
    joist info --json | grep -o '"free_pages":[0-9]*'
    xenstore-ls / | grep -v ' tty = '
    cat /var/lib/joist/domains/* 2>/dev/null
}
"""


def is_looked_at(i):
    """Whether the state is taken after row i. Taking it costs more than a row: those that may change nothing are looked at
    eight at a time (check-cli looks after each), those that only print help all at once."""
    calm = len(table.HELP + table.EMPTY + table.BAD)
    return i + 1 >= calm or (i + 1 >= len(table.HELP) and (i + 1 - len(table.HELP)) % 8 == 0)


def names_guest(row):
    return any("{id}" in str(x) or "{uuid}" in str(x) for x in row)


def script(rows):
    """A shell script that runs all rows and keeps what they print and what the state was. Rows that only print help are
    looked at together: the state is taken once after some."""
    # one guest first: what the hypervisor allocates once, it then has
    text = "cd /tmp/rows\n" + STATE + "joist create -q -p /share/guest.cfg && joist destroy web\nstate >state.before\n"
    for i, row in enumerate(rows):
        line = row[0].replace("{d}", "/share").replace("{id}", "$id").replace("{uuid}", "$uuid")
        if names_guest(row):
            text += f"id=$(joist domid web); echo \"$id\" >{i}.id\nuuid=$(joist info web | sed -n 's/^uuid *: //p')\n"
        text += f"{line} >{i}.out 2>{i}.err </dev/null\necho $? >{i}.code\n"
        if is_looked_at(i):
            text += f"state >{i}.after\n"
    return text + "tar cf /share/out.tar *\necho rows-done\n"


def read(i, what):
    with open(f"{SHARE}/out/{i}.{what}", encoding="utf-8", errors="replace") as f:
        return f.read()


def judge(i, row, before):
    """What is wrong with a row, or "", and the state after it."""
    line, code, out, err, change = row
    domid = read(i, "id").strip() if names_guest(row) else "-"
    after = read(i, "after") if is_looked_at(i) else before

    def fits(pattern, text):
        pattern = getattr(pattern, "dom0", pattern).replace("{id}", domid)
        text = text.rstrip("\n")
        return text == "" if pattern == "" else re.search(pattern, text) is not None
    got = int(read(i, "code"))
    text = ""
    if got != code or not fits(out, read(i, "out")) or not fits(err, read(i, "err")):
        text = f"{line}: exit {got} (want {code}), stdout {read(i, 'out')[-300:]!r}, stderr {read(i, 'err')[-300:]!r}"
    elif before == after and change == "guest":
        text = f"{line}: nothing has changed"
    elif before != after and change != "guest":
        text = f"{line}, or a row before it: has changed {sorted(set(before.splitlines()) ^ set(after.splitlines()))}"
    return text, after


def judge_all(rows):
    bad = []
    state = read("state", "before")
    for i, row in enumerate(rows):
        text, state = judge(i, row, state)
        bad += [text] if text else []
    return bad


def commands(h, args):
    """Each row: exit code, both outputs, state before and after."""
    if args.tools != "joist":
        raise Skip("the table is that of joist")
    rows = table.HELP + table.EMPTY + table.BAD + table.LIFE
    shutil.rmtree(SHARE + "/out", ignore_errors=True)
    kernels.write_all(SHARE)
    table.write_configs(SHARE, "/share")
    with open(SHARE + "/rows.sh", "w", encoding="utf-8") as f:
        f.write(script(rows).replace("{d}", "/share"))
    demand(h.cmd("ls /share/rows.sh")[0] == 0, "the control domain does not see the shared directory")
    rc, out = h.cmd("rm -rf /tmp/rows; mkdir /tmp/rows; sh /share/rows.sh >/tmp/rows.log 2>&1; tail -n 1 /tmp/rows.log", 600)
    demand(rc == 0 and "rows-done" in out, "the rows did not run to their end: %s" % out[-300:])
    os.makedirs(SHARE + "/out")
    with tarfile.open(SHARE + "/out.tar") as tar:
        tar.extractall(SHARE + "/out")
    bad = judge_all(rows)
    demand(not bad, "%d of %d: %s" % (len(bad), len(rows), " | ".join(bad[:6])))
    return "%d commands" % len(rows)
