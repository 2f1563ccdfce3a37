/* export: copy the database ─► records ─► digests in them ─► archives
 * import: unpack aside ─► check all of it ─► archives into the store of bundles ─► records, at once
 */
#include "node/transfer.h"

#include "core/folder.h"
#include "core/id.h"
#include "core/map.h"
#include "core/tar.h"
#include "functions/bundle.h"
#include "functions/file.h"
#include "node/archives.h"
#include "node/database.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

enum { RECORDS_MAX = 1 << 30, MANIFEST_MAX = 64 << 10, VERSION = 1, READ_BYTES = 64 << 10 };

static const char manifest_name[] = "heddle-lambda.json", records_name[] = "records.jsonl";
static const char bundles_prefix[] = "bundles/";

/* The kinds that move, by their names in the file. */
static const struct {
    const char *name;
    enum hd_record kind;
    size_t counted; /* where in struct hd_transfer */
} kinds[] = {
    {"function", HD_RECORD_FUNCTION, offsetof(struct hd_transfer, functions)},
    {"version", HD_RECORD_VERSION, offsetof(struct hd_transfer, versions)},
    {"alias", HD_RECORD_ALIAS, offsetof(struct hd_transfer, others)},
    {"policy", HD_RECORD_POLICY, offsetof(struct hd_transfer, others)},
    {"event_config", HD_RECORD_EVENT_CONFIG, offsetof(struct hd_transfer, others)},
    {"function_url", HD_RECORD_FUNCTION_URL, offsetof(struct hd_transfer, others)},
    {"provisioned", HD_RECORD_PROVISIONED, offsetof(struct hd_transfer, others)},
    {"layer", HD_RECORD_LAYER, offsetof(struct hd_transfer, others)},
    {"layer_version", HD_RECORD_LAYER_VERSION, offsetof(struct hd_transfer, layers)},
    {"event_source", HD_RECORD_EVENT_SOURCE, offsetof(struct hd_transfer, others)},
    {"code_signing", HD_RECORD_CODE_SIGNING, offsetof(struct hd_transfer, others)},
};

static void count(struct hd_transfer *out, size_t kind)
{
    size_t n;
    memcpy(&n, (char *)out + kinds[kind].counted, sizeof(n));
    n++;
    memcpy((char *)out + kinds[kind].counted, &n, sizeof(n));
}

/* --- digests --- */

static bool is_digest(struct hd_str s)
{
    unsigned char bytes[HD_DIGEST_CHARS / 2];
    return s.len == HD_DIGEST_CHARS && hd_unhex(bytes, sizeof(bytes), s) == 0;
}

/* Note every member "Digest" anywhere in a record; the keys of the map are its own. */
static void note_digests(struct hd_map *found, const json_t *doc)
{
    const char *name;
    json_t *value;
    size_t i;
    if (json_is_array(doc)) {
        json_array_foreach(doc, i, value) note_digests(found, value);
        return;
    }
    json_object_foreach((json_t *)doc, name, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL)
            note_digests(found, value);
        else if (strcmp(name, "Digest") == 0 && is_digest(hd_str(text)) &&
                 hd_map_get(found, hd_str(text)) == NULL) {
            char *key = hd_strdup(text);
            hd_map_put(found, hd_str(key), key);
        }
    }
}

static void drop_digests(struct hd_map *m)
{
    size_t at = 0;
    void *value;
    while (hd_map_next(m, &at, NULL, &value))
        free(value);
    hd_map_done(m);
}

/* --- export --- */

struct export
{
    struct hd_transfer *out;
    struct hd_buf records;
    struct hd_map digests;
    size_t kind;
};

static int export_record(void *arg, struct hd_str key, struct hd_str json)
{
    struct export *e = arg;
    json_t *doc = json_loadb(json.ptr, json.len, 0, NULL);
    note_digests(&e->digests, doc);
    json_decref(doc);
    hd_buf_fmt(&e->records, "{\"kind\":\"%s\",\"key\":", kinds[e->kind].name);
    hd_buf_json(&e->records, key);
    hd_buf_cstr(&e->records, ",\"record\":");
    hd_buf_str(&e->records, json);
    hd_buf_cstr(&e->records, "}\n");
    count(e->out, e->kind);
    return hd_buf_failed(&e->records) ? HD_EBUSY : 0;
}

