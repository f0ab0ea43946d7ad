/* SPDX-License-Identifier: MIT */
/* Network interfaces: the syntax of vif=, addresses, clashes, store nodes, netlink requests, packet
 * rules on real packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "joistd/config.h"
#include "joistd/net_link.h"
#include "joistd/net_rules.h"
#include "joistd/net_script.h"
#include "joistd/vif.h"

#define UUID "uuid = \"01234567-89ab-cdef-0123-456789abcdef\"\n"

static struct config config;
static char line[1024];

static int drop(void **state)
{
    (void)state;
    config_drop(&config);
    return 0;
}

/* A whole configuration with that line; the code, the failure's text in `line`. */
static int make(const char *text, size_t *warning_count)
{
    struct xlcfg c = { 0 };
    struct fail f = { 0 };
    json_t *warnings = json_array();
    char whole[4096];
    int rc;

    config_drop(&config);
    snprintf(whole, sizeof(whole), "%s\nname = \"g\"\nkernel = \"/k\"\n" UUID, text);
    rc = xlcfg_parse(&c, "t.cfg", whole, strlen(whole), &f);
    rc = rc == 0 ? config_make(&config, &c, "/", warnings, &f) : rc;
    fail_text(&f, line, sizeof(line));
    if (warning_count != NULL) {
        *warning_count = json_array_size(warnings);
    }
    json_decref(warnings);
    xlcfg_free(&c);
    return rc;
}

/* A configuration with one interface; it, or NULL. */
static const struct vif *one(const char *entry)
{
    char text[1024];

    snprintf(text, sizeof(text), "vif = [ \"%s\" ]", entry);
    if (make(text, NULL) != 0) {
        return NULL;
    }
    assert_int_equal(config.device_count, 1);
    return config.devices[0]->own;
}

static void every_key(void **state)
{
    static const uint8_t mac[] = { 0x00, 0x16, 0x3e, 0xaa, 0xBB, 0x01 };
    const struct vif *v = one("mac=00:16:3e:aa:BB:01, bridge=br-lan ,ip=10.0.0.2 fd00::2/64,"
                              "rate=10Mb/s,mtu=1400,vifname=web0,type=vif,backend=net,devid=3,"
                              "trusted=0");
    char address[64];
    (void)state;

    assert_non_null(v);
    assert_int_equal(config.devices[0]->id, 3);
    assert_string_equal(config.devices[0]->backend, "net");
    assert_memory_equal(v->mac, mac, 6);
    assert_int_equal(v->mode, VIF_BRIDGE);
    assert_string_equal(v->bridge, "br-lan");
    assert_string_equal(v->vifname, "web0");
    assert_int_equal(v->mtu, 1400);
    assert_false(v->is_trusted);
    assert_int_equal(v->rate_bytes, 62500); /* 10 Mbit/s for the 50 ms of the default */
    assert_int_equal(v->rate_usec, 50000);
    assert_int_equal(v->ip_count, 2);
    assert_int_equal(v->ip[0].prefix, 32);
    assert_int_equal(v->ip[1].prefix, 64);
    vif_ip_format(&v->ip[1], address, sizeof(address));
    assert_string_equal(address, "fd00::2");

    v = one("");
    assert_non_null(v);
    assert_string_equal(v->bridge, "xenbr0");
    assert_true(v->is_trusted);
    assert_int_equal(v->rate_bytes, 0);
    v = one("script=vif-route,ip=10.0.0.2,gatewaydev=eth0");
    assert_non_null(v);
    assert_int_equal(v->mode, VIF_ROUTE);
    assert_string_equal(v->gatewaydev, "eth0");
    assert_string_equal(v->bridge, "");
    v = one("script=vif-nat,ip=10.0.0.2");
    assert_non_null(v);
    assert_int_equal(v->mode, VIF_NAT);
    v = one("script=mine");
    assert_non_null(v);
    assert_int_equal(v->mode, VIF_SCRIPT);
    assert_string_equal(v->script, "/etc/xen/scripts/mine");
    v = one("script=/opt/mine,bridge=ovs0");
    assert_non_null(v);
    assert_string_equal(v->script, "/opt/mine");
    assert_string_equal(v->bridge, "ovs0");
}

