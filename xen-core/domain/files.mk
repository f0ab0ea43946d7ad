# SPDX-License-Identifier: MIT
# Domains and vcpus.
core-y += xen-core/domain/domain.o xen-core/domain/death.o xen-core/domain/priv.o xen-core/domain/upcall.o
core-y += xen-core/domain/vcpu.o xen-core/domain/vcpu_op.o
