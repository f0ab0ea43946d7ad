/* SPDX-License-Identifier: MIT */
/*
 * joist console: the terminal joined to the guest's pty.  The pty changes when the console daemon
 * or the guest starts again: joistd is then asked for the new one, and the attachment goes on.
 * What is typed meanwhile goes to the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

#define ASK_MS      2000  /* between questions whether the guest still exists */
#define RETRY_MS    50    /* between questions while there is no terminal */
#define QUIET_MS    500   /* after the end of the input, silence for so long ends it */
#define PATIENCE_MS 15000 /* how long there may be none without joistd saying why */

#define PTS_MAJOR  136 /* Unix98 pseudo-terminals, as Linux numbers them */
#define PTS_MAJORS 8

struct attached {
    struct cli *c;
    const char *domain;
    int number; /* of the console */
    int escape;
    int tty;         /* -1 while there is none */
    char path[128];  /* of that tty */
    char last[1024]; /* what joistd said last */
    char held[256];  /* typed while there was no tty */
    size_t held_size;
    bool is_input_over; /* end of a script's input: what the guest answers is still shown */
    bool is_input_raw;
    struct termios before;
};

static volatile sig_atomic_t is_ending;

static void end_signal(int number)
{
    (void)number;
    is_ending = 1;
}

/* The code of the escape character as "^X" or "X"; -1 if it is written neither way. */
int escape_of(const struct parsed *p)
{
    const char *text = p->value['e'];

    if (text == NULL) {
        return 0x1d;
    }
    if (text[0] == '^' && text[1] >= '@' && text[1] <= '~' && text[2] == '\0') {
        return text[1] & 0x1f;
    }
    return text[0] != '\0' && text[1] == '\0' ? (unsigned char)text[0] : -1;
}

static void detach_tty(struct attached *a)
{
    if (a->tty >= 0) {
        close(a->tty);
    }
    a->tty = -1;
}

/* The terminals of consoles are called so, and to open anything else as root could do something. */
static bool is_terminal_path(const char *path)
{
    static const char dir[] = "/dev/pts/";
    size_t n = strlen(dir);
    size_t digits = strncmp(path, dir, n) == 0 ? strspn(path + n, "0123456789") : 0;

    return digits > 0 && digits <= 10 && path[n + digits] == '\0';
}

int terminal_open(const char *path)
{
    struct termios raw;
    struct stat st;
    int fd;

    if (!is_terminal_path(path)) {
        return -ENOTTY;
    }
    fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &st) != 0 || !S_ISCHR(st.st_mode) || major(st.st_rdev) < PTS_MAJOR ||
        major(st.st_rdev) >= PTS_MAJOR + PTS_MAJORS) {
        close(fd);
        return -ENOTTY;
    }
    if (tcgetattr(fd, &raw) == 0) {
        cfmakeraw(&raw);
        tcsetattr(fd, TCSANOW, &raw);
    }
    return fd;
}

/* Opens the guest's terminal in place of the one before; false if it can be none, ever. */
static bool open_tty(struct attached *a, const char *path)
{
    int fd = terminal_open(path);

    if (fd == -ENOTTY) {
        snprintf(a->last, sizeof(a->last),
                 "console: %s: its terminal is said to be %.64s, which is no pseudo-terminal: it "
                 "is not opened",
                 a->domain, path);
        return false;
    }
    if (fd < 0) {
        snprintf(a->last, sizeof(a->last), "console: %s: %s cannot be opened: %s", a->domain, path,
                 strerror(-fd));
        return true;
    }
    detach_tty(a);
    a->tty = fd;
    snprintf(a->path, sizeof(a->path), "%s", path);
    return true;
}

/* What joistd says about the guest's terminal. */
enum answer {
    ANSWER_TTY,  /* there is one; a->tty is open if that worked */
    ANSWER_WAIT, /* not now, but there may be one soon */
    ANSWER_BUSY, /* not until the guest is built, however long that takes */
    ANSWER_GONE, /* there is none, and none will come: the guest is no more, or it is no terminal */
    ANSWER_LOST, /* joistd cannot be reached */
};