static void rates(void **state)
{
    static const struct {
        const char *text;
        uint32_t bytes;
        uint32_t usec;
    } good[] = {
        { "1MB/s", 50000, 50000 },     { "250KB/s@20ms", 5000, 20000 },
        { "10Gb/s", 62500000, 50000 }, { "800b/s@1s", 100, 1000000 },
        { "1000B/s@1000us", 1, 1000 }, { "4GB/s@1s", 4000000000u, 1000000 },
    };
    static const char *const bad[] = {
        "",      "10",       "10M",      "10Mb",      "Mb/s",         "-1B/s",
        "0B/s",  "1B/s",     "5B/s@1ms", "10Mb/s@",   "10Mb/s@5",     "10Mb/s@0ms",
        "1Tb/s", "5GB/s@1s", "10Mb/sx",  "10Mb/s@1h", "10Mb/s@9999s", "99999999999999999999B/s"
    };
    char text[64];
    size_t i;
    (void)state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const struct vif *v;

        snprintf(text, sizeof(text), "rate=%s", good[i].text);
        v = one(text);
        assert_non_null(v);
        assert_int_equal(v->rate_bytes, good[i].bytes);
        assert_int_equal(v->rate_usec, good[i].usec);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "rate=%s", bad[i]);
        if (one(text) != NULL) {
            fail_msg("rate=%s is accepted", bad[i]);
        }
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *entry;
        const char *says;
    } bad[] = {
        { "mac=00:16:3e:00:00:01,bridg=b", "t.cfg:1:32: unknown key \"bridg\"" },
        { "bridge", "t.cfg:1:10: the key \"bridge\" has no value" },
        { "mtu=1500,mtu=1500", "t.cfg:1:19: the key \"mtu\" is given twice" },
        { "mac=00:16:3e:00:00", "t.cfg:1:14: mac=\"00:16:3e:00:00\" is not an address such as" },
        { "mac=00:16:3e:00:00:0g", "is not an address" },
        { "mac=01:16:3e:00:00:01", "(unicast)" },
        { "mac=00:00:00:00:00:00", "(unicast)" },
        { "bridge=", "is not an interface's name" },
        { "bridge=a/b", "letters, digits" },
        { "bridge=..", "is not an interface's name" },
        { "vifname=abcdefghijklmnop", "of 1 to 15 bytes" },
        { "vifname=vif3.0", "are the kernel's" },
        { "ip=10.0.0.256", "is not a list of IPv4 or IPv6 addresses" },
        { "ip=10.0.0.1/33", "is not a list" },
        { "ip=10.0.0.1/", "is not a list" },
        { "ip=224.0.0.1", "is not a list" },
        { "ip=::", "is not a list" },
        { "ip=", "is not an IPv4 or IPv6 address" },
        { "ip=10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9",
          "at most 8" },
        { "mtu=67", "a number from 68 to 65517" },
        { "mtu=65518", "a number from 68" },
        { "mtu=1500x", "a number from 68" },
        { "devid=256", "a number from 0 to 255" },
        { "type=ioemu", "for PV guests: use vif" },
        { "type=x", "vif or netfront" },
        { "trusted=yes", "is not 0 or 1" },
        { "script=", "the name of a program" },
        { "script=vif-route", "a routed interface needs the guest's address; add ip=ADDRESS" },
        { "script=vif-nat,ip=fd00::1", "must be an IPv4 one" },
        { "script=vif-nat,ip=10.0.0.2,bridge=b", "bridge= has no meaning" },
    };
    size_t i;
    (void)state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (one(bad[i].entry) != NULL) {
            fail_msg("%s is accepted", bad[i].entry);
        }
        if (strstr(line, bad[i].says) == NULL) {
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].entry, line, bad[i].says);
        }
    }
    assert_int_equal(make("vif = [ \"model=e1000\" ]", &i), 0);
    assert_int_equal(i, 1);
    assert_int_equal(make("vif = [ \"gatewaydev=eth0\" ]", &i), 0);
    assert_int_equal(i, 1);
    assert_int_equal(make("vif = [ 7 ]", &i), -EINVAL);
}

