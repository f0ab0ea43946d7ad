/* SPDX-License-Identifier: MIT */
/* Rows of an abi_entry table from list.h; the includer has read one set of headers. No guard. */

#define ABI_CONST(name) { #name, (uint64_t)(name), 0 },
#define ABI_TYPE(type)  { #type, sizeof(type), 0 },
#define ABI_SIZE(tag)   { "size of " #tag, sizeof(tag), 0 },
#define ABI_FIELD(tag, member) \
    { #tag "." #member, offsetof(tag, member), sizeof(((tag *)0)->member) },
#define ABI_OFFSET(tag, member) { #tag "." #member, offsetof(tag, member), 0 },
#define ABI_CALL(macro, ...)    { #macro, (uint64_t)(macro(__VA_ARGS__)), 0 },
#define ABI_OURS(...)
