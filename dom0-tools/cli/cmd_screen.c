/* SPDX-License-Identifier: MIT */
/* Verbs on a guest's screen: a viewer, a picture. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <png.h>

#include "cli/cli.h"

#define SHOT_WAIT_MS 10000
#define SIDE_MAX     8192 /* pixels that are believed */

/* --- joist vncviewer ------------------------------------------------------------------------- */

/* The words "localhost" and display of a screen, as viewers want them. */
static void viewer_address(const json_t *screen, char *text, size_t size)
{
    const char *host = get_text(screen, "listen");
    long long display = get_int(screen, "port") - 5900;

    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        host = "localhost";
    }
    snprintf(text, size, strchr(host, ':') != NULL ? "[%s]:%lld" : "%s:%lld", host, display);
}

int cmd_vncviewer(struct cli *c, const struct parsed *p)
{
    json_t *reply;
    json_t *result;
    char address[128];
    int rc = client_call(c, "screen", json_pack("{s:s}", "domain", p->words[0]), &reply, &result);

    if (rc != EXIT_DONE || c->is_json) {
        json_decref(reply);
        return rc;
    }
    if (get_int(result, "port") <= 0) {
        fprintf(stderr, "joist: vncviewer: %s: its screen has no TCP port%s%s\n", p->words[0],
                get_text(result, "socket")[0] != '\0' ? "; viewers use the socket " : "",
                get_text(result, "socket"));
        json_decref(reply);
        return EXIT_FAILED;
    }
    viewer_address(result, address, sizeof(address));
    json_decref(reply);
    if (!p->flag['p']) {
        execlp("vncviewer", "vncviewer", address, (char *)NULL);
        fprintf(stderr, "joist: vncviewer: no viewer of that name is installed (%s)\n",
                strerror(errno));
    }
    printf("%s\n", address);
    return p->flag['p'] ? EXIT_DONE : EXIT_FAILED;
}

/* --- lists ----------------------------------------------------------------------------------- */

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

static void print_device(const json_t *d)
{
    const json_t *front = json_object_get(d, "front_nodes");
    const json_t *nodes = json_object_get(d, "nodes");
    bool is_channel = get_text(nodes, "connection")[0] != '\0';
    const char *ref = get_text(front, is_channel ? "ring-ref" : "page-ref");
    const char *port = get_text(front, is_channel ? "port" : "event-channel");
    const char *place =
        get_text(nodes, "path")[0] != '\0' ? get_text(nodes, "path") : get_text(nodes, "tty");

    printf("%-3lld %-3lld %-5lld %-6s %-9s %-10s %s\n", get_int(d, "id"), get_int(d, "backend_id"),
           get_int(d, "state"), or_dash(port), or_dash(ref), or_dash(get_text(nodes, "connection")),
           is_channel ? or_dash(place) : get_text(d, "backend"));
}

static int list_class(struct cli *c, const struct parsed *p, const char *class)
{
    return device_list(c, p, class, "Idx BE  state evt-ch ring-ref  connection params",
                       print_device);
}

int cmd_channel_list(struct cli *c, const struct parsed *p)
{
    return list_class(c, p, "channel");
}

int cmd_vkb_list(struct cli *c, const struct parsed *p)
{
    return list_class(c, p, "vkb");
}

/* --- joist screenshot ------------------------------------------------------------------------ */

struct shot {
    int fd;
    unsigned int width;
    unsigned int height;
    unsigned char *line;
};

/* Exactly size bytes, or false. */
static bool read_all(int fd, void *data, size_t size)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    unsigned char *at = data;

    while (size > 0) {
        ssize_t n = poll(&p, 1, SHOT_WAIT_MS) > 0 ? read(fd, at, size) : 0;

        if (n <= 0) {
            return false;
        }
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* Asks joist-fbd for a picture; the pixels follow on s->fd. */
static int shot_ask(const char *domain, const char *control, struct shot *s)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    char line[256];
    size_t n = 0;

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", control);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        send(s->fd, "shot\n", 5, MSG_NOSIGNAL) != 5) {
        fprintf(stderr, "joist: screenshot: %s: %s: %s\n", domain, control, strerror(errno));
        return EXIT_FAILED;
    }
    do {
        if (!read_all(s->fd, line + n, 1)) {
            fprintf(stderr, "joist: screenshot: %s: joist-fbd does not answer\n", domain);
            return EXIT_FAILED;
        }
    } while (line[n++] != '\n' && n < sizeof(line) - 1);
    line[n - 1] = '\0';
    if (sscanf(line, "shot %u %u", &s->width, &s->height) != 2 || s->width < 1 ||
        s->width > SIDE_MAX || s->height < 1 || s->height > SIDE_MAX) {
        fprintf(stderr, "joist: screenshot: %s: %s\n", domain,
                strncmp(line, "error shot ", 11) == 0 ? line + 11 : line);
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static void png_failed(png_structp png, png_const_charp text)
{
    fprintf(stderr, "joist: screenshot: %s\n", text);
    longjmp(*png_set_longjmp_fn(png, longjmp, sizeof(jmp_buf)), 1);
}

static int shot_write(struct shot *s, FILE *file)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, png_failed, NULL);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    unsigned int y;

    if (info == NULL || setjmp(png_jmpbuf(png)) != 0) {
        png_destroy_write_struct(&png, &info);
        return EXIT_FAILED;
    }
    png_init_io(png, file);
    png_set_IHDR(png, info, s->width, s->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (y = 0; y < s->height; y++) {
        if (!read_all(s->fd, s->line, (size_t)s->width * 3)) {
            png_error(png, "joist-fbd ended in the middle of the picture");
        }
        png_write_row(png, s->line);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return EXIT_DONE;
}

/* A file that could not be completed is removed. */
static int shot_save(struct shot *s, const char *path)
{
    FILE *file = fopen(path, "wbe");
    int rc;

    if (file == NULL) {
        fprintf(stderr, "joist: screenshot: %s: %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    s->line = malloc((size_t)s->width * 3);
    rc = s->line != NULL ? shot_write(s, file) : EXIT_FAILED;
    free(s->line);
    if (fclose(file) != 0 && rc == EXIT_DONE) {
        fprintf(stderr, "joist: screenshot: %s: %s\n", path, strerror(errno));
        rc = EXIT_FAILED;
    }
    if (rc != EXIT_DONE) {
        unlink(path);
    }
    return rc;
}

int cmd_screenshot(struct cli *c, const struct parsed *p)
{
    json_t *reply;
    json_t *result;
    bool is_json = c->is_json;
    struct shot s = { .fd = -1 };
    int rc;

    c->is_json = false; /* what is printed is the result of all of it */
    rc = client_call(c, "screen", json_pack("{s:s}", "domain", p->words[0]), &reply, &result);
    if (rc == EXIT_DONE) {
        rc = shot_ask(p->words[0], get_text(result, "control"), &s);
    }
    if (rc == EXIT_DONE) {
        rc = shot_save(&s, p->words[1]);
    }
    if (rc == EXIT_DONE && is_json) {
        json_t *said = json_pack("{s:s, s:i, s:i}", "file", p->words[1], "width", (int)s.width,
                                 "height", (int)s.height);
        char *text = said != NULL ? json_dumps(said, JSON_COMPACT) : NULL;

        puts(text != NULL ? text : "{}");
        free(text);
        json_decref(said);
    }
    if (s.fd >= 0) {
        close(s.fd);
    }
    json_decref(reply);
    return rc;
}