/* Errors that no waiting mends: no such guest, the control domain, an argument that is wrong. */
static bool is_final(const char *code)
{
    return strcmp(code, "ENOENT") == 0 || strcmp(code, "EPERM") == 0 || strcmp(code, "EINVAL") == 0;
}

static enum answer ask(struct attached *a)
{
    json_t *args = json_pack("{s:s, s:i}", "domain", a->domain, "number", a->number);
    json_t *reply;
    const json_t *result;
    const json_t *error;
    enum answer answer;
    const char *tty;

    if (client_ask(a->c, "console", args, &reply) != 0) {
        return ANSWER_LOST;
    }
    result = json_object_get(reply, "result");
    error = json_object_get(reply, "error");
    tty = get_text(result, "tty");
    if (error != NULL) {
        snprintf(a->last, sizeof(a->last), "%s", get_text(error, "text"));
        answer = is_final(get_text(error, "code"))               ? ANSWER_GONE
                 : strcmp(get_text(error, "code"), "EBUSY") == 0 ? ANSWER_BUSY
                                                                 : ANSWER_WAIT;
    } else if (tty[0] == '\0') {
        snprintf(a->last, sizeof(a->last),
                 "console: %s: it has no terminal; see whether joist-consoled runs", a->domain);
        answer = ANSWER_WAIT;
    } else {
        bool is_good = (a->tty >= 0 && strcmp(tty, a->path) == 0) || open_tty(a, tty);

        answer = is_good ? ANSWER_TTY : ANSWER_GONE;
    }
    json_decref(reply);
    return answer;
}

static void set_raw(struct attached *a)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &a->before) != 0) {
        return;
    }
    raw = a->before;
    cfmakeraw(&raw);
    a->is_input_raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void set_cooked(struct attached *a)
{
    if (a->is_input_raw) {
        tcsetattr(STDIN_FILENO, TCSANOW, &a->before);
    }
    a->is_input_raw = false;
}

static void write_all(int fd, const char *data, size_t size)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    ssize_t n;

    while (size > 0 && !is_ending) {
        n = write(fd, data, size);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (poll(&p, 1, 1000) <= 0) {
                return; /* nobody takes it: a guest that reads no input loses it */
            }
        } else if (n < 0 && errno != EINTR) {
            return;
        }
    }
}

static void pass_held(struct attached *a)
{
    if (a->tty >= 0) {
        write_all(a->tty, a->held, a->held_size);
        a->held_size = 0;
    }
}

/* From the keyboard to the guest, or kept for it; false when the person leaves. */
static bool pass_input(struct attached *a)
{
    char *data = a->held + a->held_size;
    const char *hit;
    ssize_t n = read(STDIN_FILENO, data, sizeof(a->held) - a->held_size);

    if (n == 0) {
        a->is_input_over = true;
        return true;
    }
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    hit = memchr(data, a->escape, (size_t)n);
    a->held_size += hit != NULL ? (size_t)(hit - data) : (size_t)n;
    pass_held(a);
    return hit == NULL;
}

/* Lets RETRY_MS pass, or until a key is hit; false when the person leaves. */
static bool pause_here(struct attached *a, bool is_first)
{
    bool is_read = !is_first && !a->is_input_over && a->held_size < sizeof(a->held);
    struct pollfd p = { .fd = is_read ? STDIN_FILENO : -1, .events = POLLIN };

    return poll(&p, 1, RETRY_MS) <= 0 || pass_input(a);
}

