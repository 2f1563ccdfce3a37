/* lambda/api/op.h - what an operation of the Lambda API is made of: its table entry, its input, its
 * answers.
 *
 * A file op_<subject>.c has the handlers of one subject and their table, hd_operations_<subject>,
 * which lambda/api/api_routes.c lists. By the time a handler runs, the input is one JSON object
 * with the members of path, query and body under their names in the API, typed and checked; the
 * name space is known, and so is the function's name where there is one. A handler ends in exactly
 * one of hd_op_answer(), hd_op_fail(), hd_op_commit() and hd_op_file(); it may do so later. Control
 * loop only. */
#pragma once

#include "lambda/api/api.h"
#include "lambda/api/api_error.h"
#include "lambda/deploy/catalog.h"
#include "lambda/names.h"
#include "core/id.h"
#include "lambda/api/shape.h"

struct hd_op;

struct hd_operation {
    const char *name;              /* "CreateFunction"; NULL ends a table */
    const char *method;            /* "POST" */
    const char *path;              /* "/2015-03-31/functions/{FunctionName}" */
    const char *query;             /* a parameter that must be there: "List=ALL"; NULL: none */
    unsigned ok;                   /* status of success */
    const struct hd_shape *input;  /* NULL: none */
    void (*run)(struct hd_op *op); /* NULL: not offered, and the answer says so */
};

/** One request under way. */
struct hd_op {
    struct hd_api *api;
    struct hd_catalog *catalog;
    const struct hd_operation *operation;
    const struct hd_api_request *request;
    const char *account, *region; /* the name space of the request */
    json_t *input;                /* never NULL */

    /* operations with a FunctionName: */
    const char *function;  /* its own name: "resize"; NULL: the operation has none */
    const char *qualifier; /* from the name or from Qualifier; NULL: none was given */

    void *state; /* the handler's, for work that goes on later */
    void (*free_state)(void *state);
};

/** @return a member of the input, borrowed; NULL: not given. */
static inline json_t *hd_op_get(const struct hd_op *op, const char *member)
{
    return json_object_get(op->input, member);
}
/** @return a text member, or NULL. */
static inline const char *hd_op_text(const struct hd_op *op, const char *member)
{
    return json_string_value(hd_op_get(op, member));
}

/* --- ends --- */

/** Answer with the operation's status. @p body is taken over; NULL: none. */
void hd_op_answer(struct hd_op *op, json_t *body);
void hd_op_fail(struct hd_op *op, enum hd_api_error e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** Commit, then answer with @p body (taken over); ServiceException if it cannot be written. */
void hd_op_commit(struct hd_op *op, struct hd_change *change, json_t *body);
/** Answer with a file's bytes. */
void hd_op_file(struct hd_op *op, const char *path);

/* --- what many handlers need --- */

/**
 * Take a FunctionName that is not in the path: sets op->function and op->qualifier.
 * @return false, and the operation has failed: no name, another region or account, or another
 *         qualifier than Qualifier has.
 */
bool hd_op_take_function(struct hd_op *op, const char *text);
/** Write the key of the operation's function (and one more part; see hd_catalog_key). */
char *hd_op_key(const struct hd_op *op, char *out, char sep, const char *last);
/** Write the prefix of the keys of what hangs on the operation's function: its own key and @p sep.
 */
char *hd_op_prefix(const struct hd_op *op, char *out, char sep);
/** @return the function's ARN in this name space, for the caller to free. */
char *hd_op_arn(const struct hd_op *op, const char *qualifier);
/** @return the function's document, a new reference; or NULL, and the operation has failed with
 *  "Function not found: <arn>". */
json_t *hd_op_function(struct hd_op *op);
/**
 * Look whether a qualifier of the operation's function exists: $LATEST, a version, an alias.
 * @param version  gets the version's number or "$LATEST", HD_NAMES_KEY_MAX bytes; may be NULL.
 *                 Of an alias: the one without weight.
 */
bool hd_op_resolve(const struct hd_op *op, const char *qualifier, char *version);
/** @return false, and the operation has failed with 412, unless RevisionId is absent or is what
 *  @p doc has. @p call: "GetFunction/GetAlias", "GetPolicy", ... */
bool hd_op_revision(struct hd_op *op, const char *revision, const char *call);
/** Write a new revision id (UUID). */
void hd_op_new_revision(char out[HD_UUID_CHARS + 1]);
/** @return "2026-03-12T19:03:58.123+0000", a new reference. */
json_t *hd_op_time(int64_t unix_ms);
/** Set a text member. */
void hd_op_set(json_t *object, const char *member, const char *text);

/**
 * List records page by page, by key: MaxItems, Marker, NextMarker as the API has them. Ends the
 * operation.
 * @param member  of the answer: "Aliases".
 * @param prefix  of the keys.
 * @param most    items of a page, whatever MaxItems says.
 * @param item    makes an item of a record (new reference); NULL: it is left out of the list.
 */
void hd_op_list(struct hd_op *op, const char *member, enum hd_record kind, const char *prefix,
                unsigned most, json_t *(*item)(struct hd_op *op, const char *key, json_t *doc));
/** The parts of it, for lists that are not one kind's records: */
/** @return the key that Marker stands for, for the caller to free; NULL: from the start. On a bad
 *  one *bad is set and the operation has failed. */
char *hd_op_marker(struct hd_op *op, bool *bad);
/** Set NextMarker in an answer. */
void hd_op_next_marker(json_t *answer, const char *last_key);
/** @return MaxItems, or @p most if it is absent or more. */
unsigned hd_op_max_items(const struct hd_op *op, unsigned most);
