/* SPDX-License-Identifier: MIT */
/* The socket transport. */

#include "stored/conn_sock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "stored/conn.h"

static long sock_read(struct conn *c, void *data, size_t len)
{
    ssize_t n = read(c->fd, data, len);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
    }
    return n == 0 ? -EPIPE : n;
}

static long sock_write(struct conn *c, const void *data, size_t len)
{
    ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
    }
    return n;
}

/* Reading tries and finds out. */
static bool can_read(struct conn *c)
{
    (void)c;
    return true;
}

/* Asks poll() for what the connection waits for. */
static void settle(struct conn *c)
{
    c->event.events = (short)((conn_is_full(c) ? 0 : POLLIN) | (c->out.len ? POLLOUT : 0));
}

static void refuse(struct conn *c, uint32_t error)
{
    (void)error;
    conn_close(c);
}

static void sock_close(struct conn *c)
{
    evloop_del(c->server->loop, &c->event);
    close(c->fd);
    c->fd = -1;
}

static const struct conn_ops sock_ops = {
    .name = "socket",
    .read = sock_read,
    .write = sock_write,
    .can_read = can_read,
    .settle = settle,
    .refuse = refuse,
    .close = sock_close,
};

static void on_socket(struct ev_fd *src, short revents)
{
    struct conn *c = src->owner;

    (void)revents; /* errors and the end show when reading */
    conn_ready(c);
    conn_dirty(c);
}

static void on_listener(struct ev_fd *src, short revents)
{
    struct server *s = src->owner;
    int fd;

    (void)revents;
    while ((fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct conn *c = conn_new(s, &sock_ops);
        c->who = (struct who){ .is_privileged = true };
        c->base = 0; /* xl reads "domid" and means its own domain */
        c->fd = fd;
        c->event = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = on_socket, .owner = c };
        evloop_add(s->loop, &c->event);
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        log_warn("cannot accept a connection: %s", strerror(errno));
    }
}

int sock_listen(struct server *s, const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int rc = 0;

    if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path) >= (int)sizeof(addr.sun_path)) {
        return -ENAMETOOLONG;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    (void)unlink(path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || chmod(path, 0600) < 0 ||
        listen(fd, 64) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    s->listener = (struct ev_fd){ .fd = fd, .events = POLLIN, .handler = on_listener, .owner = s };
    evloop_add(s->loop, &s->listener);
    return 0;
}