static void addresses_of_guests(void **state)
{
    struct config other;
    struct fail f = { 0 };
    uint8_t uuid[16] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                         0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
    uint8_t first[6];
    uint8_t again[6];
    const struct vif *v;
    (void)state;

    assert_int_equal(make("vif = [ '', '' ]", NULL), 0);
    assert_int_equal(config.device_count, 2);
    v = config.devices[0]->own;
    vif_mac_generate(first, uuid, 0);
    assert_memory_equal(v->mac, first, 6);
    assert_int_equal(first[0] << 16 | first[1] << 8 | first[2], 0x00163e);
    v = config.devices[1]->own;
    assert_memory_not_equal(v->mac, first, 6);
    vif_mac_generate(again, uuid, 0);
    assert_memory_equal(first, again, 6);
    uuid[15]++;
    vif_mac_generate(again, uuid, 0);
    assert_memory_not_equal(first, again, 6);

    assert_int_equal(make("vif = [ 'mac=00:16:3e:00:00:01', 'mac=00:16:3e:00:00:01' ]", NULL),
                     -EEXIST);
    assert_non_null(strstr(line, "the MAC address 00:16:3e:00:00:01 is that of the guest's"));
    assert_int_equal(make("vif = [ 'vifname=a', 'vifname=a' ]", NULL), -EEXIST);
    assert_non_null(strstr(line, "vifname=a is taken"));
    /* names are those of a machine: the bridge of another guest is another machine's */
    assert_int_equal(make("vif = [ 'vifname=a', 'vifname=a,backend=drv' ]", NULL), 0);
    assert_int_equal(make("vif = [ 'vifname=a,backend=drv', 'vifname=a,backend=drv' ]", NULL),
                     -EEXIST);
    assert_int_equal(make("vif = [ 'devid=1', 'devid=1' ]", NULL), -EEXIST);

    /* two guests */
    assert_int_equal(make("vif = [ 'mac=00:16:3e:00:00:01', 'vifname=a' ]", NULL), 0);
    config_copy(&other, &config);
    assert_int_equal(make("vif = [ 'mac=00:16:3e:00:00:01', 'vifname=a' ]", NULL), 0);
    assert_int_equal(vif_class.clash(config.devices[0], other.devices[0], "db", &f), -EEXIST);
    fail_text(&f, line, sizeof(line));
    assert_non_null(strstr(line, "is that of the guest db; choose another mac="));
    f = (struct fail){ 0 };
    assert_int_equal(vif_class.clash(config.devices[0], other.devices[1], "db", &f), 0);
    assert_true(vif_class.is_called(config.devices[0], "00:16:3E:00:00:01"));
    assert_true(vif_class.is_called(config.devices[1], "a"));
    assert_false(vif_class.is_called(config.devices[0], ""));
    config_drop(&other);
}

/* --- store nodes ------------------------------------------------------------------------------ */

/* The value of a node below a directory; NULL if it is not written. */
static const char *node(const struct store_node *list, size_t count, const char *path)
{
    size_t i;

    for (i = count; i > 0; i--) {
        if (strcmp(list[i - 1].path, path) == 0) {
            return list[i - 1].value;
        }
    }
    return NULL;
}

