/* SPDX-License-Identifier: MIT */
/* The syntax of `vif=`: keyword=value pairs, separated by commas, each checked by one function. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "joistd/vif.h"

#define DEFAULT_INTERVAL_USEC 50000 /* of rate=, when it names none */

/* One entry while it is being read. */
struct parser {
    struct dev_parse *p;
    struct vif *v;
    struct device *dev;
    const struct dev_word *w;
};

/* Reports the value being read. */
static int bad(struct parser *p, const char *expected)
{
    return dev_bad(p->p, p->w->value_at, "%s=\"%.48s\" is not %s", p->w->key, p->w->value,
                   expected);
}

/* --- addresses ------------------------------------------------------------------------------- */

void vif_mac_format(const uint8_t mac[6], char *text)
{
    snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
             mac[5]);
}

int vif_mac_parse(uint8_t mac[6], const char *text)
{
    unsigned int byte;
    unsigned int i;

    if (strlen(text) != 17) {
        return -EINVAL;
    }
    for (i = 0; i < 6; i++, text += 3) {
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
            (i < 5 && text[2] != ':')) {
            return -EINVAL;
        }
        sscanf(text, "%2x", &byte);
        mac[i] = (uint8_t)byte;
    }
    return 0;
}

void vif_mac_generate(uint8_t mac[6], const uint8_t uuid[16], unsigned int devid)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, folded */
    unsigned int i;

    for (i = 0; i < 16; i++) {
        hash = (hash ^ uuid[i]) * 0x100000001b3u;
    }
    hash = (hash ^ devid) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash ^= hash >> 23;
    mac[0] = 0x00;
    mac[1] = 0x16;
    mac[2] = 0x3e;
    mac[3] = (uint8_t)((hash >> 16) & 0x7f); /* the upper half is what xl and others draw from */
    mac[4] = (uint8_t)(hash >> 8);
    mac[5] = (uint8_t)hash;
}

void vif_ip_format(const struct vif_ip *ip, char *text, size_t size)
{
    if (inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->addr, text, (socklen_t)size) == NULL) {
        snprintf(text, size, "?");
    }
}