/* From the guest to the screen; false when the terminal has gone. */
static bool pass_output(struct attached *a)
{
    char data[4096];
    ssize_t n = read(a->tty, data, sizeof(data));

    if (n > 0) {
        write_all(STDOUT_FILENO, data, (size_t)n);
        return true;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Passes bytes both ways; true when the terminal has gone, false when the person leaves. */
static bool pass(struct attached *a)
{
    struct pollfd p[2] = { { .fd = a->tty, .events = POLLIN },
                           { .fd = STDIN_FILENO, .events = POLLIN } };
    int n;

    while (!is_ending) {
        p[1].fd = a->is_input_over ? -1 : STDIN_FILENO;
        n = poll(p, 2, a->is_input_over ? QUIET_MS : ASK_MS);
        if (n == 0 && a->is_input_over) {
            return false;
        }
        if (n == 0) {
            enum answer answer = ask(a);

            /* while joistd itself starts again the terminal goes on */
            if (answer != ANSWER_LOST && (answer != ANSWER_TTY || a->tty != p[0].fd)) {
                return true;
            }
            continue;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n > 0 && p[0].revents != 0 && !pass_output(a)) {
            return true;
        }
        if (n > 0 && p[1].revents != 0 && !pass_input(a)) {
            return false;
        }
    }
    return false;
}

/* Waits until there is a terminal; an exit code or -1 to go on. */
static int find_tty(struct attached *a, bool is_first)
{
    unsigned int waited = 0;
    enum answer answer;

    while (waited < PATIENCE_MS && !is_ending) {
        answer = ask(a);
        if (answer == ANSWER_TTY && a->tty >= 0) {
            pass_held(a);
            if (!is_first) {
                fprintf(stderr, "\r\n[joist: %s: attached again]\r\n", a->domain);
            }
            return -1;
        }
        if (answer == ANSWER_GONE) {
            fprintf(stderr, is_first ? "joist: %s\n" : "\r\njoist: %s\r\n", a->last);
            return is_first ? EXIT_FAILED : EXIT_DONE;
        }
        if (answer == ANSWER_LOST && is_first) {
            return EXIT_UNREACHABLE;
        }
        if (!pause_here(a, is_first)) {
            return EXIT_DONE;
        }
        waited = answer == ANSWER_BUSY ? 0 : waited + RETRY_MS;
    }
    fprintf(stderr, is_first ? "joist: %s\n" : "\r\njoist: %s\r\n", a->last);
    return EXIT_FAILED;
}

int console_attach(struct cli *c, const char *domain, int number, int escape)
{
    struct attached a = { .c = c, .domain = domain, .number = number, .escape = escape, .tty = -1 };
    struct sigaction sa = { .sa_handler = end_signal };
    bool is_first = true;
    int rc;

    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    do {
        rc = find_tty(&a, is_first);
        if (rc >= 0) {
            break;
        }
        if (is_first) {
            set_raw(&a);
            c->is_quiet = true;
        }
        is_first = false;
        rc = EXIT_DONE;
        if (!pass(&a)) {
            break;
        }
        detach_tty(&a);
    } while (!is_ending);
    set_cooked(&a);
    detach_tty(&a);
    return rc;
}

/* The console that -n and -t name; -1 after a line on standard error. */
static int number_of(const struct parsed *p)
{
    const char *type = p->value['t'];
    const char *text = p->value['n'] != NULL ? p->value['n'] : "0";
    char *end;
    long n = strtol(text, &end, 10);

    if (type != NULL && strcmp(type, "pv") != 0) {
        fprintf(stderr, "joist: console: -t %s: the guests here have consoles of type pv\n", type);
        return -1;
    }
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > 255) {
        fprintf(stderr, "joist: console: -n %s: a number up to 255 is wanted\n", text);
        return -1;
    }
    return (int)n;
}

int cmd_console(struct cli *c, const struct parsed *p)
{
    json_t *reply;
    json_t *result;
    int escape = escape_of(p);
    int number = number_of(p);
    int rc;

    if (escape < 0) {
        fprintf(stderr, "joist: console: the escape character is written ^X\n");
        return EXIT_USAGE;
    }
    if (number < 0) {
        return EXIT_USAGE;
    }
    if (c->is_json) { /* where the console is, for programs that attach by themselves */
        rc = client_call(c, "console",
                         json_pack("{s:s, s:i}", "domain", p->words[0], "number", number), &reply,
                         &result);
        json_decref(reply);
        return rc;
    }
    return console_attach(c, p->words[0], number, escape);
}
