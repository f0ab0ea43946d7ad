/* SPDX-License-Identifier: MIT */
/* Rules against spoofing and for NAT, as text for libnftables.  Facts: nft(8). */
#include "joistd/net_rules.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text {
    char *at;
    size_t size;
    size_t used;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(t->at + t->used, t->size - t->used, format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= t->size - t->used) {
        t->used = t->size - 1; /* full: what follows adds nothing, finish() sees it */
        return;
    }
    t->used += (size_t)n;
}

static int finish(const struct text *t)
{
    return t->used + 1 < t->size ? 0 : -E2BIG;
}

/* Whether any address of that family is known. */
static bool has_family(const struct vif *v, unsigned int family)
{
    unsigned int i;

    for (i = 0; i < v->ip_count; i++) {
        if (v->ip[i].family == family) {
            return true;
        }
    }
    return false;
}

/* The addresses of a family as an anonymous set of networks. */
static void add_set(struct text *t, const struct vif *v, unsigned int family)
{
    char address[64];
    const char *comma = "";
    unsigned int i;

    add(t, "{ ");
    for (i = 0; i < v->ip_count; i++) {
        if (v->ip[i].family == family) {
            vif_ip_format(&v->ip[i], address, sizeof(address));
            add(t, "%s%s/%u", comma, address, v->ip[i].prefix);
            comma = ", ";
        }
    }
    add(t, " }");
}

/* The link-local address that the guest's kernel makes from its MAC. */
static void link_local(const uint8_t mac[6], struct vif_ip *ip)
{
    const uint8_t addr[16] = { 0xfe,          0x80,   0,      0,    0,    0,      0,      0,
                               mac[0] ^ 0x02, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5] };

    *ip = (struct vif_ip){ .family = 6, .prefix = 128 };
    memcpy(ip->addr, addr, 16);
}

/* A neighbour advertisement may speak only for the guest's own address (its target, in bytes
   8..23 of the ICMPv6 message). */
static void add_advertisement(struct text *t, const struct vif_ip *ip)
{
    unsigned int i;
    unsigned int n = ip->prefix;

    add(t, "  icmpv6 type nd-neighbor-advert @th,64,%u 0x", n);
    for (i = 0; i < (n + 7) / 8; i++) {
        add(t, "%02x", ip->addr[i]);
    }
    add(t, " accept\n");
}

static void add_ipv6(struct text *t, const struct vif *v)
{
    struct vif_ip own;
    char address[64];
    unsigned int i;

    link_local(v->mac, &own);
    vif_ip_format(&own, address, sizeof(address));
    add(t, "  ip6 saddr != { %s, :: } jump addresses6\n", address);
    add(t, "  icmpv6 type { nd-router-advert, nd-redirect } drop\n");
    add_advertisement(t, &own);
    for (i = 0; i < v->ip_count; i++) {
        /* a prefix that ends within a byte is not compared: the source has been checked */
        if (v->ip[i].family == 6 && v->ip[i].prefix % 8 == 0) {
            add_advertisement(t, &v->ip[i]);
        }
    }
    add(t, "  icmpv6 type nd-neighbor-advert drop\n");
    add(t, "  ip6 saddr :: icmpv6 type { nd-neighbor-solicit, mld2-listener-report } accept\n");
    add(t, "  ip6 saddr :: drop\n  meta protocol ip6 accept\n");
}

static void add_antispoof(struct text *t, const char *table, const char *name, const struct vif *v)
{
    char mac[18];

    vif_mac_format(v->mac, mac);
    add(t, "add table netdev %s\ndelete table netdev %s\ntable netdev %s {\n", table, table, table);
    if (has_family(v, 6)) {
        add(t, " chain addresses6 {\n  ip6 saddr != ");
        add_set(t, v, 6);
        add(t, " counter drop\n }\n");
    }
    add(t,
        " chain from_guest {\n  type filter hook ingress device \"%s\" priority 0; policy drop;\n",
        name);
    /* the kernel has taken a tag off before it asks: what follows would look at what was inside */
    add(t, "  @ll,96,16 { 0x8100, 0x88a8 } counter drop\n");
    add(t, "  ether saddr != %s counter drop\n", mac);
    if (has_family(v, 4)) {
        add(t, "  ip saddr ");
        add_set(t, v, 4);
        add(t, " accept\n");
        /* a client without its lease yet; a probe whether an address is free */
        add(t, "  ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept\n");
        add(t, "  arp saddr ether != %s counter drop\n", mac);
        add(t, "  arp saddr ip 0.0.0.0 accept\n  arp saddr ip ");
        add_set(t, v, 4);
        add(t, " accept\n");
    }
    if (has_family(v, 6)) {
        add_ipv6(t, v);
    }
    add(t, "  counter drop\n }\n}\n");
}

