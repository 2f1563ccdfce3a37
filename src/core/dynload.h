/* core/dynload.h - a library that is loaded when it is first used, because it would cost every
 * start something for what most never do. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct hd_dynsym {
    const char *name;
    size_t at; /* offset of the pointer to it */
};

/**
 * Load a library and find its symbols; it stays until the program ends.
 * @param into  struct of pointers, which are set.
 * @return false: it, or one of them, is not there.
 */
bool hd_dynload(const char *library, void *into, const struct hd_dynsym *symbols, size_t n);