static int read_records(struct export *e, const char *database, struct hd_error *err)
{
    struct hd_store *store = NULL;
    struct hd_store_options opt = {.path = database, .boot_id = "export"};
    int rc = hd_store_open(&store, &opt, err);
    for (e->kind = 0; rc == 0 && e->kind < HD_COUNT(kinds); e->kind++)
        rc = hd_store_each(store, kinds[e->kind].kind, export_record, e, err);
    hd_store_free(store);
    return rc;
}

static int write_archive(struct export *e, const struct hd_node_options *opt, int fd,
                         struct hd_error *err)
{
    struct hd_tar tar;
    size_t at = 0;
    void *digest;
    hd_auto_free char *manifest = hd_printf(
        "{\"format\":\"heddle-lambda\",\"version\":%d,\"heddle\":\"%s\",\"account\":\"%s\","
        "\"region\":\"%s\"}\n",
        VERSION, HD_VERSION, opt->lambda_account, opt->lambda_region);
    hd_tar_begin(&tar, fd);
    hd_tar_text(&tar, manifest_name, 0600, hd_str(manifest));
    hd_tar_text(&tar, records_name, 0600, hd_buf_view(&e->records));
    while (hd_map_next(&e->digests, &at, NULL, &digest)) {
        hd_auto_free char *name = hd_printf("%s%s.zip", bundles_prefix, (char *)digest);
        hd_auto_free char *path =
            hd_printf("%s/bundles/%s/bundle.zip", opt->data_dir, (char *)digest);
        hd_tar_file(&tar, name, 0600, path);
        e->out->archives++;
    }
    return hd_tar_end(&tar, err);
}

static int write_file(struct export *e, const struct hd_node_options *opt, const char *file,
                      struct hd_error *err)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", file);
    int rc = write_archive(e, opt, fd, err);
    if (rc == 0 && fsync(fd) != 0)
        rc = hd_fail_sys(err, errno, "%s", file);
    close(fd);
    if (rc < 0)
        unlink(file);
    return rc;
}

/* @return a folder of our own in the data folder, for the caller to remove and free; or NULL. */
static char *work_folder(const struct hd_node_options *opt, struct hd_error *err)
{
    char *dir = hd_printf("%s/transfer-XXXXXX", opt->data_dir);
    if (hd_make_folder(opt->data_dir, err) == 0 && mkdtemp(dir) != NULL)
        return dir;
    hd_fail_sys(err, errno, "%s", dir);
    free(dir);
    return NULL;
}

int hd_node_export(const struct hd_node_options *opt, const char *file, struct hd_transfer *out,
                   struct hd_error *err)
{
    struct export e = {.out = out};
    hd_auto_free char *database = hd_node_database_path(opt);
    *out = (struct hd_transfer){.functions = 0};
    if (access(database, R_OK) < 0)
        return hd_fail_sys(err, errno, "%s", database);
    hd_auto_free char *dir = work_folder(opt, err);
    if (dir == NULL)
        return err != NULL ? err->code : HD_EIO;
    hd_auto_free char *copy = hd_printf("%s/heddle.db", dir);
    hd_buf_init(&e.records, RECORDS_MAX);
    hd_map_init(&e.digests, 0);
    int rc = hd_store_copy(database, copy, err);
    if (rc == 0)
        rc = read_records(&e, copy, err);
    if (rc == 0)
        rc = write_file(&e, opt, file, err);
    drop_digests(&e.digests);
    hd_buf_done(&e.records);
    hd_remove_tree(dir);
    return rc;
}

/* --- import: the file --- */

