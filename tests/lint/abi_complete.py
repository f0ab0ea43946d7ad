#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""abi_complete.py [--print]: every constant, structure and field that xen-core/abi declares must stand in
tests/unit/abi/list*.h, so that the comparison with libxen-dev cannot miss one. --print writes such a list."""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
LISTS = sorted((TOP / "tests/unit/abi").glob("list*.h"))
DECLARATOR = re.compile(r"^(?P<type>.*?[\w}])\s+(?P<names>\w+(?:\[[^]]*\])*(?:\s*,\s*\w+(?:\[[^]]*\])*)*)$", re.S)


def strip(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return text.replace("\\\n", " ")


def matching(text, start):
    depth = 0
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return i
    raise ValueError("unbalanced braces")


def split(body):
    """The declarations of a structure's body, nested ones whole."""
    out, depth, start = [], 0, 0
    for i, c in enumerate(body):
        depth += {"{": 1, "}": -1}.get(c, 0)
        if c == ";" and depth == 0:
            out.append(body[start:i].strip())
            start = i + 1
    return out


def fields(body, prefix=""):
    """(path, flexible) of each field, those of nested structures as well."""
    for decl in split(body):
        m = re.match(r"(?:struct|union)\s*\w*\s*\{", decl)
        if m:
            end = matching(decl, m.end() - 1)
            inner, names = decl[m.end():end], [n.strip() for n in decl[end + 1:].split(",")]
        else:
            m = DECLARATOR.match(decl)
            if not m:
                raise ValueError(f"cannot read: {decl}")
            inner, names = None, [n.strip() for n in m.group("names").split(",")]
        for name in names:
            path = prefix + name.split("[")[0]
            yield path, "[]" in name
            if inner is not None:
                yield from fields(inner, path + ".")


def structures(text):
    for m in re.finditer(r"\b(struct|union)\s+(\w+)\s*\{", text):
        body = text[m.end():matching(text, m.end() - 1)]
        yield f"{m.group(1)} {m.group(2)}", list(fields(body))


def enums(text):
    for m in re.finditer(r"\benum\s+\w+\s*\{([^}]*)\}", text):
        yield from re.findall(r"(\w+)\s*(?:=[^,]*)?(?:,|$)", m.group(1).strip())


def declared():
    for path in sorted((TOP / "xen-core/abi").glob("*.h")):
        text = strip(path.read_text())
        wanted = []
        for name, args in re.findall(r"^#define\s+(\w+)(\(\w[^)]*\))?", text, re.M):
            wanted.append(("call", name) if args else ("errno" if path.name == "errno.h" else "const", name))
        wanted += [("const", name) for name in enums(text)]
        wanted += [("type", name) for name in re.findall(r"^typedef\s[^;{}]*?\b(\w+)(?:\[[^]]*\])?;", text, re.M)]
        for tag, members in structures(text):
            wanted.append(("size", tag))
            wanted += [("offset" if flexible else "field", f"{tag}, {member}") for member, flexible in members]
        yield path.name, wanted


FORM = {"const": "ABI_CONST({})", "errno": "ABI_ERRNO({})", "type": "ABI_TYPE({})", "size": "ABI_SIZE({})",
        "field": "ABI_FIELD({})", "offset": "ABI_OFFSET({})", "call": "ABI_CALL({}, 5)"}


def main():
    if sys.argv[1:] == ["--print"]:
        for name, wanted in declared():
            print(f"\n/* abi/{name} */")
            print("\n".join(FORM[kind].format(what) for kind, what in wanted))
        return 0
    lines = {re.sub(r"\s+", " ", line.strip()) for path in LISTS for line in path.read_text().splitlines()}
    missing = 0
    for name, wanted in declared():
        for kind, what in wanted:
            forms = {FORM[kind].format(what), f"ABI_OURS({what})"}
            start = f"ABI_CALL({what}, " if kind == "call" else None
            if forms & lines or (start and any(line.startswith(start) for line in lines)):
                continue
            print(f"xen-core/abi/{name}: {what} is not in tests/unit/abi/list*.h")
            missing += 1
    return 1 if missing else 0


sys.exit(main())
