/* SPDX-License-Identifier: MIT */
/* The store client: wire protocol of the store over its unix socket or the kernel's xenbus device.
 */
#include "libjoist/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "abi/io.h"
#include "libjoist/joist.h"

#define PUMP_MAX 256 /* messages that one store_pump() takes */

/* What has changed below it is one event, however often: its reader looks at all of it anyway. */
struct watch {
    struct watch *next;
    struct watch *next_due;
    char *path;
    char *token;
    unsigned int depth; /* levels below path that count */
    bool is_due;
};

struct store {
    int fd;
    bool is_device; /* the kernel's xenbus device instead of the daemon's socket */
    uint32_t req_id;
    struct watch *watches; /* set again after a reconnect */
    struct watch *due;     /* have an event for the caller, the longest first */
    unsigned int due_count;
    /* message being received */
    struct xsd_sockmsg head;
    size_t got; /* bytes of head and body received */
    char body[XENSTORE_PAYLOAD_MAX + 1];
};

struct piece {
    const void *data;
    size_t size;
};

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void drop(struct store *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    s->fd = -1;
    s->got = 0;
}

static int connect_once(struct store *s)
{
    const char *path = getenv("XENSTORED_PATH");
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct stat st;

    drop(s);
    if (path == NULL) {
        path = "/run/xenstored/socket";
    }
    if (strlen(path) >= sizeof(sa.sun_path)) {
        return -ENAMETOOLONG;
    }
    s->is_device = stat(path, &st) == 0 && !S_ISSOCK(st.st_mode);
    if (s->is_device) {
        s->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        return s->fd >= 0 ? 0 : -errno;
    }
    memcpy(sa.sun_path, path, strlen(path) + 1);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0) {
        return -errno;
    }
    if (connect(s->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        int rc = -errno;

        drop(s);
        return rc;
    }
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    return 0;
}

static void free_watch(struct watch *w)
{
    free(w->path);
    free(w->token);
    free(w);
}

struct store *store_open(void)
{
    struct store *s = calloc(1, sizeof(*s));
    int rc;

    if (s == NULL) {
        return NULL;
    }
    s->fd = -1;
    rc = connect_once(s);
    if (rc != 0) {
        store_close(s);
        errno = -rc;
        return NULL;
    }
    return s;
}

void store_close(struct store *s)
{
    if (s == NULL) {
        return;
    }
    while (s->watches != NULL) {
        struct watch *w = s->watches;

        s->watches = w->next;
        free_watch(w);
    }
    drop(s);
    free(s);
}

int store_fd(const struct store *s)
{
    return s->fd;
}

/* --- events ---------------------------------------------------------------------------------- */

/* How many levels `path` lies below `top`; -1: it does not. */
static int levels_below(const char *path, const char *top)
{
    size_t n = strlen(top);
    int levels = 0;

    if (n > 0 && top[n - 1] == '/') {
        n--;
    }
    if (strncmp(path, top, n) != 0 || (path[n] != '\0' && path[n] != '/')) {
        return -1;
    }
    for (path += n; *path != '\0'; path++) {
        levels += *path == '/';
    }
    return levels;
}

static void set_due(struct store *s, struct watch *w)
{
    struct watch **at = &s->due;

    if (w->is_due) {
        return;
    }
    while (*at != NULL) {
        at = &(*at)->next_due;
    }
    *at = w;
    w->next_due = NULL;
    w->is_due = true;
    s->due_count++;
}

static void clear_due(struct store *s, struct watch *w)
{
    struct watch **at = &s->due;

    if (!w->is_due) {
        return;
    }
    while (*at != w) {
        at = &(*at)->next_due;
    }
    *at = w->next_due;
    w->is_due = false;
    s->due_count--;
}

/* Whether a change of the node `path` is one for this watch. */
static bool concerns(const struct watch *w, const char *path)
{
    int levels = levels_below(path, w->path);

    if (path[0] == '/' && w->path[0] != '/' && w->path[0] != '@') {
        return true; /* a path from our own directory, told in full: the token has to do */
    }
    /* a removal may be told with the name of what was removed, above the watch */
    return (levels >= 0 && (unsigned int)levels <= w->depth) || levels_below(w->path, path) >= 0;
}

