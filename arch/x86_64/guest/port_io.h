/* SPDX-License-Identifier: MIT */
/* I/O ports of a guest: first its own kernel's rules (iopl, bitmap), then ours (rights). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* Does the guest kernel's iopl allow the current mode port access and CLI/STI? */
bool port_io_iopl_ok(const struct vcpu *v);
/* The same, or its I/O bitmap allows these ports. No lock may be held. */
bool port_io_allowed(struct vcpu *v, uint16_t port, unsigned int size);
/* Ports that the domain has no right to read as all ones and ignore writes. */
uint32_t port_io_read(struct vcpu *v, uint16_t port, unsigned int size);
void port_io_write(struct vcpu *v, uint16_t port, unsigned int size, uint32_t val);
