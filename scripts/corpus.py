#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""corpus.py BUILDDIR TARGET...: for each fuzzer take what BUILDDIR/corpus/TARGET and the tree's corpus have, let libFuzzer
choose the fewest inputs that reach the same, and write them to tests/fuzz/corpus/TARGET.pack: each input after its length
in four bytes. Above LIMIT bytes a target the largest inputs are left out."""
import os
import subprocess
import sys
import tempfile

LIMIT = 200 << 10
INPUT_MAX = 64 << 10


def merge(build, target):
    """The chosen inputs of a target, smallest first."""
    found = os.path.join(build, "corpus", target)
    env = dict(os.environ)
    pack = f"tests/fuzz/corpus/{target}.pack"
    if os.path.exists(pack):
        env["JOIST_CORPUS"] = os.path.abspath(pack)
    os.makedirs(found, exist_ok=True)
    with tempfile.TemporaryDirectory() as chosen:
        # The program puts seeds and the tree's corpus into the first directory: into what is merged from, by a run of nothing.
        program = os.path.join(build, "fuzz", target)
        subprocess.run([program, "-runs=0", "-rss_limit_mb=0", found], env=env, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        env.pop("JOIST_CORPUS", None)
        subprocess.run([program, "-merge=1", "-rss_limit_mb=0", chosen, found], env=env,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        inputs = []
        for name in os.listdir(chosen):
            with open(os.path.join(chosen, name), "rb") as f:
                inputs.append(f.read(INPUT_MAX + 1))
    return sorted({i for i in inputs if len(i) <= INPUT_MAX}, key=lambda i: (len(i), i))


def main():
    build, targets = sys.argv[1], sys.argv[2:]
    os.makedirs("tests/fuzz/corpus", exist_ok=True)
    for target in targets:
        inputs = merge(build, target)
        packed = b""
        kept = 0
        for data in inputs:
            if len(packed) + 4 + len(data) <= LIMIT:
                packed += len(data).to_bytes(4, "little") + data
                kept += 1
        with open(f"tests/fuzz/corpus/{target}.pack", "wb") as f:
            f.write(packed)
        print(f"  {target}: {kept} of {len(inputs)} inputs, {len(packed)} bytes", flush=True)


main()
