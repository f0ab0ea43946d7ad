/* SPDX-License-Identifier: MIT */
/* PCI configuration space, first 256 bytes of each function, by configuration mechanism 1. */
#pragma once

#include <stdint.h>

/* size 1, 2 or 4, naturally aligned. A function that is not there reads as all ones. locks: takes
 * pcicfg. */
uint32_t pci_cfg_read(uint8_t bus, uint8_t devfn, uint8_t reg, unsigned int size);
void pci_cfg_write(uint8_t bus, uint8_t devfn, uint8_t reg, unsigned int size, uint32_t val);
/* Offset of a capability (PCI 3.0 section 6.7), 0 if the function has none such. */
uint8_t pci_find_cap(uint8_t bus, uint8_t devfn, uint8_t id);
