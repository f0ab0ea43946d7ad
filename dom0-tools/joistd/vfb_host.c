/* SPDX-License-Identifier: MIT */
/* Screens: starting and ending joist-fbd. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/program.h"
#include "joistd/devhost.h"
#include "joistd/vfb.h"
#include "joistd/vfb_screen.h"

#define START_WAIT 5000 /* ms for joist-fbd to say that it serves */
#define QUIT_WAIT  1000 /* ms for it to end when asked, then it is killed */
#define ARGS_MAX   24

static const char *run_dir = "/run/joist";
static const char *log_dir = "/var/log/joist";

void vfb_set_dirs(const char *run, const char *log)
{
    run_dir = run;
    log_dir = log;
}

void vfb_control_path(char *path, size_t size, unsigned int domid)
{
    snprintf(path, size, "%s/screen-%u.sock", run_dir, domid);
}

struct words {
    const char *arg[ARGS_MAX];
    size_t count;
};

static void add(struct words *w, const char *name, const char *value)
{
    w->arg[w->count++] = name;
    if (value != NULL) {
        w->arg[w->count++] = value;
    }
}

/* Runs in a grandchild, which belongs to nobody: it outlives the daemon. */
static void exec_screen(unsigned int domid, const char *name, const struct vfb *v, const int *io)
{
    struct words w = { 0 };
    char program[PATH_MAX];
    char control[108];
    char log[PATH_MAX];
    char id[16];
    char port[16];
    char ram[16];
    sigset_t none;

    program_find("joist-fbd", program, sizeof(program));
    vfb_control_path(control, sizeof(control), domid);
    snprintf(log, sizeof(log), "%s/joist-fbd.log", log_dir);
    log_make_room(log); /* all of them write to it, and none may rename it */
    snprintf(id, sizeof(id), "%u", domid);
    snprintf(port, sizeof(port), "%u", v->port != 0 ? v->port : v->display + VFB_PORT_BASE);
    snprintf(ram, sizeof(ram), "%u", v->videoram);
    add(&w, program, NULL);
    add(&w, "--domid", id);
    add(&w, "--name", name);
    add(&w, "--control", control);
    add(&w, "--videoram", ram);
    add(&w, "--log", log);
    if (v->has_vnc) {
        add(&w, "--vnc", v->listen);
        add(&w, "--port", port);
    }
    if (v->is_any_port) {
        add(&w, "--unused", NULL);
    }
    if (v->socket[0] != '\0') {
        add(&w, "--socket", v->socket);
    }
    if (v->password[0] != '\0') {
        add(&w, "--password", NULL);
    }
    dup2(io[0], STDIN_FILENO);
    dup2(io[1], STDOUT_FILENO);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(program, (char *const *)w.arg);
    dprintf(STDOUT_FILENO, "error %s: %s\n", program, strerror(errno));
    _exit(127);
}

/* The first line that joist-fbd says. */
static int read_report(int fd, struct vfb *v, struct fail *f)
{
    char line[900];
    size_t n = 0;
    struct pollfd p = { .fd = fd, .events = POLLIN };

    while (n < sizeof(line) - 1 && memchr(line, '\n', n) == NULL) {
        ssize_t got = poll(&p, 1, START_WAIT) > 0 ? read(fd, line + n, sizeof(line) - 1 - n) : -1;

        if (got <= 0) {
            return fail_set(f, -ETIMEDOUT, "screen", "joist-fbd", "it has not started");
        }
        n += (size_t)got;
    }
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "ok ", 3) != 0) {
        return fail_set(f, strstr(line, "in use") != NULL ? -EADDRINUSE : -EIO, "screen",
                        "joist-fbd", "%s", strncmp(line, "error ", 6) == 0 ? line + 6 : line);
    }
    v->port = (unsigned int)strtoul(line + 3, NULL, 10);
    return 0;
}

int vfb_spawn(unsigned int domid, const char *name, struct vfb *v, bool is_waiting, struct fail *f)
{
    int in[2] = { -1, -1 };
    int out[2] = { -1, -1 };
    int rc = 0;
    pid_t pid = -1;

    if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0) {
        pid = fork();
    }
    if (pid == 0) {
        const int io[2] = { in[0], is_waiting ? out[1] : open("/dev/null", O_WRONLY | O_CLOEXEC) };

        if (setsid() > 0 && fork() == 0) {
            exec_screen(domid, name, v, io);
        }
        _exit(0);
    }
    if (pid < 0) {
        rc = fail_set(f, -errno, "screen", name, "no process: %s", strerror(errno));
    }
    close(in[0]);
    close(out[1]);
    if (rc == 0) {
        waitpid(pid, NULL, 0);
        dprintf(in[1], "%s\n", v->password);
    }
    close(in[1]);
    if (rc == 0 && is_waiting) {
        rc = read_report(out[0], v, f);
    }
    close(out[0]);
    return rc;
}

void vfb_quit(unsigned int domid)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct ucred who = { 0 };
    socklen_t size = sizeof(who);
    char byte;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    bool is_there;

    vfb_control_path(addr.sun_path, sizeof(addr.sun_path), domid);
    is_there = fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
    if (is_there) {
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size);
        is_there = send(fd, "quit\n", 5, MSG_NOSIGNAL) == 5;
    }
    if (is_there && (poll(&p, 1, QUIT_WAIT) <= 0 || read(fd, &byte, 1) != 0) && who.pid > 0) {
        kill(who.pid, SIGKILL); /* in the midst of a viewer that takes nothing */
        poll(&p, 1, QUIT_WAIT);
    }
    if (fd >= 0) {
        close(fd);
    }
    unlink(addr.sun_path);
}

/* --- the class ------------------------------------------------------------------------------- */

static int vfb_prepare(struct dev_work *w, struct device *dev)
{
    vfb_quit(w->domid); /* of an earlier domain with this id */
    return vfb_spawn(w->domid, w->name, dev->own, true, w->f);
}

/* Where scripts for xl look for the port. */
static int vfb_plug(struct dev_work *w, const struct device *dev, const struct dev_paths *at)
{
    const struct vfb *v = dev->own;
    char dir[48];

    (void)at;
    snprintf(dir, sizeof(dir), "/local/domain/%u/console", w->domid);
    return v->has_vnc ? dev_set(w, dir, "vnc-port", "%u", v->port) : 0;
}

static void vfb_unplug(struct dev_work *w, unsigned int id, const struct dev_paths *at)
{
    (void)id;
    (void)at;
    vfb_quit(w->domid);
}

static void vfb_sweep(struct dev_work *w, const struct config *keep)
{
    if (keep == NULL) {
        vfb_quit(w->domid);
    }
}

const struct dev_host vfb_host = {
    .prepare = vfb_prepare,
    .plug = vfb_plug,
    .unplug = vfb_unplug,
    .sweep = vfb_sweep,
};

const struct dev_host vkb_host = { 0 };
