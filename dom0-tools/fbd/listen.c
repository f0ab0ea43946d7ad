/* SPDX-License-Identifier: MIT */
/* Listening sockets. */

#include "fbd/listen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG    16
#define TCP_LISTEN 0x0au /* state in /proc/net/tcp */

/* The inode of the socket that listens on a TCP port, 0 when there is none. */
static unsigned long listener_inode(const char *table, unsigned int port)
{
    char line[256];
    unsigned long found = 0;
    FILE *f = fopen(table, "re");

    while (f && !found && fgets(line, sizeof(line), f)) {
        unsigned int local = 0;
        unsigned int state = 0;
        unsigned long inode = 0;

        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu",
                   &local, &state, &inode) == 3 &&
            local == port && state == TCP_LISTEN) {
            found = inode;
        }
    }
    if (f) {
        (void)fclose(f);
    }
    return found;
}

/* Whether a process has the socket open. */
static bool has_socket(const char *pid, unsigned long inode)
{
    char path[PATH_MAX];
    char want[48];
    char got[48];
    bool has = false;
    const struct dirent *e;

    (void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    (void)snprintf(want, sizeof(want), "socket:[%lu]", inode);
    DIR *d = opendir(path);
    while (d && !has && (e = readdir(d)) != NULL) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, got, sizeof(got) - 1);

        got[n > 0 ? n : 0] = '\0';
        has = strcmp(got, want) == 0;
    }
    if (d) {
        (void)closedir(d);
    }
    return has;
}

/* "program (pid N)", with the guest's name if it is one of us. */
static void describe(const char *pid, char *text, size_t size)
{
    char path[64];
    char words[512] = "";

    (void)snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, words, sizeof(words) - 1) : 0;
    if (fd >= 0) {
        close(fd);
    }
    const char *end = words + (n > 0 ? n : 0);
    const char *slash = strrchr(words, '/');
    const char *program = slash ? slash + 1 : words;
    for (const char *w = words; w < end; w += strlen(w) + 1) {
        if (strcmp(w, "--name") == 0 && strcmp(program, "joist-fbd") == 0) {
            (void)snprintf(text, size, "the screen of guest %.100s", w + strlen(w) + 1);
            return;
        }
    }
    (void)snprintf(text, size, "%.100s (pid %.20s)", *program ? program : "a program", pid);
}

static void find_owner(unsigned int port, char *text, size_t size)
{
    unsigned long inode = listener_inode("/proc/net/tcp", port);
    const struct dirent *e;

    if (!inode) {
        inode = listener_inode("/proc/net/tcp6", port);
    }
    (void)snprintf(text, size, "another program");
    DIR *d = inode ? opendir("/proc") : NULL;
    while (d && (e = readdir(d)) != NULL) {
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && has_socket(e->d_name, inode)) {
            describe(e->d_name, text, size);
            break;
        }
    }
    if (d) {
        (void)closedir(d);
    }
}

/* One try; the socket or a negative errno. */
static int try_port(const char *address, unsigned int port)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
    struct addrinfo *ai;
    char service[16];
    int one = 1;

    (void)snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(address, service, &hints, &ai) != 0) {
        return -EINVAL;
    }
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = fd < 0 ? -errno : 0;
    if (rc == 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
            rc = -errno;
            close(fd);
        }
    }
    freeaddrinfo(ai);
    return rc < 0 ? rc : fd;
}

int listen_tcp(struct listen_place *place, struct fail *f)
{
    unsigned int last = place->port + (place->is_any_port ? LISTEN_UNUSED_TRIES : 0);
    char object[100];
    char owner[200];
    int rc = -EINVAL;

    for (unsigned int port = place->port; port <= last && port <= 65535; port++) {
        rc = try_port(place->address, port);
        if (rc >= 0) {
            place->port = port;
            return rc;
        }
        if (rc != -EADDRINUSE) {
            break;
        }
    }
    (void)snprintf(object, sizeof(object), "%.64s port %u", place->address, place->port);
    if (rc == -EADDRINUSE) {
        find_owner(place->port, owner, sizeof(owner));
        fail_set(f, rc, "screen", object, "the port is in use by %s", owner);
        return fail_remedy(f, "choose another vncdisplay, or vncunused=1");
    }
    return fail_set(f, rc, "screen", object, "cannot listen there: %s", strerror(-rc));
}

int listen_unix(const char *path, struct fail *f)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(addr.sun_path)) {
        return fail_set(f, -ENAMETOOLONG, "screen", path, "longer than %zu bytes",
                        sizeof(addr.sun_path) - 1);
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return fail_set(f, -errno, "screen", path, "no socket: %s", strerror(errno));
    }
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
        close(fd);
        return fail_set(f, -EADDRINUSE, "screen", path, "another program serves this socket");
    }
    if (errno == ECONNREFUSED) {
        (void)unlink(path); /* a socket whose program has ended */
    }
    mode_t before = umask(0177);
    int rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, BACKLOG) < 0
                 ? -errno
                 : 0;
    (void)umask(before);
    if (rc < 0) {
        close(fd);
        return fail_set(f, rc, "screen", path, "cannot listen there: %s", strerror(-rc));
    }
    return fd;
}
