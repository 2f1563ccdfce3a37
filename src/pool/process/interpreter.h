/* pool/process/interpreter.h - which of the installed interpreters runs a Lambda runtime such as
 * "python3.12": that version, or the nearest there is. */
#pragma once

#include "core/base.h"

enum { HD_INTERPRETERS_MAX = 32, HD_INTERPRETER_TEXT_MAX = 239 };

enum hd_interpreter_family {
    HD_INTERPRETER_NODE,
    HD_INTERPRETER_PYTHON,
    HD_INTERPRETER_NONE, /* provided: it needs none */
    HD_INTERPRETER_ELSE, /* java, ruby, ...: not here */
};

struct hd_interpreter {
    enum hd_interpreter_family family;
    char *path;            /* absolute */
    unsigned major, minor; /* 0.0: not known yet */
    bool preferred;        /* the one that the node was told to use */
};

/** What is installed; owns the paths. */
struct hd_interpreters {
    struct hd_interpreter v[HD_INTERPRETERS_MAX];
    size_t n;
};

/** What a runtime id asks for. */
struct hd_runtime_want {
    enum hd_interpreter_family family;
    unsigned major, minor; /* 0.0: any */
};
/** @param id  "nodejs20.x"; NULL or unknown: HD_INTERPRETER_ELSE. Pure. */
struct hd_runtime_want hd_runtime_want(const char *id);

/**
 * Choose. Equal distance: the newer one. Pure.
 * @param exact  set: it has that version, or nobody knows its version.
 * @return NULL: there is none of the family.
 */
const struct hd_interpreter *hd_interpreter_pick(const struct hd_interpreters *all,
                                                 struct hd_runtime_want want, bool *exact);
/** @return what is missing where there is no interpreter of the family, and how to get it; static.
 */
const char *hd_interpreter_problem(enum hd_interpreter_family family);
/** Write what runs a runtime as logs have it: "python:3.11", "nodejs:20.19", "provided:al2023".
 *  @param chosen  NULL, or of a version that is not known: what the id asks for. Pure. */
void hd_interpreter_version(char out[HD_INTERPRETER_TEXT_MAX + 1], const char *id,
                            const struct hd_interpreter *chosen);
/** Write that another version than what the id asks for runs it. */
void hd_interpreter_note(char out[HD_INTERPRETER_TEXT_MAX + 1], const char *id,
                         const struct hd_interpreter *chosen);

/**
 * Look for programs: those the node uses, and others in PATH and where version managers put them.
 * @param node, python  absolute paths or NULL.
 * @param for_others    they will be run as another user: pass over what that user cannot reach.
 */
void hd_interpreters_find(struct hd_interpreters *out, const char *node, const char *python,
                          const char *path, bool for_others);
/** Run each whose version is not known, to ask for that, and for what it really is where the name
 *  leads to a version manager. Blocks: on a work thread. */
void hd_interpreters_ask(struct hd_interpreters *all);
void hd_interpreters_copy(struct hd_interpreters *out, const struct hd_interpreters *from);
void hd_interpreters_done(struct hd_interpreters *all);
