/* SPDX-License-Identifier: MIT */
/* Requests to rtnetlink, made and read with libmnl.  Facts: rtnetlink(7). */
#include "joistd/net_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define ANSWER_MAX  32768
#define ANSWER_WAIT 5 /* seconds; the kernel answers at once */

struct net {
    struct mnl_socket *socket;
    uint32_t seq;
    uint8_t answer[ANSWER_MAX];
};

int net_open(struct net **out)
{
    struct timeval wait = { .tv_sec = ANSWER_WAIT };
    struct net *n = calloc(1, sizeof(*n));
    int rc;

    if (n == NULL) {
        return -ENOMEM;
    }
    n->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (n->socket == NULL || mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) != 0) {
        rc = -errno;
        net_close(n);
        return rc;
    }
    setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    n->seq = (uint32_t)time(NULL);
    *out = n;
    return 0;
}

void net_close(struct net *n)
{
    if (n != NULL && n->socket != NULL) {
        mnl_socket_close(n->socket);
    }
    free(n);
}

static int address_family(const struct vif_ip *ip)
{
    return ip->family == 4 ? AF_INET : AF_INET6;
}

static size_t address_size(const struct vif_ip *ip)
{
    return ip->family == 4 ? 4 : 16;
}

/* --- making requests ------------------------------------------------------------------------- */

void net_message_change(void *buf, const struct net_change *c)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    struct ifinfomsg *info;

    h->nlmsg_type = RTM_NEWLINK;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    info = mnl_nlmsg_put_extra_header(h, sizeof(*info));
    info->ifi_family = AF_UNSPEC;
    info->ifi_index = (int)c->index;
    if (c->up) {
        info->ifi_flags = IFF_UP;
        info->ifi_change = IFF_UP;
    }
    if (c->name != NULL) {
        mnl_attr_put_strz(h, IFLA_IFNAME, c->name);
    }
    if (c->mtu != 0) {
        mnl_attr_put_u32(h, IFLA_MTU, c->mtu);
    }
    if (c->master != 0) {
        mnl_attr_put_u32(h, IFLA_MASTER, c->master);
    }
}

void net_message_address(void *buf, unsigned int index, const struct vif_ip *ip)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    struct ifaddrmsg *a;

    h->nlmsg_type = RTM_NEWADDR;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    a = mnl_nlmsg_put_extra_header(h, sizeof(*a));
    a->ifa_family = (uint8_t)address_family(ip);
    a->ifa_prefixlen = ip->prefix;
    a->ifa_scope = RT_SCOPE_UNIVERSE;
    a->ifa_index = index;
    mnl_attr_put(h, IFA_LOCAL, address_size(ip), ip->addr);
    mnl_attr_put(h, IFA_ADDRESS, address_size(ip), ip->addr);
}

void net_message_route(void *buf, unsigned int index, const struct vif_ip *ip,
                       const struct vif_ip *source)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    struct vif_ip net = *ip;
    struct rtmsg *r;
    unsigned int bit;

    for (bit = ip->prefix; bit < address_size(ip) * 8; bit++) {
        net.addr[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
    }
    h->nlmsg_type = RTM_NEWROUTE;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
    r->rtm_family = (uint8_t)address_family(ip);
    r->rtm_dst_len = ip->prefix;
    r->rtm_table = RT_TABLE_MAIN;
    r->rtm_protocol = RTPROT_BOOT;
    r->rtm_scope = ip->family == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    r->rtm_type = RTN_UNICAST;
    mnl_attr_put(h, RTA_DST, address_size(ip), net.addr);
    mnl_attr_put_u32(h, RTA_OIF, index);
    if (source != NULL && source->family == ip->family) {
        mnl_attr_put(h, RTA_PREFSRC, address_size(source), source->addr);
    }
}

/* --- reading answers ------------------------------------------------------------------------- */

static int read_kind(const struct nlattr *a, void *out)
{
    struct net_link *link = out;

    if (mnl_attr_get_type(a) == IFLA_INFO_KIND && mnl_attr_validate(a, MNL_TYPE_STRING) >= 0) {
        link->is_bridge = mnl_attr_get_payload_len(a) >= sizeof("bridge") - 1 &&
                          strncmp(mnl_attr_get_str(a), "bridge", sizeof("bridge")) == 0;
    }
    return MNL_CB_OK;
}