/*
 * An event has arrived.  It needs no memory, so none is lost, and a watch that has one waiting
 * takes no second place in the queue: who writes without end below one delays no other.
 */
static void take_event(struct store *s)
{
    const char *end = memchr(s->body, '\0', s->head.len);
    struct watch *w;

    if (end == NULL) {
        return; /* no token: not an event */
    }
    for (w = s->watches; w != NULL; w = w->next) {
        if (strcmp(w->token, end + 1) == 0 && concerns(w, s->body)) {
            set_due(s, w);
        }
    }
}

unsigned int store_events_due(const struct store *s)
{
    return s->due_count;
}

bool store_next_event(struct store *s, struct store_event *e)
{
    struct watch *w = s->due;

    if (w == NULL) {
        return false;
    }
    e->path = strdup(w->path);
    e->token = strdup(w->token);
    if (e->path == NULL || e->token == NULL) {
        store_event_free(e);
        return false; /* still due */
    }
    clear_due(s, w);
    return true;
}

void store_event_free(struct store_event *e)
{
    free(e->path);
    free(e->token);
    e->path = NULL;
    e->token = NULL;
}

/* Receives part of one message: 1 = a whole message is there, 0 = not yet, negative = lost. */
static int receive(struct store *s)
{
    ssize_t n;
    size_t want;
    char *at;

    for (;;) {
        if (s->got < sizeof(s->head)) {
            at = (char *)&s->head + s->got;
            want = sizeof(s->head) - s->got;
        } else {
            if (s->head.len > XENSTORE_PAYLOAD_MAX) {
                drop(s);
                return -EPROTO;
            }
            at = s->body + (s->got - sizeof(s->head));
            want = sizeof(s->head) + s->head.len - s->got;
            if (want == 0) {
                s->body[s->head.len] = '\0';
                s->got = 0;
                return 1;
            }
        }
        n = read(s->fd, at, want);
        if (n > 0) {
            s->got += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            return 0;
        } else if (n == 0 || errno != EINTR) {
            drop(s);
            return -ENOTCONN;
        }
    }
}

int store_pump(struct store *s)
{
    unsigned int i;
    int rc;

    if (s->fd < 0) {
        return -ENOTCONN;
    }
    for (i = 0; i < PUMP_MAX; i++) {
        rc = receive(s);
        if (rc <= 0) {
            return rc;
        }
        if (s->head.type == XS_WATCH_EVENT) {
            take_event(s);
        }
    }
    return 0; /* the socket stays readable */
}

static int wait_for(struct store *s, short what, int64_t end)
{
    struct pollfd p = { .fd = s->fd, .events = what };
    int64_t left = end - now_ms();
    int rc;

    if (left <= 0) {
        return -ETIMEDOUT;
    }
    rc = poll(&p, 1, (int)left);
    return rc < 0 && errno != EINTR ? -errno : 0;
}

static int send_all(struct store *s, const void *data, size_t size, int64_t end)
{
    const char *p = data;
    ssize_t n;
    int rc;

    while (size > 0) {
        n = s->is_device ? write(s->fd, p, size) : send(s->fd, p, size, MSG_NOSIGNAL);
        if (n >= 0) {
            p += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            rc = wait_for(s, POLLOUT, end);
            if (rc != 0) {
                drop(s); /* half a request is sent: the stream cannot be used again */
                return rc;
            }
        } else if (errno != EINTR) {
            drop(s);
            return -ENOTCONN;
        }
    }
    return 0;
}