void vif_gateway(const struct vif_ip *ip, struct vif_ip *gateway)
{
    unsigned int bytes = ip->family == 4 ? 4 : 16;
    unsigned int bits = ip->prefix;
    unsigned int i;

    if (bits > bytes * 8 - 2) { /* a single address: the customary network around it */
        bits = ip->family == 4 ? 24 : 64;
    }
    *gateway = *ip;
    gateway->prefix = (uint8_t)(bytes * 8);
    for (i = bits; i < bytes * 8; i++) {
        gateway->addr[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
    }
    gateway->addr[bytes - 1] |= 1;
    if (memcmp(gateway->addr, ip->addr, bytes) == 0) {
        gateway->addr[bytes - 1] ^= 3; /* the guest itself is the first: the second */
    }
}

static int parse_ip(struct vif_ip *ip, const char *text)
{
    char address[64];
    const char *slash = strchr(text, '/');
    size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
    unsigned long prefix;
    char *end;

    if (n >= sizeof(address)) {
        return -EINVAL;
    }
    memcpy(address, text, n);
    address[n] = '\0';
    *ip = (struct vif_ip){ .family = 4, .prefix = 32 };
    if (inet_pton(AF_INET, address, ip->addr) != 1) {
        ip->family = 6;
        ip->prefix = 128;
        if (inet_pton(AF_INET6, address, ip->addr) != 1) {
            return -EINVAL;
        }
    }
    if (slash != NULL) {
        if (!isdigit((unsigned char)slash[1])) {
            return -EINVAL;
        }
        prefix = strtoul(slash + 1, &end, 10);
        if (*end != '\0' || prefix == 0 || prefix > ip->prefix) {
            return -EINVAL;
        }
        ip->prefix = (uint8_t)prefix;
    }
    /* not the unspecified address, not a multicast one */
    if (ip->family == 4) {
        return ip->addr[0] != 0 && ip->addr[0] < 224 ? 0 : -EINVAL;
    }
    return ip->addr[0] != 0xff && memcmp(ip->addr, &in6addr_any, 16) != 0 ? 0 : -EINVAL;
}

/* --- one function per key -------------------------------------------------------------------- */

static int key_mac(struct parser *p)
{
    static const uint8_t none[6];

    if (vif_mac_parse(p->v->mac, p->w->value) != 0) {
        return bad(p, "an address such as 00:16:3e:01:02:03");
    }
    if ((p->v->mac[0] & 1) != 0 || memcmp(p->v->mac, none, 6) == 0) {
        return bad(p, "an address of a single interface (unicast)");
    }
    p->v->has_mac = true;
    return 0;
}

static int read_interface(struct parser *p, char *out)
{
    size_t n = strlen(p->w->value);
    size_t i;

    if (n == 0 || n > VIF_NAME_MAX || strcmp(p->w->value, ".") == 0 ||
        strcmp(p->w->value, "..") == 0) {
        return bad(p, "an interface's name of 1 to 15 bytes");
    }
    for (i = 0; i < n; i++) {
        if (!isalnum((unsigned char)p->w->value[i]) && strchr("._-", p->w->value[i]) == NULL) {
            return bad(p, "an interface's name of letters, digits and . _ -");
        }
    }
    memcpy(out, p->w->value, n + 1);
    return 0;
}

static int key_bridge(struct parser *p)
{
    return read_interface(p, p->v->bridge);
}

static int key_vifname(struct parser *p)
{
    int rc = read_interface(p, p->v->vifname);
    const char *c = p->w->value + 3;

    if (rc != 0 || strncmp(p->w->value, "vif", 3) != 0) {
        return rc;
    }
    c += strspn(c, "0123456789");
    if (*c == '.' && c > p->w->value + 3) {
        return bad(p, "free: names of the form vifN.M are the kernel's");
    }
    return 0;
}

static int key_gatewaydev(struct parser *p)
{
    return read_interface(p, p->v->gatewaydev);
}

static int key_ip(struct parser *p)
{
    char list[VIF_TEXT_MAX + 1];
    char *save = NULL;
    char *word;

    if (strlen(p->w->value) > VIF_TEXT_MAX) {
        return bad(p, "a list of at most 8 addresses");
    }
    memcpy(list, p->w->value, strlen(p->w->value) + 1);
    p->v->ip_count = 0;
    for (word = strtok_r(list, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        if (p->v->ip_count == VIF_IPS_MAX) {
            return bad(p, "a list of at most 8 addresses");
        }
        if (parse_ip(&p->v->ip[p->v->ip_count], word) != 0) {
            return bad(p, "a list of IPv4 or IPv6 addresses, separated by blanks");
        }
        p->v->ip_count++;
    }
    if (p->v->ip_count == 0) {
        return bad(p, "an IPv4 or IPv6 address");
    }
    memcpy(p->v->ip_text, p->w->value, strlen(p->w->value) + 1);
    return 0;
}

/* Reads digits at *at and steps over them; false for none, or for more than `max`. */
static bool read_digits(const char **at, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;

    if (!isdigit((unsigned char)**at)) {
        return false;
    }
    for (; isdigit((unsigned char)**at); (*at)++) {
        n = n * 10 + (uint64_t)(**at - '0');
        if (n > max) {
            return false;
        }
    }
    *out = n;
    return true;
}

/* The interval after '@': a number with us, ms or s. */
static bool read_interval(const char *at, uint64_t *usec)
{
    uint64_t unit;

    if (!read_digits(&at, UINT32_MAX, usec)) {
        return false;
    }
    if (strcmp(at, "us") == 0) {
        unit = 1;
    } else if (strcmp(at, "ms") == 0) {
        unit = 1000;
    } else if (strcmp(at, "s") == 0) {
        unit = 1000000;
    } else {
        return false;
    }
    *usec *= unit;
    return *usec > 0 && *usec <= UINT32_MAX;
}

static int key_rate(struct parser *p)
{
    static const char form[] = "a rate such as 10Mb/s or 250KB/s@20ms";
    static const char units[] = "KMG";
    const char *at = p->w->value;
    const char *unit;
    uint64_t usec = DEFAULT_INTERVAL_USEC;
    uint64_t per_second;
    uint64_t bytes;

    if (!read_digits(&at, 1000000000000u, &per_second)) {
        return bad(p, form);
    }
    unit = *at != '\0' ? strchr(units, *at) : NULL;
    for (; unit != NULL && unit >= units; unit--) {
        per_second *= 1000;
    }
    at += *at != '\0' && strchr(units, *at) != NULL ? 1 : 0;
    if ((*at != 'b' && *at != 'B') || strncmp(at + 1, "/s", 2) != 0) {
        return bad(p, form);
    }
    per_second /= *at == 'b' ? 8 : 1;
    at += 3;
    if (*at != '\0' && (*at != '@' || !read_interval(at + 1, &usec))) {
        return bad(p, form);
    }
    if (per_second == 0 || per_second > UINT32_MAX * 1000ull) {
        return bad(p, "a rate between 1B/s and 4000GB/s");
    }
    bytes = per_second * usec / 1000000;
    if (bytes == 0 || bytes > UINT32_MAX) {
        return bad(p, "a rate whose interval holds between 1 byte and 4 GiB");
    }
    p->v->rate_bytes = (uint32_t)bytes;
    p->v->rate_usec = (uint32_t)usec;
    return 0;
}

static int key_mtu(struct parser *p)
{
    const char *at = p->w->value;
    uint64_t n = 0;

    if (!read_digits(&at, VIF_MTU_MAX, &n) || *at != '\0' || n < VIF_MTU_MIN) {
        return bad(p, "a number from 68 to 65517");
    }
    p->v->mtu = (unsigned int)n;
    return 0;
}

static int key_devid(struct parser *p)
{
    const char *at = p->w->value;
    uint64_t n = 0;

    if (!read_digits(&at, VIF_DEVID_MAX, &n) || *at != '\0') {
        return bad(p, "a number from 0 to 255");
    }
    p->dev->id = (unsigned int)n;
    return 0;
}

static int key_type(struct parser *p)
{
    if (strcmp(p->w->value, "vif") == 0 || strcmp(p->w->value, "netfront") == 0) {
        return 0;
    }
    return bad(p, strcmp(p->w->value, "ioemu") == 0 ? "for PV guests: use vif" : "vif or netfront");
}

static int key_script(struct parser *p)
{
    static const char *const native[] = { "vif-bridge", "vif-route", "vif-nat" };
    unsigned int i;
    int n;

    for (i = 0; i < 3; i++) {
        if (strcmp(p->w->value, native[i]) == 0) {
            p->v->mode = (enum vif_mode)i;
            p->v->script[0] = '\0';
            return 0;
        }
    }
    if (p->w->value[0] == '\0') {
        return bad(p, "the name of a program");
    }
    n = snprintf(p->v->script, sizeof(p->v->script), "%s%s",
                 p->w->value[0] == '/' ? "" : VIF_SCRIPT_DIR "/", p->w->value);
    if (n < 0 || (size_t)n >= sizeof(p->v->script)) {
        return bad(p, "a path of at most 255 bytes");
    }
    p->v->mode = VIF_SCRIPT;
    return 0;
}

static int key_backend(struct parser *p)
{
    if (p->w->value[0] == '\0' || strlen(p->w->value) >= sizeof(p->dev->backend)) {
        return bad(p, "the name or id of a domain");
    }
    memcpy(p->dev->backend, p->w->value, strlen(p->w->value) + 1);
    return 0;
}

static int key_trusted(struct parser *p)
{
    if (strcmp(p->w->value, "0") != 0 && strcmp(p->w->value, "1") != 0) {
        return bad(p, "0 or 1");
    }
    p->v->is_trusted = p->w->value[0] == '1';
    return 0;
}

static int key_ignored(struct parser *p)
{
    dev_warn(p->p, p->w->at, "%s is ignored, it has no meaning for a PV guest", p->w->key);
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct parser *p);
} keys[] = {
    { "mac", key_mac },
    { "bridge", key_bridge },
    { "ip", key_ip },
    { "rate", key_rate },
    { "mtu", key_mtu },
    { "vifname", key_vifname },
    { "type", key_type },
    { "script", key_script },
    { "backend", key_backend },
    { "gatewaydev", key_gatewaydev },
    { "netdev", key_gatewaydev },
    { "devid", key_devid },
    { "trusted", key_trusted },
    { "model", key_ignored },
    { "accel", key_ignored },
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

/* --- the whole entry ------------------------------------------------------------------------- */

static int read_word(struct parser *p, uint32_t *seen)
{
    const struct dev_word *w = p->w;
    const char *key = w->key[0] != '\0' ? w->key : w->text;
    size_t i;

    for (i = 0; i < KEY_COUNT && strcmp(keys[i].name, key) != 0; i++) {
    }
    if (i == KEY_COUNT) {
        dev_bad(p->p, w->at, "unknown key \"%.48s\"", key);
        return fail_remedy(p->p->f, "the keys are mac, bridge, ip, rate, mtu, vifname, type, "
                                    "script, backend, gatewaydev, devid, trusted");
    }
    if (w->key[0] == '\0') {
        return dev_bad(p->p, w->at, "the key \"%s\" has no value", key);
    }
    if ((*seen & (1u << i)) != 0) {
        return dev_bad(p->p, w->at, "the key \"%s\" is given twice", key);
    }
    *seen |= 1u << i;
    return keys[i].read(p);
}

/* What only all pairs together can tell. */
static int finish(struct parser *p)
{
    struct vif *v = p->v;
    bool is_routed = v->mode == VIF_ROUTE || v->mode == VIF_NAT;

    if (is_routed && v->ip_count == 0) {
        dev_bad(p->p, 0, "a routed interface needs the guest's address");
        return fail_remedy(p->p->f, "add ip=ADDRESS");
    }
    if (v->mode == VIF_NAT && v->ip[0].family != 4) {
        return dev_bad(p->p, 0, "the first address of an interface with NAT must be an IPv4 one");
    }
    if (is_routed && v->bridge[0] != '\0') {
        return dev_bad(p->p, 0, "bridge= has no meaning for a routed interface");
    }
    if (v->mode == VIF_BRIDGE && v->gatewaydev[0] != '\0') {
        dev_warn(p->p, 0, "gatewaydev is ignored, the interface is a bridge's port");
    }
    if (v->mode == VIF_BRIDGE && v->bridge[0] == '\0') {
        snprintf(v->bridge, sizeof(v->bridge), "%s", VIF_DEFAULT_BRIDGE);
    }
    return 0;
}

int vif_parse(struct dev_parse *dp, struct device *dev)
{
    struct dev_word w;
    struct parser p = { .p = dp, .v = dev->own, .dev = dev, .w = &w };
    uint32_t seen = 0;
    int rc;

    *p.v = (struct vif){ .is_trusted = true, .mode = VIF_BRIDGE };
    while (dev_next(dp, &w)) {
        if (w.text[0] != '\0') { /* xl lets an empty pair pass, and so an empty entry */
            rc = read_word(&p, &seen);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return finish(&p);
}
