/* SPDX-License-Identifier: MIT */
/* Formatted text: %d %i %u %o %x %X %c %s %p %% with flags "-0+ #", width, precision, `*` and the
 * sizes hh h l ll z j t. */

#include "lib/fmt.h"

#include <stdbool.h>
#include <stdint.h>

#include "lib/str.h"

struct sink {
    char *buf;
    size_t size; /* bytes of buf, the final zero included */
    size_t used; /* characters produced, whether or not they fitted */
};

enum length { LEN_CHAR, LEN_SHORT, LEN_INT, LEN_LONG };

struct spec {
    bool left;
    bool zero;
    bool plus;
    bool space;
    bool alt;
    bool has_precision;
    enum length length;
    size_t width;
    size_t precision;
};

static void put(struct sink *s, char c)
{
    if (s->used + 1 < s->size) {
        s->buf[s->used] = c;
    }
    s->used++;
}

static void put_fill(struct sink *s, char c, size_t n)
{
    while (n-- > 0) {
        put(s, c);
    }
}

static void put_text(struct sink *s, const struct spec *spec, const char *text, size_t n)
{
    size_t fill = spec->width > n ? spec->width - n : 0;

    if (!spec->left) {
        put_fill(s, ' ', fill);
    }
    for (size_t i = 0; i < n; i++) {
        put(s, text[i]);
    }
    if (spec->left) {
        put_fill(s, ' ', fill);
    }
}

static void put_number(struct sink *s, const struct spec *spec, uint64_t value, unsigned int base,
                       const char *prefix, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24]; /* 22 octal digits of 64 bits */
    size_t n = 0;
    size_t prefix_len = strlen(prefix);
    size_t zeros = 0;
    size_t total;

    while (value != 0) {
        text[n++] = digits[value % base];
        value /= base;
    }
    if (n == 0 && !(spec->has_precision && spec->precision == 0)) {
        text[n++] = '0';
    }
    if (spec->has_precision) {
        zeros = spec->precision > n ? spec->precision - n : 0;
    } else if (spec->zero && !spec->left && spec->width > n + prefix_len) {
        zeros = spec->width - n - prefix_len;
    }
    total = n + prefix_len + zeros;
    if (!spec->left && spec->width > total) {
        put_fill(s, ' ', spec->width - total);
    }
    for (size_t i = 0; i < prefix_len; i++) {
        put(s, prefix[i]);
    }
    put_fill(s, '0', zeros);
    while (n > 0) {
        put(s, text[--n]);
    }
    if (spec->left && spec->width > total) {
        put_fill(s, ' ', spec->width - total);
    }
}

static size_t parse_count(const char **format)
{
    size_t n = 0;

    while (**format >= '0' && **format <= '9') {
        if (n < 10000) {
            n = n * 10 + (size_t)(**format - '0');
        }
        (*format)++;
    }
    return n;
}

static void parse_flags(const char **format, struct spec *spec)
{
    for (;; (*format)++) {
        switch (**format) {
        case '-':
            spec->left = true;
            break;
        case '0':
            spec->zero = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '#':
            spec->alt = true;
            break;
        default:
            return;
        }
    }
}

static void parse_length(const char **format, struct spec *spec)
{
    switch (**format) {
    case 'h':
        spec->length = LEN_SHORT;
        (*format)++;
        if (**format == 'h') {
            spec->length = LEN_CHAR;
            (*format)++;
        }
        break;
    case 'l':
        (*format)++;
        if (**format == 'l') {
            (*format)++;
        }
        spec->length = LEN_LONG;
        break;
    case 'z':
    case 'j':
    case 't':
        (*format)++;
        spec->length = LEN_LONG;
        break;
    default:
        break;
    }
}

static uint64_t fetch_unsigned(enum length length, va_list *args)
{
    if (length == LEN_LONG) {
        return va_arg(*args, uint64_t);
    }
    unsigned int value = va_arg(*args, unsigned int);

    if (length == LEN_SHORT) {
        return (uint16_t)value;
    }
    return length == LEN_CHAR ? (uint8_t)value : value;
}

