/*  external: STARTED ──register──┐            event/next         INVOKE, SHUTDOWN
 *                                ├─► REGISTERED ─────────► WAITING ──────────► RUNNING
 *  internal: ──────────register──┘                          ▲  │ lost            │ event/next
 *                                                           │  ▼                 │
 *                                                 event/next IDLE        WAITING ◄┘
 *  each ──init/error, exit/error──► FAILED         each ──its process ended──► GONE          */
#include "shim/ext_state.h"

const char *hd_ext_error(enum hd_ext_verdict v, const char **text)
{
    static const struct {
        const char *type, *text;
    } table[] = {
        [HD_EXT_OK] = {"", ""},
        [HD_EXT_CLOSED] = {"Extension.RegistrationClosed",
                           "Extensions can register during init only, and init is over"},
        [HD_EXT_BAD_NAME] = {"Extension.InvalidExtensionName",
                             "Lambda-Extension-Name is missing, too long, or not the name of a "
                             "file in /opt/extensions"},
        [HD_EXT_BAD_EVENT] = {"Extension.InvalidEventType",
                              "Events are INVOKE and, for external extensions, SHUTDOWN"},
        [HD_EXT_BAD_STATE] = {"Extension.InvalidExtensionState",
                              "This call is not legal now: it was made before, or out of order"},
        [HD_EXT_NO_HEADER] = {"Extension.MissingHeader",
                              "Lambda-Extension-Function-Error-Type is missing"},
        [HD_EXT_MISSING_ID] = {"Extension.MissingExtensionIdentifier",
                               "Lambda-Extension-Identifier is missing"},
        [HD_EXT_INVALID_ID] = {"Extension.InvalidExtensionIdentifier",
                               "Lambda-Extension-Identifier is not a UUID"},
        [HD_EXT_UNKNOWN_ID] = {"Extension.UnknownExtensionIdentifier",
                               "No extension is registered under this identifier"},
        [HD_EXT_TOO_MANY] = {"Extension.TooManyExtensions",
                             "There can be no more than 10 extensions of each kind"},
        [HD_EXT_BAD_REQUEST] = {"InvalidRequestFormat",
                                "The body must be JSON: {\"events\": [\"INVOKE\", \"SHUTDOWN\"]}"},
    };
    *text = table[v].text;
    return table[v].type;
}

static struct hd_ext *find(struct hd_exts *e, struct hd_str name)
{
    for (unsigned i = 0; i < e->n; i++)
        if (hd_str_is(name, e->v[i].name))
            return &e->v[i];
    return NULL;
}

static struct hd_ext *add(struct hd_exts *e, struct hd_str name, bool external)
{
    unsigned same = 0;
    for (unsigned i = 0; i < e->n; i++)
        same += e->v[i].external == external;
    if (same >= HD_EXT_MAX)
        return NULL;
    struct hd_ext *x = &e->v[e->n++];
    *x = (struct hd_ext){.external = external};
    memcpy(x->name, name.ptr, HD_MIN(name.len, (size_t)HD_EXT_NAME_MAX));
    return x;
}

struct hd_ext *hd_exts_start(struct hd_exts *e, struct hd_str name)
{
    return add(e, name, true);
}

enum hd_ext_verdict hd_exts_register(struct hd_exts *e, struct hd_ext **out, struct hd_str name,
                                     unsigned events, const char *id)
{
    if (name.len == 0 || name.len > HD_EXT_NAME_MAX)
        return HD_EXT_BAD_NAME;
    struct hd_ext *x = find(e, name);
    if (e->closed)
        return HD_EXT_CLOSED;
    if (x != NULL && x->phase != HD_EXT_STARTED)
        return HD_EXT_BAD_STATE;
    if (x == NULL && e->no_runtime)
        return HD_EXT_BAD_NAME;
    if (x == NULL && (events & HD_EXT_SHUTDOWN) != 0)
        return HD_EXT_BAD_EVENT;
    if (x == NULL)
        x = add(e, name, false);
    if (x == NULL)
        return HD_EXT_TOO_MANY;
    x->phase = HD_EXT_REGISTERED;
    x->events = events;
    memcpy(x->id, id, HD_MIN(strlen(id), sizeof(x->id) - 1));
    *out = x;
    return HD_EXT_OK;
}

static bool is_uuid(struct hd_str s)
{
    if (s.len != HD_UUID_CHARS)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f') ||
                   (s.ptr[i] >= 'A' && s.ptr[i] <= 'F');
        if (dash ? s.ptr[i] != '-' : !hex)
            return false;
    }
    return true;
}

enum hd_ext_verdict hd_exts_caller(struct hd_exts *e, struct hd_ext **out, struct hd_str id)
{
    if (id.ptr == NULL || id.len == 0)
        return HD_EXT_MISSING_ID;
    if (!is_uuid(id))
        return HD_EXT_INVALID_ID;
    for (unsigned i = 0; i < e->n; i++)
        if (hd_str_is_nocase(id, e->v[i].id)) {
            *out = &e->v[i];
            return HD_EXT_OK;
        }
    return HD_EXT_UNKNOWN_ID;
}

enum hd_ext_verdict hd_ext_next(struct hd_ext *x)
{
    if (x->phase != HD_EXT_REGISTERED && x->phase != HD_EXT_IDLE && x->phase != HD_EXT_RUNNING)
        return HD_EXT_BAD_STATE;
    x->phase = HD_EXT_WAITING;
    return HD_EXT_OK;
}

void hd_ext_next_lost(struct hd_ext *x)
{
    if (x->phase == HD_EXT_WAITING)
        x->phase = HD_EXT_IDLE;
}

enum hd_ext_verdict hd_ext_error_report(struct hd_ext *x, bool init)
{
    bool registered = x->phase == HD_EXT_REGISTERED;
    bool running =
        x->phase == HD_EXT_IDLE || x->phase == HD_EXT_RUNNING || x->phase == HD_EXT_WAITING;
    if (init ? !registered : !registered && !running)
        return HD_EXT_BAD_STATE;
    x->phase = HD_EXT_FAILED;
    return HD_EXT_OK;
}

void hd_ext_given(struct hd_ext *x)
{
    x->phase = HD_EXT_RUNNING;
}

struct hd_ext *hd_exts_gone(struct hd_exts *e, struct hd_str name)
{
    struct hd_ext *x = find(e, name);
    if (x != NULL)
        x->phase = HD_EXT_GONE;
    return x;
}

bool hd_exts_all_registered(const struct hd_exts *e)
{
    for (unsigned i = 0; i < e->n; i++)
        if (e->v[i].phase == HD_EXT_STARTED)
            return false;
    return true;
}

bool hd_exts_all_waiting(const struct hd_exts *e)
{
    for (unsigned i = 0; i < e->n; i++)
        if (e->v[i].phase != HD_EXT_WAITING)
            return false;
    return true;
}

bool hd_exts_any(const struct hd_exts *e, bool *external)
{
    bool any = false;
    *external = false;
    for (unsigned i = 0; i < e->n; i++) {
        if (e->v[i].phase == HD_EXT_GONE)
            continue;
        any = true;
        *external = *external || e->v[i].external;
    }
    return any;
}
