# SPDX-License-Identifier: MIT
"""DES, as far as a viewer of VNC needs it to answer a server that asks for a password. Facts: FIPS 46-3; RFC 6143, 7.2.2."""

# Numbers of bits as the standard has them, from 1.
KEY_LEFT = (57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36)
KEY_RIGHT = (63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4)
KEY_PICK = (14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
            41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32)
SHIFTS = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)
FIRST = tuple((58 + 2 * (i // 8) if i < 32 else 49 + 2 * (i // 8)) - 8 * (i % 8) for i in range(64))
LAST = tuple(FIRST.index(i + 1) + 1 for i in range(64))
WIDEN = tuple((4 * (i // 6) + i % 6 - 1) % 32 + 1 for i in range(48))
MIX = (16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25)
BOXES = (
    "e4d12fb83a6c5907 0f74e2d1a6cb9538 41e8d62bfc973a50 fc8249175b3ea06d",
    "f18e6b34972dc05a 3d47f28ec01a69b5 0e7ba4d158c6932f d8a13f42b67c05e9",
    "a09e63f51dc7b428 d709346a285ecbf1 d6498f30b12c5ae7 1ad069874fe3b52c",
    "7de3069a1285bc4f d8b56f03472c1ae9 a690cb7df13e5284 3f06a1d8945bc72e",
    "2c417ab6853fd0e9 eb2c47d150fa3986 421bad78f9c5630e b8c71e2d6f09a453",
    "c1af92680d34e75b af427c9561de0b38 9ef528c3704a1db6 432c95fabe17608d",
    "4b2ef08d3c975a61 d0b7491ae35c2f86 14bdc37eaf680592 6bd814a7950fe23c",
    "d2846fb1a93e50c7 1fd8a374c56b0e92 7b419ce206adf358 21e74a8dfc90356b",
)
BOXES = tuple(tuple(tuple(int(x, 16) for x in row) for row in box.split()) for box in BOXES)


def pick(bits, places):
    return [bits[p - 1] for p in places]


def to_bits(data):
    return [byte >> (7 - i) & 1 for byte in data for i in range(8)]


def keys(key):
    left, right = pick(to_bits(key), KEY_LEFT), pick(to_bits(key), KEY_RIGHT)
    for n in SHIFTS:
        left, right = left[n:] + left[:n], right[n:] + right[:n]
        yield pick(left + right, KEY_PICK)


def encrypt(key, block):
    """One block of 8 bytes."""
    bits = pick(to_bits(block), FIRST)
    left, right = bits[:32], bits[32:]
    for k in keys(key):
        x, out = [a ^ b for a, b in zip(pick(right, WIDEN), k)], []
        for i, box in enumerate(BOXES):
            six = x[6 * i:6 * i + 6]
            v = box[six[0] * 2 + six[5]][six[1] * 8 + six[2] * 4 + six[3] * 2 + six[4]]
            out += [v >> 3 & 1, v >> 2 & 1, v >> 1 & 1, v & 1]
        left, right = right, [a ^ b for a, b in zip(left, pick(out, MIX))]
    bits = pick(right + left, LAST)
    return bytes(int("".join(map(str, bits[i:i + 8])), 2) for i in range(0, 64, 8))


def vnc_answer(challenge, password):
    """What a viewer says to a challenge of 16 bytes: the password is the key, each byte's bits reversed."""
    key = bytes(int(format(c, "08b")[::-1], 2) for c in password.encode()[:8].ljust(8, b"\0"))
    return encrypt(key, challenge[:8]) + encrypt(key, challenge[8:])
