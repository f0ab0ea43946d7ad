#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""source.py: what every check of the source needs: the list of files, C text without comments and strings, functions."""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files():
    """Every file of the project, tracked or new but not ignored; from a tarball, every file."""
    try:
        out = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode()
        names = out.split("\n")
    except (OSError, subprocess.CalledProcessError):
        names = []
        for base, dirs, found in os.walk(ROOT):
            dirs[:] = [d for d in dirs if d not in (".git", "build") and not d.startswith("build-")]
            names += [os.path.relpath(os.path.join(base, f), ROOT) for f in found]
    return sorted({n for n in names if n and os.path.isfile(os.path.join(ROOT, n))})


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as f:
        return f.read()


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare(text):
    """C text with comments blanked and strings emptied; line numbers are kept."""
    def replace(m):
        t = m.group(0)
        if t[0] in "\"'":
            return t[0] + t[0]
        return re.sub(r"[^\n]", " ", t)
    return TOKEN.sub(replace, text)


def functions(text):
    """Each function of C text in the project's form (braces of a function in column 0): name, first line, lines from brace
    to brace, deepest nesting, number of parameters."""
    lines = bare(text).split("\n")
    found = []
    start = None
    for i, line in enumerate(lines):
        if line.rstrip() == "{" and i > 0:
            head = []
            j = i - 1
            while j >= 0 and lines[j].strip() and not re.search(r"[;}]\s*$", lines[j]) and not lines[j].startswith("#"):
                head.insert(0, lines[j])
                j -= 1
            start = (i, " ".join(head))
        elif line.startswith("}") and start is not None:
            begin, head = start
            start = None
            m = re.search(r"(\w+)\s*\((.*)\)", head)
            if not m:
                continue
            depth = deepest = 0
            for body in lines[begin + 1:i]:
                if re.match(r"\s*\}?\s*(?:else\s+)?(?:if|for|while|switch|do)\b|\s*\{\s*$|\s*\}\s*else", body):
                    opens = True
                else:
                    opens = False
                for c in body:
                    if c == "{":
                        depth += 1
                        deepest = max(deepest, depth) if opens else deepest
                    elif c == "}":
                        depth -= 1
            found.append((m.group(1), begin, i - begin + 1, deepest, parameters(head)))
    return found


def parameters(head):
    """Number of parameters of a function's head."""
    m = re.search(r"\w+\s*\(", head)
    depth, count, any_text = 1, 0, False
    args = head[m.end():]
    for c in args:
        if c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
            if depth == 0:
                break
        elif c == "," and depth == 1:
            count += 1
        elif not c.isspace():
            any_text = True
    return count + 1 if any_text and args.split(")")[0].strip() != "void" else 0
