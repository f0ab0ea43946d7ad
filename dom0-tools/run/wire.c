/* SPDX-License-Identifier: MIT */
/* The guest's terminal as a way for bytes of any value, and for the end of them. */
#include "run/wire.h"

#include <string.h>
#include <unistd.h>

#define MARK      "\001joist-run: the command begins\n"
#define MARK_SIZE (sizeof(MARK) - 1)
#define END_CHAR  '\004' /* hands over what has come; after nothing: the end of the file */
#define QUOTE     '\026'
#define SYSRQ     '\017' /* twice: else the guest's console takes the next one for a command */

/* A terminal in line mode keeps at most 4095 bytes until they are handed over. */
#define PIECE 1024

_Static_assert(MARK_SIZE <= WIRE_MARK_MAX, "the mark has room beside the noise");

void wire_terminal(struct termios *t)
{
    t->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IUCLC |
                              IXON | IXOFF | IMAXBEL | IUTF8);
    t->c_oflag &= ~(tcflag_t)OPOST;
    t->c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL | ECHOCTL | ECHOKE | ISIG | TOSTOP);
    t->c_lflag |= ICANON | IEXTEN;
    memset(t->c_cc, _POSIX_VDISABLE, sizeof(t->c_cc));
    t->c_cc[VEOF] = END_CHAR;
    t->c_cc[VLNEXT] = QUOTE;
}

bool wire_tell_ready(int fd)
{
    return write(fd, MARK, MARK_SIZE) == (ssize_t)MARK_SIZE;
}

size_t wire_take(struct wire_output *o, const char *data, size_t n, char *noise, size_t *noise_size)
{
    size_t i;

    *noise_size = 0;
    for (i = 0; i < n && !o->is_ready; i++) {
        if (data[i] != MARK[o->matched]) {
            memcpy(noise + *noise_size, MARK, o->matched); /* it was no mark: only its beginning */
            *noise_size += o->matched;
            o->matched = 0;
        }
        if (data[i] == MARK[o->matched]) {
            o->matched++;
            o->is_ready = o->matched == MARK_SIZE;
        } else {
            noise[(*noise_size)++] = data[i];
        }
    }
    return i;
}

size_t wire_put(struct wire_input *in, const char *data, size_t n, char *out)
{
    size_t used = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        if (data[i] == END_CHAR || data[i] == QUOTE) {
            out[used++] = QUOTE;
        } else if (data[i] == SYSRQ) {
            out[used++] = SYSRQ;
        }
        out[used++] = data[i];
        in->pending = data[i] == '\n' ? 0 : in->pending + 1;
        if (in->pending == PIECE) {
            out[used++] = END_CHAR;
            in->pending = 0;
        }
    }
    return used;
}

size_t wire_end(struct wire_input *in, char *out)
{
    size_t n = in->pending > 0 ? 2 : 1;

    memset(out, END_CHAR, n);
    in->pending = 0;
    return n;
}
