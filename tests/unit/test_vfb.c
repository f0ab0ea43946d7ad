/* SPDX-License-Identifier: MIT */
/* Entries of vfb=[...], vkb=[...] and channel=[...]: what they mean, what is refused and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/config.h"
#include "joistd/vfb.h"

static struct config config;

static int make(const char *text, char *line, size_t size, size_t *warning_count)
{
    struct xlcfg c = { 0 };
    struct fail f = { 0 };
    json_t *warnings = json_array();
    char file[4096];
    int rc;

    snprintf(file, sizeof(file), "name='a'\nkernel='/k'\n%s", text);
    config_drop(&config);
    rc = xlcfg_parse(&c, "t.cfg", file, strlen(file), &f);
    if (rc == 0) {
        rc = config_make(&config, &c, "/dir", warnings, &f);
    }
    fail_text(&f, line, (unsigned int)size);
    *warning_count = json_array_size(warnings);
    json_decref(warnings);
    xlcfg_free(&c);
    return rc;
}

static void screens(void **state)
{
    static const struct {
        const char *entry;
        bool has_vnc;
        bool is_any_port;
        const char *listen;
        unsigned int display;
        const char *password;
        unsigned int videoram;
        size_t warnings;
    } rows[] = {
        { "", true, true, "127.0.0.1", 0, "", 16, 0 },
        { "vnc=1", true, true, "127.0.0.1", 0, "", 16, 0 },
        { "vnc=0", false, true, "127.0.0.1", 0, "", 16, 0 },
        { "vnc=1, vnclisten=0.0.0.0, vncdisplay=7", true, false, "0.0.0.0", 7, "", 16, 0 },
        { "vncdisplay=7,vncunused=1", true, true, "127.0.0.1", 7, "", 16, 0 },
        { "vncunused=0", true, false, "127.0.0.1", 0, "", 16, 0 },
        { "vnclisten=10.0.0.1:12", true, false, "10.0.0.1", 12, "", 16, 0 },
        { "vnclisten=::1", true, true, "::1", 0, "", 16, 0 },
        { "vnclisten=[::]:3", true, false, "::", 3, "", 16, 0 },
        { "vncpasswd=secret", true, true, "127.0.0.1", 0, "secret", 16, 0 },
        { "vncpasswd=much too long", true, true, "127.0.0.1", 0, "much too", 16, 1 },
        { "sdl=0,opengl=0,keymap=en-us,backend=0", true, true, "127.0.0.1", 0, "", 16, 0 },
        { "sdl=1,keymap=de", true, true, "127.0.0.1", 0, "", 16, 2 },
        { "videoram=64", true, true, "127.0.0.1", 0, "", 64, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        char line[700];
        size_t warnings;

        snprintf(text, sizeof(text), "vfb=[\"%s\"]\n", rows[i].entry);
        if (make(text, line, sizeof(line), &warnings) != 0) {
            fail_msg("%s: %s", rows[i].entry, line);
        }
        const struct device *dev = vfb_of(&config);
        assert_non_null(dev);
        const struct vfb *v = dev->own;
        assert_int_equal(v->has_vnc, rows[i].has_vnc);
        assert_int_equal(v->is_any_port, rows[i].is_any_port);
        assert_string_equal(v->listen, rows[i].listen);
        assert_int_equal(v->display, rows[i].display);
        assert_string_equal(v->password, rows[i].password);
        assert_int_equal(v->videoram, rows[i].videoram);
        assert_int_equal(warnings, rows[i].warnings);
        assert_int_equal(config.device_count, 2); /* the keyboard comes along */
        assert_ptr_equal(config.devices[1]->class, &vkb_class);
        assert_true(config.devices[1]->is_implied);
    }
}