/* One request and its reply, which is then in s->body (s->head.len bytes and an end mark). */
static int talk(struct store *s, uint32_t type, uint32_t tx, const struct piece *pieces,
                size_t count)
{
    struct xsd_sockmsg head = { .type = type, .req_id = ++s->req_id, .tx_id = tx };
    int64_t end = now_ms() + STORE_TIMEOUT_MS;
    char out[sizeof(head) + XENSTORE_PAYLOAD_MAX];
    size_t size = sizeof(head);
    size_t i;
    int rc;

    if (s->fd < 0) {
        return -ENOTCONN;
    }
    for (i = 0; i < count; i++) {
        if (pieces[i].size > sizeof(out) - size) {
            return -E2BIG;
        }
        memcpy(out + size, pieces[i].data, pieces[i].size);
        size += pieces[i].size;
    }
    head.len = (uint32_t)(size - sizeof(head));
    memcpy(out, &head, sizeof(head));
    rc = send_all(s, out, size, end);
    while (rc == 0) {
        rc = receive(s);
        if (rc == 0) {
            rc = wait_for(s, POLLIN, end);
            if (rc != 0) {
                drop(s); /* the late answer must not be taken for the next one's */
            }
        } else if (rc > 0) {
            rc = 0;
            if (s->head.type == XS_WATCH_EVENT) {
                take_event(s);
                rc = now_ms() < end ? 0 : -ETIMEDOUT;
                if (rc != 0) {
                    drop(s); /* as above */
                }
            } else if (s->head.type == XS_ERROR) {
                int err = joist_errno_of(s->body);

                return err > 0 ? -err : -EINVAL;
            } else if (s->head.type != type || s->head.req_id != head.req_id) {
                drop(s);
                return -EPROTO;
            } else {
                return 0;
            }
        }
    }
    return rc;
}

static struct piece text(const char *t)
{
    return (struct piece){ t, strlen(t) + 1 };
}

int store_read(struct store *s, uint32_t tx, const char *path, char **value)
{
    struct piece p = text(path);
    int rc = talk(s, XS_READ, tx, &p, 1);

    *value = NULL;
    if (rc == 0) {
        *value = malloc(s->head.len + 1);
        if (*value == NULL) {
            return -ENOMEM;
        }
        memcpy(*value, s->body, s->head.len + 1);
    }
    return rc;
}

int store_write(struct store *s, uint32_t tx, const char *path, const char *value)
{
    struct piece p[2] = { text(path), { value, strlen(value) } };

    return talk(s, XS_WRITE, tx, p, 2);
}

int store_mkdir(struct store *s, uint32_t tx, const char *path)
{
    struct piece p = text(path);

    return talk(s, XS_MKDIR, tx, &p, 1);
}

int store_rm(struct store *s, uint32_t tx, const char *path)
{
    struct piece p = text(path);

    return talk(s, XS_RM, tx, &p, 1);
}

int store_set_perms(struct store *s, uint32_t tx, const char *path, const char *perms)
{
    char list[256];
    size_t n = strlen(perms) + 1;
    struct piece p[2] = { text(path), { list, n } };
    size_t i;

    if (n > sizeof(list)) {
        return -E2BIG;
    }
    for (i = 0; i < n; i++) {
        list[i] = perms[i] == ',' ? '\0' : perms[i];
    }
    return talk(s, XS_SET_PERMS, tx, p, 2);
}

int store_list(struct store *s, uint32_t tx, const char *path, char **names, size_t *count)
{
    struct piece p = text(path);
    int rc = talk(s, XS_DIRECTORY, tx, &p, 1);
    size_t i;

    *names = NULL;
    *count = 0;
    if (rc != 0) {
        return rc;
    }
    *names = malloc(s->head.len + 1);
    if (*names == NULL) {
        return -ENOMEM;
    }
    memcpy(*names, s->body, s->head.len + 1);
    for (i = 0; i < s->head.len; i++) {
        *count += (*names)[i] == '\0';
    }
    return 0;
}

int store_begin(struct store *s, uint32_t *tx)
{
    struct piece p = { "", 1 };
    int rc = talk(s, XS_TRANSACTION_START, 0, &p, 1);

    *tx = rc == 0 ? (uint32_t)strtoul(s->body, NULL, 10) : 0;
    return rc;
}

int store_end(struct store *s, uint32_t tx, bool commit)
{
    struct piece p = text(commit ? "T" : "F");

    return talk(s, XS_TRANSACTION_END, tx, &p, 1);
}

static int send_watch(struct store *s, uint32_t type, const char *path, const char *token)
{
    struct piece p[2] = { text(path), text(token) };

    return talk(s, type, 0, p, 2);
}

static struct watch **find_watch(struct store *s, const char *path, const char *token)
{
    struct watch **at = &s->watches;

    while (*at != NULL && (strcmp((*at)->path, path) != 0 || strcmp((*at)->token, token) != 0)) {
        at = &(*at)->next;
    }
    return at;
}