struct import {
    const struct hd_node_options *opt;
    struct hd_transfer *out;
    const char *dir;       /* where archives lie until they are taken */
    struct hd_buf records; /* the lines */
    json_t *all;           /* [{"kind", "key", "record"}] */
    struct hd_map digests; /* archives in the file */
    struct hd_loop *loop;
    struct hd_bundles *bundles;
    struct hd_store *store;
    size_t at;     /* of the digests */
    char *current; /* the one under way */
    bool replace;
    int rc;
    struct hd_error *err;
};

static int refuse_file(struct hd_error *err, const char *why)
{
    return hd_fail(err, HD_EINVAL, "%s; is it a file of `heddle lambda export`?", why);
}

static int read_text(struct hd_buf *out, struct archive *a, struct hd_error *err)
{
    la_ssize_t n = 1;
    while (n > 0) {
        char *room = hd_buf_reserve(out, READ_BYTES);
        if (room == NULL)
            return refuse_file(err, "a part of it is too long");
        n = hd_archives()->read_data(a, room, READ_BYTES);
        if (n > 0)
            hd_buf_commit(out, (size_t)n);
    }
    return n == 0 ? 0 : refuse_file(err, "it is damaged");
}

static int read_manifest(struct archive *a, struct hd_error *err)
{
    struct hd_buf text;
    hd_buf_init(&text, MANIFEST_MAX + READ_BYTES);
    int rc = read_text(&text, a, err);
    json_t *doc = rc == 0 ? json_loadb(text.ptr, text.len, 0, NULL) : NULL;
    const char *format = json_string_value(json_object_get(doc, "format"));
    if (rc == 0 && (format == NULL || strcmp(format, "heddle-lambda") != 0))
        rc = refuse_file(err, "it is of another kind");
    else if (rc == 0 && json_integer_value(json_object_get(doc, "version")) != VERSION)
        rc = hd_fail(err, HD_EINVAL,
                     "it is of format %lld, this heddle reads %d: use the heddle that wrote it, or "
                     "a newer one",
                     (long long)json_integer_value(json_object_get(doc, "version")), VERSION);
    json_decref(doc);
    hd_buf_done(&text);
    return rc;
}

static int read_bundle(struct import *m, struct archive *a, struct hd_str digest)
{
    if (!is_digest(digest) || hd_map_get(&m->digests, digest) != NULL)
        return refuse_file(m->err, "an archive in it has a wrong name");
    char *key = hd_strdup_n(digest);
    hd_map_put(&m->digests, hd_str(key), key);
    hd_auto_free char *path = hd_printf("%s/%s.zip", m->dir, key);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return hd_fail_sys(m->err, errno, "%s", path);
    int rc = hd_archives()->read_data_into_fd(a, fd) == ARCHIVE_OK ? 0 : HD_EIO;
    close(fd);
    return rc == 0
               ? 0
               : hd_fail(m->err, HD_EIO, "bundles/%s.zip: %s", key, hd_archives()->error_string(a));
}

static int read_entry(struct import *m, struct archive *a, const char *path, bool first)
{
    struct hd_str name = hd_str(path);
    if (first)
        return strcmp(path, manifest_name) == 0 ? read_manifest(a, m->err)
                                                : refuse_file(m->err, "it does not say what it is");
    if (strcmp(path, records_name) == 0)
        return read_text(&m->records, a, m->err);
    if (hd_str_starts(name, hd_str(bundles_prefix)) && hd_str_ends(name, hd_str(".zip"))) {
        size_t skip = sizeof(bundles_prefix) - 1;
        return read_bundle(m, a, hd_str_n(path + skip, name.len - skip - 4));
    }
    return refuse_file(m->err, "there is something else in it");
}

static int read_file(struct import *m, const char *file)
{
    const struct hd_archives *lib = hd_archives_load(m->err);
    if (lib == NULL)
        return HD_ENOTFOUND;
    struct archive *a = lib->read_new();
    struct archive_entry *entry;
    int rc = 0, got;
    bool first = true;
    lib->read_support_format_tar(a);
    if (access(file, R_OK) < 0)
        rc = hd_fail_sys(m->err, errno, "%s", file);
    else if (lib->read_open_filename(a, file, READ_BYTES) != ARCHIVE_OK)
        rc = refuse_file(m->err, "it cannot be read");
    while (rc == 0 && (got = lib->read_next_header(a, &entry)) != ARCHIVE_EOF) {
        rc = got == ARCHIVE_OK ? read_entry(m, a, lib->entry_pathname(entry), first)
                               : refuse_file(m->err, "it is damaged");
        first = false;
    }
    if (rc == 0 && m->records.ptr == NULL)
        rc = refuse_file(m->err, "it has no records");
    lib->read_free(a);
    return rc;
}