static void add_nat(struct text *t, const char *table, const char *name, const struct vif *v)
{
    add(t, "add table ip %s\ndelete table ip %s\ntable ip %s {\n", table, table, table);
    add(t, " chain leaving {\n  type nat hook postrouting priority 100;\n  ip saddr ");
    add_set(t, v, 4);
    if (v->gatewaydev[0] != '\0') {
        add(t, " oifname \"%s\"", v->gatewaydev);
    }
    add(t, " oifname != \"%s\" counter masquerade\n }\n}\n", name);
}

int net_rules_text(char *text, size_t size, uint16_t domid, unsigned int devid, const char *name,
                   const struct vif *v)
{
    struct text t = { .at = text, .size = size };
    char table[32];

    text[0] = '\0';
    snprintf(table, sizeof(table), "joist-%u.%u", domid, devid);
    if (v->ip_count > 0 && v->mode != VIF_SCRIPT) {
        add_antispoof(&t, table, name, v);
    }
    if (v->mode == VIF_NAT) {
        add_nat(&t, table, name, v);
    }
    return finish(&t);
}

int net_rules_removal(char *text, size_t size, uint16_t domid, unsigned int devid)
{
    struct text t = { .at = text, .size = size };
    static const char *const family[] = { "netdev", "ip" };
    unsigned int i;

    for (i = 0; i < 2; i++) { /* adding first makes the removal of what is not there no error */
        add(&t, "add table %s joist-%u.%u\ndelete table %s joist-%u.%u\n", family[i], domid, devid,
            family[i], domid, devid);
    }
    return finish(&t);
}

/* The first line of a message, without what does not belong into ours. */
static void first_line(const char *message, char *out, size_t size)
{
    size_t n = message != NULL ? strcspn(message, "\n") : 0;

    snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), n > 0 ? message : "no reason");
    if (n == 0) {
        snprintf(out, size, "no reason given");
    }
}

int net_rules_run(const char *text, const char *name, struct fail *f)
{
    struct nft_ctx *nft;
    char line[200];
    int rc = 0;

    if (text[0] == '\0') {
        return 0;
    }
    nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft == NULL) {
        return fail_set(f, -EIO, "network", name, "nftables cannot be used");
    }
    nft_ctx_buffer_output(nft);
    nft_ctx_buffer_error(nft);
    if (nft_run_cmd_from_buffer(nft, text) != 0) {
        first_line(nft_ctx_get_error_buffer(nft), line, sizeof(line));
        rc = fail_set(f, -EIO, "network", name, "its packet rules are refused: %s", line);
        fail_remedy(f,
                    "see whether the kernel has nf_tables (and nft_chain_nat, nft_masq for NAT)");
    }
    nft_ctx_free(nft);
    return rc;
}

/* Removes the table named in one line of a list, if it is one of the domain's. */
static void remove_listed(const char *line, uint16_t domid)
{
    struct fail ignored = { 0 };
    char family[16];
    char table[64];
    char text[200];
    unsigned int owner;
    unsigned int devid;
    char rest;

    if (sscanf(line, "table %15s %63s", family, table) != 2 ||
        sscanf(table, "joist-%u.%u%c", &owner, &devid, &rest) != 2 || owner != domid) {
        return;
    }
    snprintf(text, sizeof(text), "delete table %s %s\n", family, table);
    net_rules_run(text, table, &ignored);
}

void net_rules_sweep(uint16_t domid)
{
    struct nft_ctx *nft;
    const char *list;
    char *copy = NULL;
    char *save = NULL;
    char *line;

    if (access("/sys/module/nf_tables", F_OK) != 0) {
        return; /* nobody has rules: do not load the module to find that out */
    }
    nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft == NULL) {
        return;
    }
    nft_ctx_buffer_output(nft);
    nft_ctx_buffer_error(nft);
    if (nft_run_cmd_from_buffer(nft, "list tables\n") == 0) {
        list = nft_ctx_get_output_buffer(nft);
        copy = list != NULL ? strdup(list) : NULL;
    }
    nft_ctx_free(nft);
    for (line = copy != NULL ? strtok_r(copy, "\n", &save) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        remove_listed(line, domid);
    }
    free(copy);
}