static void nodes_as_stock_drivers_read_them(void **state)
{
    static const struct {
        const char *path;
        const char *value; /* NULL: not written */
    } want[] = {
        { "/local/domain/5/device/vif/0/backend", "/local/domain/0/backend/vif/5/0" },
        { "/local/domain/5/device/vif/0/backend-id", "0" },
        { "/local/domain/5/device/vif/0/state", "1" },
        { "/local/domain/5/device/vif/0/handle", "0" },
        { "/local/domain/5/device/vif/0/mac", "00:16:3e:00:00:01" },
        { "/local/domain/5/device/vif/0/trusted", "1" },
        { "/local/domain/5/device/vif/0/mtu", "1400" },
        { "/local/domain/0/backend/vif/5/0/frontend", "/local/domain/5/device/vif/0" },
        { "/local/domain/0/backend/vif/5/0/frontend-id", "5" },
        { "/local/domain/0/backend/vif/5/0/online", "1" },
        { "/local/domain/0/backend/vif/5/0/state", "1" },
        { "/local/domain/0/backend/vif/5/0/script", "/etc/xen/scripts/vif-bridge" },
        { "/local/domain/0/backend/vif/5/0/bridge", "br1" },
        { "/local/domain/0/backend/vif/5/0/mac", "00:16:3e:00:00:01" },
        { "/local/domain/0/backend/vif/5/0/handle", "0" },
        { "/local/domain/0/backend/vif/5/0/type", "vif" },
        { "/local/domain/0/backend/vif/5/0/ip", "10.0.0.2 10.0.0.3" },
        { "/local/domain/0/backend/vif/5/0/rate", "62500,50000" },
        { "/local/domain/0/backend/vif/5/0/vifname", "web0" },
        { "/local/domain/0/backend/vif/5/0/mtu", "1400" },
        { "/local/domain/0/backend/vif/5/0/hotplug-status", "" },
        { "/libxl/5/device/vif/0/mode", "bridge" },
        { "/libxl/5/device/vif/0/mac", "00:16:3e:00:00:01" },
        { "/local/domain/0/backend/vif/5/0/mode", NULL },
        { "/local/domain/0/backend/vif/5/0/gatewaydev", NULL },
    };
    struct dev_env env = { 5, 0, "01234567-89ab-cdef-0123-456789abcdef", "g" };
    struct dev_nodes *n = dev_nodes_new();
    const struct store_node *list;
    const char *value;
    size_t count;
    size_t i;
    (void)state;

    assert_non_null(one("mac=00:16:3e:00:00:01,bridge=br1,ip=10.0.0.2 10.0.0.3,rate=10Mb/s,"
                        "vifname=web0,mtu=1400"));
    dev_nodes_add(n, &env, config.devices[0]);
    list = dev_nodes_list(n, &count);
    assert_non_null(list);
    for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        value = node(list, count, want[i].path);
        if ((value == NULL) != (want[i].value == NULL) ||
            (value != NULL && strcmp(value, want[i].value) != 0)) {
            fail_msg("%s = \"%s\"", want[i].path, value != NULL ? value : "(none)");
        }
    }
    dev_nodes_free(n);
}

/* --- netlink ---------------------------------------------------------------------------------- */

static void netlink_requests(void **state)
{
    /* struct nlmsghdr, ifinfomsg, then IFLA_IFNAME, IFLA_MTU, IFLA_MASTER: by rtnetlink(7) */
    static const uint8_t change[] = {
        60, 0, 0, 0, 16,   0,   5,   0,   0, 0, 0,  0,
        0,  0, 0, 0, /* length, RTM_NEWLINK, flags */
        0,  0, 0, 0, 7,    0,   0,   0,   1, 0, 0,  0,
        1,  0, 0, 0,                                   /* interface 7, IFF_UP */
        9,  0, 3, 0, 'w',  'e', 'b', '0', 0, 0, 0,  0, /* IFLA_IFNAME */
        8,  0, 4, 0, 0x78, 5,   0,   0,   8, 0, 10, 0,
        9,  0, 0, 0, /* IFLA_MTU 1400, IFLA_MASTER 9 */
    };
    static const uint8_t route[] = {
        44, 0,  0, 0, 24,  0, 5,   5, 0, 0, 0, 0, 0, 0, 0, 0, /* RTM_NEWROUTE, create, replace */
        2,  24, 0, 0, 254, 3, 253, 1, 0, 0, 0, 0,             /* AF_INET /24, main, link */
        8,  0,  1, 0, 10,  1, 2,   0, 8, 0, 4, 0, 7, 0, 0, 0, /* RTA_DST 10.1.2.0, RTA_OIF 7 */
    };
    const struct net_change c = {
        .index = 7, .name = "web0", .mtu = 1400, .master = 9, .up = true
    };
    const struct vif_ip ip = { 4, 24, { 10, 1, 2, 3 } };
    uint8_t buf[NET_MESSAGE_MAX] = { 0 };
    const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
    struct net_link link;
    (void)state;

    net_message_change(buf, &c);
    assert_int_equal(h->nlmsg_len, 60);
    assert_memory_equal(buf, change, h->nlmsg_len);
    /* the same message read back as an answer */
    assert_int_equal(net_read_link(buf, h->nlmsg_len, &link), 0);
    assert_int_equal(link.index, 7);
    assert_int_equal(link.mtu, 1400);
    assert_int_equal(link.master, 9);
    assert_true(link.is_up);
    assert_false(link.is_bridge);
    assert_string_equal(link.name, "web0");
    assert_int_equal(net_read_link(buf, h->nlmsg_len - 1, &link), -EPROTO);
    assert_int_equal(net_read_link(buf, 3, &link), -EPROTO);

    memset(buf, 0, sizeof(buf));
    net_message_route(buf, 7, &ip, NULL);
    assert_int_equal(h->nlmsg_len, 44);
    assert_memory_equal(buf, route, h->nlmsg_len);
    memset(buf, 0, sizeof(buf));
    net_message_address(buf, 7, &ip);
    assert_int_equal(h->nlmsg_type, RTM_NEWADDR);
    assert_int_equal(h->nlmsg_len, 16 + 8 + 8 + 8);
}