static void refusals(void **state)
{
    static const char *const rows[][3] = {
        { "vfb=['vnc=1,bogus=2']", "t.cfg:3:13", "bogus" },
        { "vfb=['vnc=2']", "t.cfg:3:11", "0 or 1" },
        { "vfb=['vnc=1,sideways']", "t.cfg:3:13", "sideways" },
        { "vfb=['vncdisplay=59636']", "t.cfg:3:18", "59635" },
        { "vfb=['vncdisplay=-1']", "t.cfg:3:18", "number" },
        { "vfb=['vncdisplay=99999999999']", "t.cfg:3:18", "number" },
        { "vfb=['vnclisten=example.org']", "t.cfg:3:17", "numeric address" },
        { "vfb=['vnclisten=1.2.3.4:x']", "t.cfg:3:17", "number" },
        { "vfb=['vnclisten=']", "t.cfg:3:17", "numeric address" },
        { "vfb=['backend=net']", "t.cfg:3:15", "control domain" },
        { "vfb=['videoram=0']", "t.cfg:3:16", "at least 1" },
        { "vfb=['videoram=65']", "t.cfg:3:16", "64" },
        { "vfb=['vncsocket=rel']", "t.cfg:3:17", "absolute" },
        { "vfb=['','']", "t.cfg:3:10", "more than 1" },
        { "vkb=['']", "t.cfg:3:7", "vfb" },
        { "channel=['connection=pty']", "t.cfg:3:11", "name" },
        { "channel=['name=a']", "t.cfg:3:11", "connection" },
        { "channel=['name=a b,connection=pty']", "t.cfg:3:17", "letters" },
        { "channel=['name=a,connection=tcp']", "t.cfg:3:29", "pty or socket" },
        { "channel=['name=a,connection=socket']", "t.cfg:3:11", "path=" },
        { "channel=['name=a,connection=pty,path=/x']", "t.cfg:3:11", "path=" },
        { "channel=['name=a,connection=socket,path=x']", "t.cfg:3:41", "absolute" },
        { "channel=['name=a,connection=pty','name=a,connection=pty']", "t.cfg:3:35", "another" },
        { "channel=['name=a,connection=pty,mode=x']", "t.cfg:3:33", "mode" },
        { "channel=['name=a,connection=pty,backend=b']", "t.cfg:3:41", "control domain" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[700];
        size_t warnings;
        int rc = make(rows[i][0], line, sizeof(line), &warnings);

        if (rc >= 0 || !strstr(line, rows[i][1]) || !strstr(line, rows[i][2])) {
            fail_msg("%s: %d \"%s\"", rows[i][0], rc, line);
        }
    }
}

static void channels(void **state)
{
    char line[700];
    size_t warnings;
    char text[1024] = "channel=[";

    (void)state;
    assert_int_equal(make("channel=['name=a.b,connection=pty',"
                          "'connection=socket, path=/run/x.sock, name=c']",
                          line, sizeof(line), &warnings),
                     0);
    assert_int_equal(config.device_count, 2);
    assert_int_equal(config.devices[0]->id, 1);
    assert_int_equal(config.devices[1]->id, 2);
    for (int i = 0; i < 10; i++) {
        size_t used = strlen(text);

        snprintf(text + used, sizeof(text) - used, "'name=n%d,connection=pty',", i);
    }
    strcat(text, "]");
    assert_true(make(text, line, sizeof(line), &warnings) < 0);
    assert_non_null(strstr(line, "more than 9"));
}

/* What the front ends need is there; a password is nowhere that a guest reads. */
static void nodes(void **state)
{
    const struct dev_env env = { 7, 0, "uuid", "a" };
    struct dev_nodes *n = dev_nodes_new();
    char line[700];
    size_t count;
    size_t warnings;
    unsigned int found = 0;

    (void)state;
    assert_int_equal(make("vfb=['vncpasswd=sesam']", line, sizeof(line), &warnings), 0);
    dev_nodes_add(n, &env, config.devices[0]);
    dev_nodes_add(n, &env, config.devices[1]);
    const struct store_node *list = dev_nodes_list(n, &count);
    for (size_t i = 0; i < count; i++) {
        if (list[i].value != NULL && strncmp(list[i].path, "/libxl/", 7) != 0) {
            assert_null(strstr(list[i].value, "sesam"));
        }
        found += strcmp(list[i].path, "/local/domain/0/backend/vfb/7/0/request-update") == 0;
        found += strcmp(list[i].path, "/local/domain/0/backend/vkbd/7/0/feature-abs-pointer") == 0;
        found += strcmp(list[i].path, "/local/domain/7/device/vkbd/0/backend") == 0;
        found += strcmp(list[i].path, "/libxl/7/device/vfb/0/vnc-port") == 0;
    }
    assert_int_equal(found, 4);
    dev_nodes_free(n);
    config_drop(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(screens),
        cmocka_unit_test(refusals),
        cmocka_unit_test(channels),
        cmocka_unit_test(nodes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
