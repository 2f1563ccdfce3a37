/* shim/ext_state.h - the extensions of one instance: who may register, what each may say, and whom
 * the instance still waits for. Pure. */
#pragma once

#include "core/id.h"

enum {
    HD_EXT_MAX = 10,       /* of each kind, external and internal */
    HD_EXT_NAME_MAX = 128, /* bytes */
    HD_EXT_TYPE_MAX = 100, /* of an error's type */
};

/** Events that an extension can ask for. */
enum { HD_EXT_INVOKE = 1, HD_EXT_SHUTDOWN = 2 };

enum hd_ext_phase {
    HD_EXT_STARTED,    /* an external one whose process runs, not registered yet */
    HD_EXT_REGISTERED, /* has not asked for an event yet */
    HD_EXT_IDLE,       /* it asked, and broke the call off */
    HD_EXT_WAITING,    /* its event/next is open */
    HD_EXT_RUNNING,    /* it has an event, and has not asked again */
    HD_EXT_FAILED,     /* it reported an error */
    HD_EXT_GONE,       /* its process ended */
};

struct hd_ext {
    char name[HD_EXT_NAME_MAX + 1];
    char id[HD_UUID_CHARS + 1]; /* "" before it registered */
    bool external;
    unsigned events; /* HD_EXT_INVOKE, HD_EXT_SHUTDOWN */
    enum hd_ext_phase phase;
};

/** Zeroed: none yet. */
struct hd_exts {
    struct hd_ext v[2 * HD_EXT_MAX];
    unsigned n;
    bool closed;     /* init is over: nobody registers any more */
    bool no_runtime; /* the runtime was not started yet, so nobody inside it can register */
};

enum hd_ext_verdict {
    HD_EXT_OK,
    HD_EXT_CLOSED,      /* Extension.RegistrationClosed */
    HD_EXT_BAD_NAME,    /* Extension.InvalidExtensionName */
    HD_EXT_BAD_EVENT,   /* Extension.InvalidEventType */
    HD_EXT_BAD_STATE,   /* Extension.InvalidExtensionState */
    HD_EXT_NO_HEADER,   /* Extension.MissingHeader */
    HD_EXT_MISSING_ID,  /* Extension.MissingExtensionIdentifier */
    HD_EXT_INVALID_ID,  /* Extension.InvalidExtensionIdentifier */
    HD_EXT_UNKNOWN_ID,  /* Extension.UnknownExtensionIdentifier */
    HD_EXT_TOO_MANY,    /* Extension.TooManyExtensions */
    HD_EXT_BAD_REQUEST, /* InvalidRequestFormat */
};
/** @return the error type of a verdict, and *text what is wrong; static. */
const char *hd_ext_error(enum hd_ext_verdict v, const char **text);

/** An external extension's program was started. @return NULL: there are too many. */
struct hd_ext *hd_exts_start(struct hd_exts *e, struct hd_str name);
/**
 * One registers.
 * @param name    the header's value; empty: missing.
 * @param events  HD_EXT_*.
 * @param id      what it is known by from now on; copied.
 * @return HD_EXT_OK and *out.
 */
enum hd_ext_verdict hd_exts_register(struct hd_exts *e, struct hd_ext **out, struct hd_str name,
                                     unsigned events, const char *id);
/** Find the caller. @param id  the header's value; its ptr NULL: missing. */
enum hd_ext_verdict hd_exts_caller(struct hd_exts *e, struct hd_ext **out, struct hd_str id);
/** It asks for an event. HD_EXT_OK: it waits now. */
enum hd_ext_verdict hd_ext_next(struct hd_ext *x);
/** The connection of its open call is gone. */
void hd_ext_next_lost(struct hd_ext *x);
/** It reports that its init failed, or that it ends (@p init false). */
enum hd_ext_verdict hd_ext_error_report(struct hd_ext *x, bool init);
/** It was given an event. */
void hd_ext_given(struct hd_ext *x);
/** Its process ended. @return NULL: there is none of that name. */
struct hd_ext *hd_exts_gone(struct hd_exts *e, struct hd_str name);

/** @return whether each external one has registered: the runtime may be started. */
bool hd_exts_all_registered(const struct hd_exts *e);
/** @return whether each asked for its next event: init, or an invocation, is over for them. */
bool hd_exts_all_waiting(const struct hd_exts *e);
/** @return whether there is one that lives; *external: and one of those outside the runtime. */
bool hd_exts_any(const struct hd_exts *e, bool *external);