static void forget_watch(struct store *s, const char *path, const char *token)
{
    struct watch **at = find_watch(s, path, token);
    struct watch *w = *at;

    if (w != NULL) {
        clear_due(s, w);
        *at = w->next;
        free_watch(w);
    }
}

int store_watch_depth(struct store *s, const char *path, const char *token, unsigned int depth)
{
    struct watch *w;
    int rc;

    if (*find_watch(s, path, token) != NULL) {
        return send_watch(s, XS_WATCH, path, token);
    }
    w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return -ENOMEM;
    }
    w->path = strdup(path);
    w->token = strdup(token);
    w->depth = depth;
    if (w->path == NULL || w->token == NULL) {
        free_watch(w);
        return -ENOMEM;
    }
    w->next = s->watches; /* before it is sent: its first event may come before the answer */
    s->watches = w;
    rc = send_watch(s, XS_WATCH, path, token);
    if (rc != 0) {
        forget_watch(s, path, token);
    }
    return rc;
}

int store_watch(struct store *s, const char *path, const char *token)
{
    return store_watch_depth(s, path, token, UINT_MAX);
}

int store_unwatch(struct store *s, const char *path, const char *token)
{
    int rc = send_watch(s, XS_UNWATCH, path, token);

    forget_watch(s, path, token); /* in any case: a later connection does not set it again */
    return rc;
}

/* The store fires a watch when it is set, which tells the caller to look again at what it watches.
 */
static int set_watches_again(struct store *s)
{
    const struct watch *w;
    int rc;

    for (w = s->watches; w != NULL; w = w->next) {
        rc = send_watch(s, XS_WATCH, w->path, w->token);
        if (rc != 0 && rc != -EEXIST) {
            return rc;
        }
    }
    return 0;
}

int store_reconnect(struct store *s, unsigned int timeout_ms)
{
    int64_t end = now_ms() + timeout_ms;
    int rc;

    for (;;) {
        rc = connect_once(s);
        if (rc == 0) {
            rc = set_watches_again(s);
        }
        if (rc == 0 || now_ms() >= end) {
            return rc;
        }
        poll(NULL, 0, 50);
    }
}

int store_introduce(struct store *s, uint32_t domid, uint64_t gfn, uint32_t port)
{
    char words[3][24];
    struct piece p[3];

    snprintf(words[0], sizeof(words[0]), "%u", domid);
    snprintf(words[1], sizeof(words[1]), "%llu", (unsigned long long)gfn);
    snprintf(words[2], sizeof(words[2]), "%u", port);
    p[0] = text(words[0]);
    p[1] = text(words[1]);
    p[2] = text(words[2]);
    return talk(s, XS_INTRODUCE, 0, p, 3);
}

int store_release(struct store *s, uint32_t domid)
{
    char word[24];
    struct piece p;

    snprintf(word, sizeof(word), "%u", domid);
    p = text(word);
    return talk(s, XS_RELEASE, 0, &p, 1);
}

static int apply_once(struct store *s, const struct store_node *nodes, size_t count)
{
    uint32_t tx;
    size_t i;
    int rc = store_begin(s, &tx);

    if (rc != 0) {
        return rc;
    }
    for (i = 0; i < count && rc == 0; i++) {
        if (nodes[i].value == NULL) {
            rc = store_rm(s, tx, nodes[i].path);
            rc = rc == -ENOENT ? 0 : rc;
            continue;
        }
        rc = store_write(s, tx, nodes[i].path, nodes[i].value);
        if (rc == 0 && nodes[i].perms != NULL) {
            rc = store_set_perms(s, tx, nodes[i].path, nodes[i].perms);
        }
    }
    if (rc == 0) {
        return store_end(s, tx, true);
    }
    if (s->fd >= 0) {
        store_end(s, tx, false);
    }
    return rc;
}

int store_apply(struct store *s, const struct store_node *nodes, size_t count,
                unsigned int timeout_ms)
{
    int64_t end = now_ms() + timeout_ms;
    int64_t left;
    int rc;

    for (;;) {
        rc = apply_once(s, nodes, count);
        left = end - now_ms();
        if ((rc != -EAGAIN && rc != -ENOTCONN) || left <= 0) {
            return rc;
        }
        if (rc == -ENOTCONN) {
            rc = store_reconnect(s, (unsigned int)left);
            if (rc != 0) {
                return rc;
            }
        }
    }
}