static void gateways(void **state)
{
    static const struct {
        struct vif_ip ip;
        uint8_t last[2];
    } cases[] = {
        { { 4, 32, { 10, 0, 0, 9 } }, { 0, 1 } },
        { { 4, 32, { 10, 0, 0, 1 } }, { 0, 2 } },
        { { 4, 30, { 10, 0, 0, 14 } }, { 0, 13 } },
        { { 4, 16, { 10, 0, 7, 7 } }, { 0, 1 } },
    };
    struct vif_ip gw;
    size_t i;
    (void)state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vif_gateway(&cases[i].ip, &gw);
        assert_int_equal(gw.prefix, 32);
        assert_memory_equal(gw.addr + 2, cases[i].last, 2);
    }
}

/* --- rules on real packets: in a network namespace of our own -------------------------------- */

static bool have_namespace;

/* A namespace with the interface vif9.0, which is a tap: what we write to it, a guest has sent. */
static int enter_namespace(void)
{
    struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    struct net_link link;
    struct net *n;
    int fd;

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        return -1;
    }
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    strcpy(r.ifr_name, "vif9.0");
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0) {
        return -1;
    }
    assert_int_equal(net_open(&n), 0);
    assert_int_equal(net_find(n, "nosuch0", &link), -ENODEV);
    assert_int_equal(net_find(n, "vif9.0", &link), 0);
    assert_false(link.is_up);
    assert_int_equal(
        net_change(n, &(struct net_change){ .index = link.index, .up = true, .mtu = 1400 }), 0);
    assert_int_equal(net_find(n, "vif9.0", &link), 0);
    assert_true(link.is_up);
    assert_int_equal(link.mtu, 1400);
    net_close(n);
    have_namespace = true;
    return fd;
}

static const uint8_t good_mac[6] = { 0x00, 0x16, 0x3e, 1, 2, 3 };
static const uint8_t other_mac[6] = { 0x00, 0x16, 0x3e, 1, 2, 4 };

static void ethernet(uint8_t *p, const uint8_t *mac, uint16_t type)
{
    memset(p, 0xff, 6);
    memcpy(p + 6, mac, 6);
    p[12] = (uint8_t)(type >> 8);
    p[13] = (uint8_t)type;
}

static size_t ipv4(uint8_t *p, const uint8_t *mac, const char *from)
{
    memset(p, 0, 60);
    ethernet(p, mac, 0x0800);
    p[14] = 0x45;
    p[17] = 46;
    p[22] = 64;
    p[23] = 17;
    inet_pton(AF_INET, from, p + 26);
    inet_pton(AF_INET, "10.0.0.9", p + 30);
    return 60;
}

static size_t arp(uint8_t *p, const uint8_t *mac, const uint8_t *says, const char *from)
{
    static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 2 };

    memset(p, 0, 60);
    ethernet(p, mac, 0x0806);
    memcpy(p + 14, head, sizeof(head));
    memcpy(p + 22, says, 6);
    inet_pton(AF_INET, from, p + 28);
    return 60;
}

/* A neighbour advertisement from `from` for `target`. */
static size_t advertisement(uint8_t *p, const char *from, const char *target)
{
    memset(p, 0, 78);
    ethernet(p, good_mac, 0x86dd);
    p[14] = 0x60;
    p[19] = 24;
    p[20] = 58;
    p[21] = 255;
    inet_pton(AF_INET6, from, p + 22);
    inet_pton(AF_INET6, "ff02::1", p + 38);
    p[54] = 136;
    inet_pton(AF_INET6, target, p + 62);
    return 78;
}