static int read_link_attribute(const struct nlattr *a, void *out)
{
    struct net_link *link = out;
    size_t size = mnl_attr_get_payload_len(a);

    switch (mnl_attr_get_type(a)) {
    case IFLA_IFNAME:
        if (size > 1 && size <= sizeof(link->name)) {
            memcpy(link->name, mnl_attr_get_payload(a), size);
            link->name[size - 1] = '\0';
        }
        break;
    case IFLA_MTU:
        link->mtu = size == 4 ? mnl_attr_get_u32(a) : 0;
        break;
    case IFLA_MASTER:
        link->master = size == 4 ? mnl_attr_get_u32(a) : 0;
        break;
    case IFLA_ADDRESS:
        if (size == sizeof(link->mac)) {
            memcpy(link->mac, mnl_attr_get_payload(a), size);
        }
        break;
    case IFLA_LINKINFO:
        mnl_attr_parse_nested(a, read_kind, link);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

int net_read_link(const void *message, size_t size, struct net_link *link)
{
    const struct nlmsghdr *h = message;
    const struct ifinfomsg *info;

    *link = (struct net_link){ 0 };
    if (size > INT32_MAX || !mnl_nlmsg_ok(h, (int)size) || h->nlmsg_type != RTM_NEWLINK ||
        mnl_nlmsg_get_payload_len(h) < sizeof(*info)) {
        return -EPROTO;
    }
    info = mnl_nlmsg_get_payload(h);
    link->index = (unsigned int)info->ifi_index;
    link->is_up = (info->ifi_flags & IFF_UP) != 0;
    mnl_attr_parse(h, sizeof(*info), read_link_attribute, link);
    return link->index != 0 && link->name[0] != '\0' ? 0 : -EPROTO;
}

/* Sends a request and reads one datagram of answers; its size or a negative errno. */
static ssize_t talk(struct net *n, void *request)
{
    struct nlmsghdr *h = request;
    ssize_t size;

    h->nlmsg_seq = ++n->seq;
    if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0) {
        return -errno;
    }
    do { /* an answer that came too late for an earlier request is stepped over */
        size = mnl_socket_recvfrom(n->socket, n->answer, sizeof(n->answer));
        if (size < 0) {
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        }
        h = (struct nlmsghdr *)n->answer;
    } while (!mnl_nlmsg_ok(h, (int)size) || h->nlmsg_seq != n->seq);
    return size;
}

/* The code in an answer that is an acknowledgement or an error; -EPROTO for something else. */
static int error_of(const struct nlmsghdr *h)
{
    const struct nlmsgerr *e;

    if (h->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(h) < sizeof(*e)) {
        return -EPROTO;
    }
    e = mnl_nlmsg_get_payload(h);
    return e->error;
}

static int request_done(struct net *n, void *request)
{
    ssize_t size = talk(n, request);

    return size < 0 ? (int)size : error_of((const struct nlmsghdr *)n->answer);
}

int net_find(struct net *n, const char *name, struct net_link *link)
{
    uint8_t buf[NET_MESSAGE_MAX];
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    struct ifinfomsg *info;
    ssize_t size;
    int rc;

    h->nlmsg_type = RTM_GETLINK;
    h->nlmsg_flags = NLM_F_REQUEST;
    info = mnl_nlmsg_put_extra_header(h, sizeof(*info));
    info->ifi_family = AF_UNSPEC;
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    size = talk(n, buf);
    if (size < 0) {
        return (int)size;
    }
    h = (struct nlmsghdr *)n->answer;
    if (h->nlmsg_type == NLMSG_ERROR) {
        rc = error_of(h);
        return rc != 0 ? rc : -EPROTO;
    }
    return net_read_link(h, (size_t)size, link);
}

int net_change(struct net *n, const struct net_change *c)
{
    uint8_t buf[NET_MESSAGE_MAX];

    net_message_change(buf, c);
    return request_done(n, buf);
}

int net_add_address(struct net *n, unsigned int index, const struct vif_ip *ip)
{
    uint8_t buf[NET_MESSAGE_MAX];

    net_message_address(buf, index, ip);
    return request_done(n, buf);
}

int net_add_route(struct net *n, unsigned int index, const struct vif_ip *ip,
                  const struct vif_ip *source)
{
    uint8_t buf[NET_MESSAGE_MAX];

    net_message_route(buf, index, ip, source);
    return request_done(n, buf);
}

struct first_address {
    unsigned int index;
    bool found;
    struct vif_ip *ip;
};

static int take_local(const struct nlattr *a, void *ctx)
{
    struct first_address *want = ctx;

    if (mnl_attr_get_type(a) == IFA_LOCAL && mnl_attr_get_payload_len(a) == 4) {
        *want->ip = (struct vif_ip){ .family = 4, .prefix = 32 };
        memcpy(want->ip->addr, mnl_attr_get_payload(a), 4);
        want->found = true;
    }
    return MNL_CB_OK;
}

static int take_address(const struct nlmsghdr *h, void *ctx)
{
    struct first_address *want = ctx;
    const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);

    if (h->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(h) < sizeof(*a) ||
        a->ifa_index != want->index || want->found) {
        return MNL_CB_OK;
    }
    mnl_attr_parse(h, sizeof(*a), take_local, want);
    return MNL_CB_OK;
}

int net_first_address(struct net *n, unsigned int index, struct vif_ip *ip)
{
    struct first_address want = { .index = index, .ip = ip };
    uint8_t buf[NET_MESSAGE_MAX];
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    struct ifaddrmsg *a;
    ssize_t size;
    int more = MNL_CB_OK;

    h->nlmsg_type = RTM_GETADDR;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    a = mnl_nlmsg_put_extra_header(h, sizeof(*a));
    a->ifa_family = AF_INET;
    size = talk(n, buf);
    while (size > 0 && more == MNL_CB_OK) {
        more = mnl_cb_run(n->answer, (size_t)size, n->seq, mnl_socket_get_portid(n->socket),
                          take_address, &want);
        if (more == MNL_CB_OK) {
            size = mnl_socket_recvfrom(n->socket, n->answer, sizeof(n->answer));
            size = size < 0 ? -errno : size;
        }
    }
    if (more < 0) {
        return -EIO;
    }
    return size < 0 ? (int)size : want.found ? 0 : -EADDRNOTAVAIL;
}
