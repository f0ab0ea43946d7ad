/* SPDX-License-Identifier: MIT */
/* Running hotplug programs: own process group, time limit, last line of output kept. */
#include "joistd/net_script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/evloop.h"

#define STEP_MS    20
#define OUTPUT_MAX 4096
#define PIPE_READS 64

struct script {
    const char *path;
    const char *action;
    const char *name;
    const struct dev_paths *at;
    const char *netdev; /* NULL: none */
};

static void run_child(const struct script *s, int out, pid_t parent)
{
    char *argv[] = { strdup(s->path), strdup(s->action), NULL };
    sigset_t none;
    int null = open("/dev/null", O_RDONLY);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || argv[0] == NULL || argv[1] == NULL) {
        _exit(127);
    }
    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    dup2(null, 0);
    dup2(out, 1);
    dup2(out, 2);
    setenv("XENBUS_PATH", s->at->back, 1);
    setenv("XENBUS_TYPE", "vif", 1);
    setenv("XENBUS_BASE_PATH", "backend", 1);
    setenv("vif", s->name, 1);
    setenv("script", s->path, 1);
    setenv("type_if", "vif", 1);
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
    if (s->netdev != NULL) {
        setenv("netdev", s->netdev, 1);
    }
    execv(s->path, argv);
    fprintf(stderr, "cannot be run: %s\n", strerror(errno));
    _exit(127);
}

/* Adds what has been written; of long output only the end is kept.  False when there is no more. */
static bool take_output(int fd, char *text, size_t *used)
{
    ssize_t n;

    if (*used > OUTPUT_MAX / 2) {
        memmove(text, text + *used - OUTPUT_MAX / 2, OUTPUT_MAX / 2);
        *used = OUTPUT_MAX / 2;
    }
    n = read(fd, text + *used, OUTPUT_MAX - 1 - *used);
    if (n > 0) {
        *used += (size_t)n;
    }
    text[*used] = '\0';
    return n > 0;
}

static const char *last_line(char *text)
{
    size_t n = strlen(text);
    char *line;

    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ')) {
        text[--n] = '\0';
    }
    line = strrchr(text, '\n');
    return line != NULL ? line + 1 : text;
}

/* Waits for the end of the program; its wait status, or -ETIMEDOUT after killing its group. */
static int wait_end(pid_t pid, int out, char *text)
{
    struct pollfd p = { .fd = out, .events = POLLIN };
    uint64_t end = evloop_now_ms() + NET_SCRIPT_WAIT;
    size_t used = 0;
    unsigned int i;
    int status = 0;

    while (evloop_now_ms() < end) {
        if (poll(&p, 1, STEP_MS) > 0) {
            take_output(out, text, &used);
        }
        if ((p.revents & POLLHUP) != 0) {
            p.fd = -1; /* all its output is read; poll() is only a pause from now on */
        }
        if (waitpid(pid, &status, WNOHANG) == pid) {
            /* what a pipe holds, and no more: something that it has started may write on */
            for (i = 0; i < PIPE_READS && take_output(out, text, &used); i++) {
            }
            return status;
        }
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -ETIMEDOUT;
}

/* Starts it; the process id or a negative errno, *out is where its output is read. */
static pid_t start(const struct script *s, int *out)
{
    pid_t parent = getpid();
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    pid = fork();
    if (pid == 0) {
        run_child(s, ends[1], parent);
    }
    if (pid < 0) {
        pid = -errno;
        close(ends[0]);
    } else {
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        *out = ends[0];
    }
    close(ends[1]);
    return pid;
}

static int report(struct dev_work *w, const struct script *s, int status, char *text)
{
    char error[200];

    if (status == -ETIMEDOUT) {
        fail_set(w->f, -ETIMEDOUT, "network", s->path,
                 "the script did not end within %d s of \"%s %s\"", NET_SCRIPT_WAIT / 1000, s->name,
                 s->action);
        return w->f->code;
    }
    dev_get(w, s->at->back, "hotplug-error", error, sizeof(error));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && error[0] == '\0') {
        return 0;
    }
    if (WIFSIGNALED(status)) {
        fail_set(w->f, -EIO, "network", s->path, "the script was ended by signal %d",
                 WTERMSIG(status));
    } else {
        fail_set(w->f, -EIO, "network", s->path, "the script ended with code %d: %s",
                 WEXITSTATUS(status), error[0] != '\0' ? error : last_line(text));
    }
    return w->f->code;
}

int net_script_run(struct dev_work *w, const char *script, const char *action, const char *name,
                   const struct dev_paths *at)
{
    struct script s = { .path = script, .action = action, .name = name, .at = at };
    char text[OUTPUT_MAX] = "";
    char netdev[16];
    int out = -1;
    pid_t pid;
    int rc;

    if (dev_get(w, at->priv, "gatewaydev", netdev, sizeof(netdev))) {
        s.netdev = netdev;
    }
    pid = start(&s, &out);
    if (pid < 0) {
        return fail_set(w->f, (int)pid, "network", script, "no child process: %s",
                        strerror((int)-pid));
    }
    rc = wait_end(pid, out, text);
    close(out);
    return report(w, &s, rc, text);
}