/* The frame with a tag behind its addresses: the type of the tag, the number of the network. */
static size_t tagged(uint8_t *p, size_t size, uint16_t type, uint16_t vid)
{
    memmove(p + 16, p + 12, size - 12);
    p[12] = (uint8_t)(type >> 8);
    p[13] = (uint8_t)type;
    p[14] = (uint8_t)(vid >> 8);
    p[15] = (uint8_t)vid;
    return size + 4;
}

static int tap = -1;
static int receiver[3]; /* sockets of one protocol each: they see what the rules have let in */

static void open_receivers(void)
{
    static const uint16_t protocol[3] = { ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 };
    struct sockaddr_ll at = { .sll_family = AF_PACKET };
    unsigned int i;

    for (i = 0; i < 3; i++) {
        at.sll_protocol = htons(protocol[i]);
        at.sll_ifindex = (int)if_nametoindex("vif9.0");
        receiver[i] = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
        assert_true(receiver[i] >= 0);
        assert_int_equal(bind(receiver[i], (struct sockaddr *)&at, sizeof(at)), 0);
    }
}

/* Whether a frame that the guest sends is let in; one with a tag arrives without it. */
static bool passes(const uint8_t *p, size_t size)
{
    size_t tag = (p[12] == 0x81 && p[13] == 0) || (p[12] == 0x88 && p[13] == 0xa8) ? 4 : 0;
    uint8_t buf[2048];
    bool came = false;
    unsigned int i;
    ssize_t n;

    assert_int_equal(write(tap, p, size), size);
    for (i = 0; i < 3; i++) {
        while ((n = recv(receiver[i], buf, sizeof(buf), 0)) > 0) {
            came = came || (n == (ssize_t)(size - tag) && memcmp(buf, p, 12) == 0 &&
                            memcmp(buf + 12, p + 12 + tag, (size_t)n - 12) == 0);
        }
    }
    return came;
}

static void set_rules(const char *entry)
{
    static char text[NET_RULES_MAX];
    const struct vif *v = one(entry);
    struct fail f = { 0 };

    assert_non_null(v);
    assert_int_equal(net_rules_text(text, sizeof(text), 9, 0, "vif9.0", v), 0);
    if (net_rules_run(text, "vif9.0", &f) != 0) {
        fail_msg("%s in:\n%s", f.cause, text);
    }
}

static void spoofed_packets_are_dropped(void **state)
{
    uint8_t p[128];
    (void)state;

    tap = enter_namespace();
    if (tap < 0) {
        print_message("no network namespace with a tap here: rules are not tried on packets\n");
        skip();
    }
    open_receivers();
    assert_true(passes(p, ipv4(p, good_mac, "10.0.0.2")));
    assert_true(passes(p, ipv4(p, other_mac, "10.0.0.7")));

    set_rules("mac=00:16:3e:01:02:03,ip=10.0.0.2 10.1.0.0/16");
    assert_true(passes(p, ipv4(p, good_mac, "10.0.0.2")));
    assert_true(passes(p, ipv4(p, good_mac, "10.1.200.3")));
    assert_false(passes(p, ipv4(p, good_mac, "10.0.0.3")));
    assert_false(passes(p, ipv4(p, other_mac, "10.0.0.2")));
    assert_true(passes(p, arp(p, good_mac, good_mac, "10.0.0.2")));
    assert_true(passes(p, arp(p, good_mac, good_mac, "0.0.0.0")));
    assert_false(passes(p, arp(p, good_mac, good_mac, "10.0.0.1")));
    assert_false(passes(p, arp(p, good_mac, other_mac, "10.0.0.2")));
    assert_false(passes(p, arp(p, other_mac, other_mac, "10.0.0.2")));
    assert_false(passes(p, advertisement(p, "fe80::216:3eff:fe01:203", "fe80::216:3eff:fe01:203")));

    set_rules("mac=00:16:3e:01:02:03,ip=fd00::2"); /* replaces what was there */
    assert_false(passes(p, ipv4(p, good_mac, "10.0.0.2")));
    assert_false(passes(p, arp(p, good_mac, good_mac, "10.0.0.2")));
    assert_true(passes(p, advertisement(p, "fd00::2", "fd00::2")));
    assert_true(passes(p, advertisement(p, "fe80::216:3eff:fe01:203", "fd00::2")));
    assert_false(passes(p, advertisement(p, "fd00::2", "fd00::1")));
    assert_false(passes(p, advertisement(p, "fd00::1", "fd00::2")));
    p[54] = 134; /* a router advertisement */
    advertisement(p, "fd00::2", "fd00::2");
    p[54] = 134;
    assert_false(passes(p, 78));
}

