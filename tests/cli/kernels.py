# SPDX-License-Identifier: MIT
"""Small kernel files for tests: a PV kernel's ELF image with its notes, the same as bzImage, and broken ones."""
import gzip
import lzma
import random
import struct
import zlib

BASE = 0xffffffff80000000
LOAD = 0x100000
NOTE_ENTRY, NOTE_HYPERCALL_PAGE, NOTE_VIRT_BASE, NOTE_PADDR_OFFSET, NOTE_XEN_VERSION = 1, 2, 3, 4, 5
NOTE_GUEST_OS, NOTE_LOADER, NOTE_INIT_P2M, NOTE_MOD_START_PFN, NOTE_FEATURES = 6, 8, 15, 16, 10


def note(number, desc):
    desc = desc.encode() + b"\0" if isinstance(desc, str) else struct.pack("<Q", desc)
    return struct.pack("<III", 4, len(desc), number) + b"Xen\0" + desc + b"\0" * (-len(desc) % 4)


def default_notes():
    return {NOTE_XEN_VERSION: "xen-3.0", NOTE_GUEST_OS: "test", NOTE_LOADER: "generic", NOTE_VIRT_BASE: BASE,
            NOTE_ENTRY: BASE + LOAD, NOTE_PADDR_OFFSET: 0, NOTE_HYPERCALL_PAGE: BASE + LOAD + 4096,
            NOTE_FEATURES: "!writable_page_tables|pae_pgdir_above_4gb"}


def elf(notes=None, with_notes=True, code=b"\xeb\xfe", memory=65536):
    """An ELF image of two segments' headers: the loaded one (code, then zeros) and the notes."""
    body = b"".join(note(k, v) for k, v in (notes or default_notes()).items())
    data = code + random.Random(1).randbytes(16384 - len(code))
    offset = 4096
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, BASE + LOAD, 64, 0, 0, 64, 56, 2 if with_notes else 1, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 7, offset, BASE + LOAD, LOAD, len(data), memory, 4096)
    notes_at = offset + len(data)
    noted = struct.pack("<IIQQQQQQ", 4, 4, notes_at, 0, 0, len(body), len(body), 4) if with_notes else b""
    return (header + load + noted).ljust(offset, b"\0") + data + body


def bzimage(payload, unpacked):
    """Linux's container, protocol 2.12: one set-up sector, then the payload with its length at the end."""
    payload += struct.pack("<I", unpacked)
    head = bytearray(1024)
    head[0x1f1] = 1
    head[0x1fe:0x200] = b"\x55\xaa"
    head[0x200:0x202] = b"\xeb\x66"
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, 0x020c)
    struct.pack_into("<I", head, 0x248, 0)
    struct.pack_into("<I", head, 0x24c, len(payload))
    pad = -(len(payload) + 4) % 16
    struct.pack_into("<I", head, 0x1f4, (len(payload) + pad + 4) // 16)
    image = bytes(head) + payload + b"\0" * pad
    return image + struct.pack("<I", ~zlib.crc32(image) & 0xffffffff)


def pack(kind, data):
    if kind == "gzip":
        return gzip.compress(data, 6, mtime=0)
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 1}]
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)


def write_all(where):
    """Writes the test files into a directory; returns nothing: the tables know the names."""
    plain = elf()
    gz, xz = bzimage(pack("gzip", plain), len(plain)), bzimage(pack("xz", plain), len(plain))
    hvm_only = {k: v for k, v in default_notes().items() if k != NOTE_ENTRY}
    hvm_only[18] = 0x100000
    files = {
        "kernel": plain, "kernel.gz": gz, "kernel.xz": xz,
        "notes-missing": elf(with_notes=False),
        "xen-2": elf({**default_notes(), NOTE_XEN_VERSION: "xen-2.0"}),
        "entry-outside": elf({**default_notes(), NOTE_ENTRY: BASE + 0x10000000}),
        "pvh-only": elf(hvm_only),
        "truncated": xz[:len(xz) // 2], "truncated.elf": plain[:6000],
        "flipped": xz[:1500] + bytes([xz[1500] ^ 0x10]) + xz[1501:],
        "flipped.gz": gz[:1200] + bytes([gz[1200] ^ 0x10]) + gz[1201:],
        "text": b"not a kernel\n" * 100, "empty": b"",
        "ramdisk": bytes(range(256)) * 64, "big-ramdisk": b"\0" * (24 << 20),
        "p2m": elf({**default_notes(), NOTE_INIT_P2M: 0x8000000000, NOTE_MOD_START_PFN: 1}),
    }
    for name, data in files.items():
        with open(f"{where}/{name}", "wb") as f:
            f.write(data)
