/* lanes/conf.h - parts of a YAML or JSON document into structs, by tables; every problem is kept,
 * with file, line and key. */
#pragma once

#include "functions/strings.h"
#include "lanes/topology.h"

#include <yaml.h>

enum hd_conf_kind {
    HD_CONF_STR,    /* char *; ${NAME} and ${NAME:-default} are replaced */
    HD_CONF_BOOL,   /* bool */
    HD_CONF_U16,    /* uint16_t */
    HD_CONF_U32,    /* uint32_t */
    HD_CONF_I32,    /* int32_t */
    HD_CONF_U64,    /* uint64_t */
    HD_CONF_I64,    /* int64_t; null leaves it */
    HD_CONF_F64,    /* double */
    HD_CONF_STRS,   /* struct hd_strings: a list of texts, or one text */
    HD_CONF_WORD,   /* an enum: the index in `words` */
    HD_CONF_CUSTOM, /* what read() makes of it */
};

struct hd_conf;

struct hd_conf_key {
    const char *name; /* snake_case; camelCase is the same */
    enum hd_conf_kind kind;
    size_t offset;
    uint64_t min, max;        /* whole numbers; max 0: what the type can hold */
    const char *const *words; /* NULL-terminated */
    void (*read)(struct hd_conf *c, yaml_node_t *node, void *to);
};

struct hd_conf {
    yaml_document_t *doc;
    const char *path; /* of the file, as given */
    char *folder;     /* of the file: relative paths in it begin there */
    char *const *env; /* "NAME=value", NULL-terminated */
    char key[256];    /* where we are: "lanes.bindings[0].auth" */
    struct hd_topology_problem *problems;
    size_t n_problems;
};

/** Note a problem at @p line (0: none). @param id  as peers call it; "config" where they do not. */
void hd_conf_problem(struct hd_conf *c, const char *id, size_t line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
size_t hd_conf_line(const yaml_node_t *node);
/** @return the node behind a key of a mapping, or NULL. */
yaml_node_t *hd_conf_get(struct hd_conf *c, yaml_node_t *map, const char *name);
/** Read a mapping into @p to; unknown and repeated keys are problems. */
void hd_conf_map(struct hd_conf *c, yaml_node_t *node, const struct hd_conf_key *keys, size_t n,
                 void *to);
/** Call @p each for the entries of a mapping; `c->key` says which one. */
void hd_conf_each_entry(struct hd_conf *c, yaml_node_t *node,
                        void (*each)(struct hd_conf *c, const char *name, yaml_node_t *value,
                                     void *arg),
                        void *arg);
/** Same for the items of a list. */
void hd_conf_each_item(struct hd_conf *c, yaml_node_t *node,
                       void (*each)(struct hd_conf *c, yaml_node_t *item, void *arg), void *arg);
/** @return a scalar's text with variables replaced, the caller's; NULL and a problem if it is not
 *  text. */
char *hd_conf_text(struct hd_conf *c, yaml_node_t *node);
/** @return what is in a file that the document names, the caller's; NULL and a problem. */
char *hd_conf_file(struct hd_conf *c, yaml_node_t *node);