/* --- import: what is in it --- */

static size_t kind_of(const json_t *line)
{
    const char *name = json_string_value(json_object_get(line, "kind"));
    size_t i = 0;
    while (i < HD_COUNT(kinds) && (name == NULL || strcmp(name, kinds[i].name) != 0))
        i++;
    return i;
}

static int parse_records(struct import *m)
{
    struct hd_str rest = hd_buf_view(&m->records), line;
    m->all = json_array();
    for (size_t n = 1; hd_str_split(&line, &rest, '\n'); n++) {
        if (line.len == 0)
            continue;
        json_t *doc = json_loadb(line.ptr, line.len, 0, NULL);
        bool good = kind_of(doc) < HD_COUNT(kinds) &&
                    json_string_length(json_object_get(doc, "key")) > 0 &&
                    json_is_object(json_object_get(doc, "record"));
        json_array_append_new(m->all, doc != NULL ? doc : json_null());
        if (!good)
            return hd_fail(m->err, HD_EINVAL, "%s:%zu: this is no record", records_name, n);
        count(m->out, kind_of(doc));
    }
    return 0;
}

/* Code that records need and that is neither in the file nor here. */
static int check_digests(struct import *m)
{
    struct hd_map needed;
    size_t at = 0;
    void *digest;
    int rc = 0;
    hd_map_init(&needed, 0);
    note_digests(&needed, m->all);
    while (rc == 0 && hd_map_next(&needed, &at, NULL, &digest)) {
        hd_auto_free char *here =
            hd_printf("%s/bundles/%s/bundle.zip", m->opt->data_dir, (char *)digest);
        if (hd_map_get(&m->digests, hd_str(digest)) == NULL && access(here, F_OK) < 0)
            rc = hd_fail(m->err, HD_EINVAL,
                         "the archive %s of a function or layer is missing in it", (char *)digest);
    }
    drop_digests(&needed);
    return rc;
}

struct there {
    struct import *m;
    size_t kind;
};

/* A record of this machine: must not be one of the file's, nor have the address of one. */
static int check_record(void *arg, struct hd_str key, struct hd_str json)
{
    const struct there *t = arg;
    struct import *m = t->m;
    size_t i;
    int rc = 0;
    json_t *line, *own = json_loadb(json.ptr, json.len, 0, NULL);
    const char *id = json_string_value(json_object_get(own, "Id"));
    json_array_foreach(m->all, i, line)
    {
        const char *their = json_string_value(json_object_get(line, "key"));
        const char *their_id =
            json_string_value(json_object_get(json_object_get(line, "record"), "Id"));
        if (kind_of(line) != t->kind)
            continue;
        if (hd_str_is(key, their) && !m->replace)
            rc = hd_fail(m->err, HD_EEXIST, "%s %s is here already; --replace replaces it",
                         kinds[t->kind].name, their);
        else if (!hd_str_is(key, their) && kinds[t->kind].kind == HD_RECORD_FUNCTION_URL &&
                 id != NULL && their_id != NULL && strcmp(id, their_id) == 0)
            rc = hd_fail(m->err, HD_EEXIST, "the function URL %s is here already, of %.*s", id,
                         HD_FMT(key));
        if (rc < 0)
            break;
    }
    json_decref(own);
    return rc;
}

static int check_records(struct import *m)
{
    struct there t = {.m = m};
    int rc = 0;
    for (t.kind = 0; rc == 0 && t.kind < HD_COUNT(kinds); t.kind++)
        rc = hd_store_each(m->store, kinds[t.kind].kind, check_record, &t, m->err);
    return rc;
}

