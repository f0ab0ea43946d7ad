/* SPDX-License-Identifier: MIT */
/*
 * Everything that xen-core/abi declares, once each, in macros that the includer defines:
 *
 *   ABI_CONST(name)          a constant                       ABI_ERRNO(name)   an error number
 *   ABI_TYPE(type)           size of a scalar type            ABI_SIZE(tag)     size of a structure
 *   ABI_FIELD(tag, member)   offset and size                  ABI_OFFSET(...)   offset only
 *   ABI_CALL(macro, args)    a macro's result                 ABI_OURS(...)     not in libxen-dev
 *
 * Included without include guard. tests/lint/abi_complete.py checks that nothing is missing.
 */

#include "abi/list_start.h"
#include "abi/list_calls.h"
#include "abi/list_machine.h"
#include "abi/list_control.h"
