/* SPDX-License-Identifier: MIT */
/* memcpy, memmove, memset, memcmp and strlen for freestanding links; the compiler emits calls to
 * them by itself. */

#include "lib/mem.h"

#include <stdint.h>

#define WORD sizeof(uint64_t)

struct packed_word {
    uint64_t v;
} __attribute__((packed, may_alias));

static uint64_t word_load(const void *p)
{
    return ((const struct packed_word *)p)->v;
}

static void word_store(void *p, uint64_t v)
{
    ((struct packed_word *)p)->v = v;
}

/* Pages are cleared and copied often: long pieces go by this many words at a time. */
#define LONG_WORDS 16u

static inline void copy4(unsigned char *to, const unsigned char *from)
{
    uint64_t a = word_load(from);
    uint64_t b = word_load(from + WORD);
    uint64_t c = word_load(from + 2 * WORD);
    uint64_t d = word_load(from + 3 * WORD);

    word_store(to, a);
    word_store(to + WORD, b);
    word_store(to + 2 * WORD, c);
    word_store(to + 3 * WORD, d);
}

/* Copy forwards; right for any two areas of which the target does not begin inside the source. */
static void copy_up(unsigned char *to, const unsigned char *from, size_t size)
{
    while (size >= LONG_WORDS * WORD) {
        copy4(to, from);
        copy4(to + 4 * WORD, from + 4 * WORD);
        copy4(to + 8 * WORD, from + 8 * WORD);
        copy4(to + 12 * WORD, from + 12 * WORD);
        to += LONG_WORDS * WORD;
        from += LONG_WORDS * WORD;
        size -= LONG_WORDS * WORD;
    }
    while (size >= WORD) {
        word_store(to, word_load(from));
        to += WORD;
        from += WORD;
        size -= WORD;
    }
    while (size > 0) {
        *to++ = *from++;
        size--;
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    copy_up(to, from, size);
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    unsigned char *t = to;
    const unsigned char *f = from;

    if ((uintptr_t)t - (uintptr_t)f >= size) {
        copy_up(t, f, size);
        return to;
    }
    while (size >= WORD) {
        size -= WORD;
        word_store(t + size, word_load(f + size));
    }
    while (size > 0) {
        size--;
        t[size] = f[size];
    }
    return to;
}

static inline void set4(unsigned char *to, uint64_t word)
{
    word_store(to, word);
    word_store(to + WORD, word);
    word_store(to + 2 * WORD, word);
    word_store(to + 3 * WORD, word);
}

void *memset(void *to, int byte, size_t size)
{
    unsigned char *t = to;
    uint64_t word = (unsigned char)byte * 0x0101010101010101ull;

    while (size >= LONG_WORDS * WORD) {
        set4(t, word);
        set4(t + 4 * WORD, word);
        set4(t + 8 * WORD, word);
        set4(t + 12 * WORD, word);
        t += LONG_WORDS * WORD;
        size -= LONG_WORDS * WORD;
    }
    while (size >= WORD) {
        word_store(t, word);
        t += WORD;
        size -= WORD;
    }
    while (size > 0) {
        *t++ = (unsigned char)byte;
        size--;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *x = a;
    const unsigned char *y = b;

    while (size >= WORD && word_load(x) == word_load(y)) {
        x += WORD;
        y += WORD;
        size -= WORD;
    }
    for (size_t i = 0; i < size; i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;

    while (s[n] != '\0') {
        n++;
    }
    return n;
}
