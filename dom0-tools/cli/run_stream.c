/* SPDX-License-Identifier: MIT */
/*
 * Neither side may hold up the other: the console daemon drops what nobody takes from a terminal,
 * so that output is taken at once and kept here until standard output takes it.
 */
#include "cli/run_stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES  4096
#define TYPED_BYTES 512

int stream_begin(struct stream *s)
{
    *s = (struct stream){ .tty = -1, .room = READ_BYTES };
    s->waiting = malloc(s->room);
    s->typed = malloc(WIRE_PUT_MAX(TYPED_BYTES));
    return s->waiting != NULL && s->typed != NULL ? 0 : -ENOMEM;
}

void stream_end(struct stream *s)
{
    if (s->tty >= 0) {
        close(s->tty);
    }
    free(s->waiting);
    free(s->typed);
    *s = (struct stream){ .tty = -1 };
}

size_t stream_waiting(const struct stream *s)
{
    return s->used - s->first;
}

static bool make_room(struct stream *s, size_t n)
{
    char *more = NULL;
    size_t room;

    if (s->first > 0) {
        memmove(s->waiting, s->waiting + s->first, stream_waiting(s));
        s->used -= s->first;
        s->first = 0;
    }
    if (s->used + n > s->room) {
        room = 2 * s->room + n < STREAM_MOST ? 2 * s->room + n : STREAM_MOST;
        if (s->used + n <= room) {
            more = realloc(s->waiting, room);
        }
        if (more == NULL) {
            return false;
        }
        s->waiting = more;
        s->room = room;
    }
    return true;
}

/* What the guest says: the command's to be kept, the rest to standard error. */
static bool take_output(struct stream *s)
{
    char data[READ_BYTES];
    char noise[READ_BYTES + WIRE_MARK_MAX];
    size_t noise_size;
    size_t skip;
    ssize_t n;

    if (s->used + READ_BYTES > s->room && !make_room(s, READ_BYTES)) {
        s->is_full = true;
        return false;
    }
    n = read(s->tty, data, sizeof(data));
    if (n <= 0) {
        return false;
    }
    skip = wire_take(&s->output, data, (size_t)n, noise, &noise_size);
    if (noise_size > 0 && write(STDERR_FILENO, noise, noise_size) < 0) {
        noise_size = 0; /* nobody wants to know */
    }
    if (!s->is_output_over) {
        memcpy(s->waiting + s->used, data + skip, (size_t)n - skip);
        s->used += (size_t)n - skip;
    }
    return true;
}

static bool put_output(struct stream *s)
{
    size_t most = stream_waiting(s) < PIPE_BUF ? stream_waiting(s) : PIPE_BUF;
    ssize_t n = write(STDOUT_FILENO, s->waiting + s->first, most);

    if (n < 0 && errno != EINTR && errno != EAGAIN) {
        s->is_output_over = true; /* the command runs on, as under a shell that ignores it */
        s->output_error = errno != EPIPE ? errno : 0;
        s->first = s->used;
    }
    s->first += n > 0 ? (size_t)n : 0;
    s->is_full = s->is_full && n <= 0 && !s->is_output_over;
    return true;
}

static bool take_input(struct stream *s)
{
    char data[TYPED_BYTES];
    ssize_t n = read(STDIN_FILENO, data, sizeof(data));

    s->typed_first = 0;
    s->typed_used = 0;
    if (n > 0) {
        s->typed_used = wire_put(&s->input, data, (size_t)n, s->typed);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        s->typed_used = wire_end(&s->input, s->typed);
        s->is_input_over = true;
    }
    return true;
}

static bool put_input(struct stream *s)
{
    ssize_t n = write(s->tty, s->typed + s->typed_first, s->typed_used - s->typed_first);

    s->typed_first += n > 0 ? (size_t)n : 0;
    return n > 0;
}

bool stream_turn(struct stream *s, int ms, bool *has_hung_up)
{
    bool is_typed = s->typed_first < s->typed_used;
    bool may_read = s->output.is_ready && !is_typed && !s->is_input_over;
    struct pollfd p[3] = {
        { .fd = s->is_full ? -1 : s->tty, .events = (short)(POLLIN | (is_typed ? POLLOUT : 0)) },
        { .fd = may_read ? STDIN_FILENO : -1, .events = POLLIN },
        { .fd = stream_waiting(s) > 0 ? STDOUT_FILENO : -1, .events = POLLOUT },
    };
    bool has_moved = false;

    *has_hung_up = false;
    if (poll(p, 3, ms) <= 0) {
        return false;
    }
    if ((p[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        has_moved = take_output(s);
        *has_hung_up = !has_moved && (p[0].revents & (POLLHUP | POLLERR)) != 0;
    }
    if ((p[0].revents & POLLOUT) != 0) {
        has_moved = put_input(s) || has_moved;
    }
    if (p[1].revents != 0) {
        has_moved = take_input(s) || has_moved;
    }
    if (p[2].revents != 0) {
        has_moved = put_output(s) || has_moved;
    }
    return has_moved;
}