static int64_t fetch_signed(enum length length, va_list *args)
{
    if (length == LEN_LONG) {
        return va_arg(*args, int64_t);
    }
    int value = va_arg(*args, int);

    if (length == LEN_SHORT) {
        return (int16_t)value;
    }
    return length == LEN_CHAR ? (int8_t)value : value;
}

static void put_signed(struct sink *s, const struct spec *spec, int64_t value)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    const char *sign = spec->plus ? "+" : spec->space ? " " : "";

    put_number(s, spec, magnitude, 10, value < 0 ? "-" : sign, false);
}

static void put_string(struct sink *s, const struct spec *spec, const char *text)
{
    const char *shown = text != NULL ? text : "(null)";

    put_text(s, spec, shown, str_nlen(shown, spec->has_precision ? spec->precision : SIZE_MAX));
}

/* Print one conversion, of which `*format` is at the letter. False if the letter is unknown. */
static bool convert(struct sink *s, struct spec *spec, char letter, va_list *args)
{
    uint64_t value;
    char c;

    switch (letter) {
    case 'd':
    case 'i':
        put_signed(s, spec, fetch_signed(spec->length, args));
        return true;
    case 'u':
        put_number(s, spec, fetch_unsigned(spec->length, args), 10, "", false);
        return true;
    case 'o':
        put_number(s, spec, fetch_unsigned(spec->length, args), 8, spec->alt ? "0" : "", false);
        return true;
    case 'x':
    case 'X':
        value = fetch_unsigned(spec->length, args);
        put_number(s, spec, value, 16, spec->alt && value != 0 ? (letter == 'x' ? "0x" : "0X") : "",
                   letter == 'X');
        return true;
    case 'p':
        put_number(s, spec, (uintptr_t)va_arg(*args, void *), 16, "0x", false);
        return true;
    case 'c':
        c = (char)va_arg(*args, int);
        put_text(s, spec, &c, 1);
        return true;
    case 's':
        put_string(s, spec, va_arg(*args, const char *));
        return true;
    case '%':
        put(s, '%');
        return true;
    default:
        return false;
    }
}

/* Read width and precision, which may come from the arguments. */
static void parse_sizes(const char **format, struct spec *spec, va_list *args)
{
    if (**format == '*') {
        int width = va_arg(*args, int);

        spec->left = spec->left || width < 0;
        spec->width = width < 0 ? 0u - (unsigned int)width : (unsigned int)width;
        (*format)++;
    } else {
        spec->width = parse_count(format);
    }
    if (**format != '.') {
        return;
    }
    (*format)++;
    if (**format == '*') {
        int precision = va_arg(*args, int);

        spec->has_precision = precision >= 0;
        spec->precision = precision < 0 ? 0 : (unsigned int)precision;
        (*format)++;
        return;
    }
    spec->has_precision = true;
    spec->precision = parse_count(format);
}

/*
 * Write formatted text and a final zero into `size` bytes at `buf` (`buf` may be NULL if `size` is
 * 0). Returns the length that the whole text has: a result of `size` or more says that it was cut.
 * An unknown conversion is printed as it stands.
 */
size_t fmt_vsnprintf(char *buf, size_t size, const char *format, va_list args)
{
    struct sink s = { .buf = buf, .size = size, .used = 0 };
    va_list copy;

    va_copy(copy, args);
    while (*format != '\0') {
        const char *begin = format;
        struct spec spec = { .length = LEN_INT };

        if (*format != '%') {
            put(&s, *format++);
            continue;
        }
        format++;
        parse_flags(&format, &spec);
        parse_sizes(&format, &spec, &copy);
        parse_length(&format, &spec);
        if (!convert(&s, &spec, *format, &copy)) {
            while (begin != format) {
                put(&s, *begin++);
            }
            continue;
        }
        format++;
    }
    va_end(copy);
    if (size > 0) {
        buf[s.used < size ? s.used : size - 1] = '\0';
    }
    return s.used;
}

/* As fmt_vsnprintf(), with the arguments given directly. */
size_t fmt_snprintf(char *buf, size_t size, const char *format, ...)
{
    va_list args;
    size_t n;

    va_start(args, format);
    n = fmt_vsnprintf(buf, size, format, args);
    va_end(args);
    return n;
}