/* A tag that the kernel has taken off is a tag still: with the own addresses behind it, too. */
static void tags_are_dropped(void **state)
{
    static const uint16_t type[] = { 0x8100, 0x88a8 };
    static const uint16_t vid[] = { 0, 5, 4094 };
    static char text[NET_RULES_MAX];
    struct fail f = { 0 };
    uint8_t p[128];
    unsigned int i;
    (void)state;

    if (!have_namespace) {
        skip();
    }
    set_rules("mac=00:16:3e:01:02:03,ip=10.0.0.2 fd00::2");
    assert_true(passes(p, ipv4(p, good_mac, "10.0.0.2")));
    assert_true(passes(p, arp(p, good_mac, good_mac, "10.0.0.2")));
    for (i = 0; i < 6; i++) {
        const uint16_t t = type[i % 2];
        const uint16_t v = vid[i / 2];

        assert_false(passes(p, tagged(p, ipv4(p, good_mac, "10.0.0.2"), t, v)));
        assert_false(passes(p, tagged(p, arp(p, good_mac, good_mac, "10.0.0.2"), t, v)));
        assert_false(passes(p, tagged(p, advertisement(p, "fd00::2", "fd00::2"), t, v)));
        tagged(p, ipv4(p, good_mac, "10.0.0.2"), 0x8100, 7);
        assert_false(passes(p, tagged(p, 64, t, v))); /* a tag in a tag */
    }
    assert_int_equal(net_rules_removal(text, sizeof(text), 9, 0), 0);
    assert_int_equal(net_rules_run(text, "vif9.0", &f), 0);
    for (i = 0; i < 6; i++) { /* without rules they all pass */
        assert_true(passes(p, tagged(p, ipv4(p, good_mac, "10.0.0.2"), type[i % 2], vid[i / 2])));
    }
}

/* The text of all rules in this namespace. */
static void list_rules(char *out, size_t size)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);

    nft_ctx_buffer_output(nft);
    assert_int_equal(nft_run_cmd_from_buffer(nft, "list ruleset\n"), 0);
    snprintf(out, size, "%s", nft_ctx_get_output_buffer(nft));
    nft_ctx_free(nft);
}

static void rules_go_without_a_trace(void **state)
{
    static char text[NET_RULES_MAX];
    struct fail f = { 0 };
    uint8_t p[128];
    (void)state;

    if (!have_namespace) {
        skip();
    }
    set_rules("mac=00:16:3e:01:02:03,ip=10.0.0.2,script=vif-nat");
    list_rules(text, sizeof(text));
    assert_non_null(strstr(text, "masquerade"));
    assert_non_null(strstr(text, "table netdev joist-9.0"));
    assert_int_equal(net_rules_removal(text, sizeof(text), 9, 0), 0);
    assert_int_equal(net_rules_run(text, "vif9.0", &f), 0);
    list_rules(text, sizeof(text));
    assert_string_equal(text, "");
    assert_true(passes(p, ipv4(p, other_mac, "10.0.0.7")));
    assert_int_equal(net_rules_removal(text, sizeof(text), 9, 0), 0);
    assert_int_equal(net_rules_run(text, "vif9.0", &f), 0); /* twice is no error */

    /* a text that nft does not take leaves what is there, and says why */
    set_rules("mac=00:16:3e:01:02:03,ip=10.0.0.2");
    assert_int_equal(net_rules_run("delete table netdev joist-9.0\nnonsense\n", "vif9.0", &f),
                     -EIO);
    assert_non_null(strstr(f.cause, "nonsense") != NULL ? f.cause
                                                        : strstr(f.cause, "syntax error"));
    list_rules(text, sizeof(text));
    assert_non_null(strstr(text, "joist-9.0"));
    f = (struct fail){ 0 };
    assert_int_equal(
        net_rules_run("table ip joist-91.0 { }\ntable ip joist-9.7 { }\ntable ip other { }\n", "x",
                      &f),
        0);
    net_rules_sweep(9);
    list_rules(text, sizeof(text));
    if (access("/sys/module/nf_tables", F_OK) == 0) {
        assert_null(strstr(text, "joist-9."));
    }
    assert_non_null(strstr(text, "joist-91.0"));
    assert_non_null(strstr(text, "other"));
}

