/* pool/process/compile.h - code that will be called is compiled into its runtime's cache before
 * somebody waits for it: by one process at a time, which gets the CPU time that nobody else wants.
 * No code of the function's runs. */
#pragma once

#include "core/list.h"
#include "pool/process/hostproc.h"

enum { HD_COMPILE_WAITING_MAX = 32 };

struct hd_compile {
    struct hd_hostproc_site *site;
    struct hd_list waiting; /* the oldest first */
    unsigned n_waiting;
    struct hd_hostproc *now; /* NULL: nothing is under way */
    struct hd_timer timer;   /* the pause before the next one, or the deadline of this one */
    bool closed;
};

/** @param site  borrowed until everything is closed. */
void hd_compile_init(struct hd_compile *c, struct hd_hostproc_site *site);
/**
 * Compile as @p plan says, soon: of hd_hostplan_make_compile(), copied. Takes the place of what
 * waits for the same function; with too many that wait the oldest is forgotten.
 */
void hd_compile_add(struct hd_compile *c, const char *function, const struct hd_hostplan *plan);
/** Forget what waits for this function: it is being loaded, which compiles it as well. */
void hd_compile_forget(struct hd_compile *c, const char *function);
/** Forget what waits and end what is under way; it goes in the following turns. */
void hd_compile_close(struct hd_compile *c);
/** @return whether nothing is left after the close. */
bool hd_compile_is_closed(const struct hd_compile *c);