/* --- import: keeping it; on the loop --- */

static void on_bundles_closed(void *arg)
{
    struct import *m = arg;
    m->bundles = NULL;
    hd_loop_stop(m->loop);
}

static void on_stored(void *arg, const struct hd_error *err)
{
    struct import *m = arg;
    if (err != NULL) {
        m->rc = err->code;
        if (m->err != NULL)
            *m->err = *err;
    }
    hd_bundles_close(m->bundles, on_bundles_closed, m);
}

static void keep_records(struct import *m)
{
    struct hd_store_tx *tx = hd_store_begin(m->store);
    size_t i;
    json_t *line;
    json_array_foreach(m->all, i, line)
    {
        hd_auto_free char *text =
            json_dumps(json_object_get(line, "record"), JSON_COMPACT | JSON_ENCODE_ANY);
        hd_store_put(tx, kinds[kind_of(line)].kind,
                     hd_str(json_string_value(json_object_get(line, "key"))), hd_str(text));
    }
    hd_store_commit(tx, m->loop, on_stored, m);
}

static void next_bundle(struct import *m);

static void on_bundle(void *arg, const struct hd_bundle_result *r)
{
    struct import *m = arg;
    if (r->problem != HD_BUNDLE_OK)
        m->rc = hd_fail(m->err, HD_EINVAL, "bundles/%s.zip: %s", m->current,
                        r->err.code != 0 ? r->err.msg : hd_bundle_problem_text(r->problem));
    else if (strcmp(r->digest, m->current) != 0)
        m->rc =
            hd_fail(m->err, HD_EINVAL, "bundles/%s.zip: it is not what its name says", m->current);
    if (m->rc < 0)
        hd_bundles_close(m->bundles, on_bundles_closed, m);
    else
        next_bundle(m);
}

static void next_bundle(struct import *m)
{
    void *digest;
    if (!hd_map_next(&m->digests, &m->at, NULL, &digest)) {
        keep_records(m);
        return;
    }
    m->current = digest;
    m->out->archives++;
    hd_auto_free char *path = hd_printf("%s/%s.zip", m->dir, m->current);
    hd_bundles_put_file(m->bundles, path, on_bundle, m);
}

static void begin(void *arg)
{
    next_bundle(arg);
}

static int keep(struct import *m)
{
    hd_auto_free char *dir = hd_printf("%s/bundles", m->opt->data_dir);
    int rc = hd_loop_new(&m->loop, 0, m->err);
    if (rc < 0)
        return rc;
    struct hd_bundles_options opt = {.dir = dir, .loop = m->loop};
    rc = hd_bundles_new(&m->bundles, &opt, m->err);
    if (rc == 0) {
        hd_loop_post(m->loop, begin, m);
        hd_loop_run(m->loop);
        rc = m->rc;
    }
    hd_loop_free(m->loop);
    return rc;
}

int hd_node_import(const struct hd_node_options *opt, const char *file, bool replace,
                   struct hd_transfer *out, struct hd_error *err)
{
    struct import m = {.opt = opt, .out = out, .replace = replace, .err = err};
    *out = (struct hd_transfer){.functions = 0};
    hd_auto_free char *dir = work_folder(opt, err);
    if (dir == NULL)
        return err != NULL ? err->code : HD_EIO;
    hd_auto_free char *database = hd_node_database_path(opt);
    struct hd_store_options store = {.path = database, .boot_id = "import"};
    m.dir = dir;
    hd_buf_init(&m.records, RECORDS_MAX);
    hd_map_init(&m.digests, 0);
    int rc = read_file(&m, file);
    if (rc == 0)
        rc = parse_records(&m);
    if (rc == 0)
        rc = check_digests(&m);
    if (rc == 0)
        rc = hd_store_open(&m.store, &store, err);
    if (rc == 0)
        rc = check_records(&m);
    if (rc == 0)
        rc = keep(&m);
    hd_store_free(m.store);
    json_decref(m.all);
    drop_digests(&m.digests);
    hd_buf_done(&m.records);
    hd_remove_tree(dir);
    return rc;
}