static void too_long_a_text_is_told(void **state)
{
    char text[100];
    const struct vif *v = one("mac=00:16:3e:01:02:03,ip=10.0.0.2");
    (void)state;

    assert_int_equal(net_rules_text(text, sizeof(text), 9, 0, "vif9.0", v), -E2BIG);
    assert_true(strlen(text) < sizeof(text));
    v = one("mac=00:16:3e:01:02:03");
    assert_int_equal(net_rules_text(text, sizeof(text), 9, 0, "vif9.0", v), 0);
    assert_string_equal(text, "");
}

/* --- script= -----------------------------------------------------------------------------------
 */

static const char *hotplug_error; /* what the store says after the script */

/* Stands for the store. */
bool dev_get(struct dev_work *w, const char *dir, const char *name, char *out, size_t size)
{
    bool is_error = strcmp(name, "hotplug-error") == 0;

    (void)w;
    assert_string_equal(dir, is_error ? "/be" : "/priv");
    if (is_error && hotplug_error != NULL) {
        snprintf(out, size, "%s", hotplug_error);
        return true;
    }
    if (strcmp(name, "gatewaydev") == 0) {
        snprintf(out, size, "eth9");
        return true;
    }
    out[0] = '\0';
    return false;
}

/* Runs a shell script for vif9.0; the code, the failure's text in `line`. */
static int run_script(const char *text)
{
    char path[] = "/tmp/test_vif_XXXXXX";
    struct dev_paths at = { .back = "/be", .priv = "/priv" };
    struct fail f = { 0 };
    struct dev_work w = { .f = &f };
    int fd = mkstemp(path);
    int rc;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
    rc = net_script_run(&w, path, "online", "vif9.0", &at);
    unlink(path);
    fail_text(&f, line, sizeof(line));
    return rc;
}

static void scripts_of_the_administrator(void **state)
{
    (void)state;

    assert_int_equal(
        run_script("#!/bin/sh\n[ \"$1 $XENBUS_PATH $XENBUS_TYPE $XENBUS_BASE_PATH $vif "
                   "$type_if $netdev $script\" = "
                   "\"online /be vif backend vif9.0 vif eth9 $0\" ] && ! read x\n"),
        0);
    assert_int_equal(run_script("#!/bin/sh\necho first\necho the reason >&2\nexit 3\n"), -EIO);
    assert_non_null(strstr(line, "the script ended with code 3: the reason"));
    assert_int_equal(run_script("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x\necho\necho end\n"
                                "exit 1\n"),
                     -EIO);
    assert_non_null(strstr(line, "code 1: end"));
    assert_int_equal(run_script("#!/bin/sh\nkill -9 $$\n"), -EIO);
    assert_non_null(strstr(line, "ended by signal 9"));
    assert_int_equal(run_script("#!/nonexistent/interpreter\n"), -EIO);
    assert_non_null(strstr(line, "code 127: cannot be run: No such file or directory"));
    assert_int_equal(run_script("#!/bin/sh\nsleep 5 &\nexit 0\n"), 0); /* not waited for */
    hotplug_error = "no such port";
    assert_int_equal(run_script("#!/bin/sh\nexit 0\n"), -EIO);
    assert_non_null(strstr(line, "no such port"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_key, drop),
        cmocka_unit_test_teardown(rates, drop),
        cmocka_unit_test_teardown(refusals, drop),
        cmocka_unit_test_teardown(addresses_of_guests, drop),
        cmocka_unit_test_teardown(nodes_as_stock_drivers_read_them, drop),
        cmocka_unit_test(netlink_requests),
        cmocka_unit_test(gateways),
        cmocka_unit_test(scripts_of_the_administrator),
        cmocka_unit_test_teardown(too_long_a_text_is_told, drop),
        cmocka_unit_test_teardown(spoofed_packets_are_dropped, drop),
        cmocka_unit_test_teardown(tags_are_dropped, drop),
        cmocka_unit_test_teardown(rules_go_without_a_trace, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
