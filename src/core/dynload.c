#include "core/dynload.h"

#include <dlfcn.h>
#include <string.h>

bool hd_dynload(const char *library, void *into, const struct hd_dynsym *symbols, size_t n)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (symbol == NULL)
            return false;
        memcpy((char *)into + symbols[i].at, &symbol, sizeof(symbol));
    }
    return true;
}
