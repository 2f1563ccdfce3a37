/*  READING ──last delimiter──► (files still being written: WRITING) ──► the task runs
 *     └── a limit, a wrong form ──► refused
 * Files go to the spool as they come; only the manifest is held. What the parser tells is noted,
 * and answered when it has returned. */
#include "core/log.h"
#include "lanes/exposure_private.h"
#include "lanes/lane_files.h"
#include "lanes/multipart.h"
#include "lanes/spool.h"

static const char INVALID[] = "Invalid multipart payload";

/* An id that the manifest or a part has. */
struct entry {
    char *id, *name, *type, *path; /* all but the id may be NULL */
    bool came;
    unsigned file; /* in the spool */
    uint64_t bytes;
};

struct hd_rpc_form {
    struct hd_rpc *rpc;
    struct hd_multipart *parser;
    struct hd_spool *spool;
    struct hd_buf manifest;
    struct entry *entries;
    size_t n_entries, room;
    uint32_t files, fields, parts; /* that came */
    enum { IGNORED_FIELD, IGNORED_FILE, MANIFEST, FILE_PART } part;
    struct entry *into;  /* FILE_PART */
    uint64_t part_bytes; /* of this part so far */
    uint64_t left;       /* of the whole form */
    bool with_manifest, full, ended;
    struct hd_lane_file found;    /* what find_file() returned last */
    struct hd_lane_error refusal; /* code NULL: none */
};

/* --- what is wrong with it --- */

static int refuse(struct hd_rpc_form *f, unsigned status, const char *code, const char *message)
{
    if (f->refusal.code == NULL)
        f->refusal = hd_rpc_refusal(status, code, message);
    return HD_EINVAL;
}

static int too_much(struct hd_rpc_form *f, const char *message)
{
    return refuse(f, 413, "PAYLOAD_TOO_LARGE", message);
}

/* --- ids --- */

static struct entry *entry_of(struct hd_rpc_form *f, struct hd_str id)
{
    for (size_t i = 0; i < f->n_entries; i++) {
        if (hd_str_is(id, f->entries[i].id))
            return &f->entries[i];
    }
    return NULL;
}

/* @return the id's entry, a new one if need be; NULL: there are too many. */
static struct entry *note(struct hd_rpc_form *f, struct hd_str id)
{
    struct entry *e = entry_of(f, id);
    if (e != NULL)
        return e;
    if (f->n_entries == f->room) {
        too_much(f, "Files limit exceeded");
        return NULL;
    }
    e = &f->entries[f->n_entries++];
    e->id = hd_strdup_n(id);
    return e;
}

static void note_id(void *arg, struct hd_str id)
{
    note(arg, id);
}

static const struct hd_lane_file *find_file(void *arg, struct hd_str id)
{
    struct hd_rpc_form *f = arg;
    struct entry *e = entry_of(f, id);
    if (e == NULL || !e->came)
        return NULL;
    if (e->path == NULL)
        e->path = hd_spool_path(f->spool, e->file);
    f->found = (struct hd_lane_file){.id = hd_str(e->id),
                                     .name = hd_str(e->name),
                                     .type = hd_str(e->type),
                                     .path = hd_str(e->path),
                                     .bytes = e->bytes};
    return &f->found;
}

/* --- parts --- */

static int begin_file(struct hd_rpc_form *f, const struct hd_part *part, struct hd_str id)
{
    struct entry *e = note(f, id);
    if (e == NULL)
        return HD_EINVAL;
    if (e->came)
        return refuse(f, 400, "INVALID_MULTIPART", INVALID); /* which of the two would it be? */
    e->came = true;
    e->name = part->filename.ptr != NULL ? hd_strdup_n(part->filename) : NULL;
    e->type = part->content_type.ptr != NULL ? hd_strdup_n(part->content_type) : NULL;
    e->file = hd_spool_begin(f->spool);
    f->part = FILE_PART;
    f->into = e;
    return 0;
}

static int on_part(void *arg, const struct hd_part *part)
{
    struct hd_rpc_form *f = arg;
    const struct hd_exposure_options *c = f->rpc->exposure->config;
    static const struct hd_str prefix = HD_LIT("file:");
    bool ours = hd_str_starts(part->name, prefix) && part->name.len > prefix.len;
    bool is_manifest = hd_str_is(part->name, "__manifest");
    bool is_file = !is_manifest && (ours || part->filename.ptr != NULL);
    f->part_bytes = 0;
    f->parts++;
    f->files += is_file;
    f->fields += !is_file;
    f->part = is_file ? IGNORED_FILE : IGNORED_FIELD;
    if (c->parts > 0 && f->parts > c->parts)
        return too_much(f, "Parts limit exceeded");
    if (f->files > c->files)
        return too_much(f, "Files limit exceeded");
    if (f->fields > c->fields)
        return too_much(f, "Fields limit exceeded");
    if (is_manifest && f->with_manifest)
        return refuse(f, 400, "INVALID_MULTIPART", INVALID);
    if (is_manifest) {
        f->part = MANIFEST;
        f->with_manifest = true;
    }
    return ours ? begin_file(f, part,
                             hd_str_n(part->name.ptr + prefix.len, part->name.len - prefix.len))
                : 0;
}

static int on_data(void *arg, struct hd_str bytes)
{
    struct hd_rpc_form *f = arg;
    const struct hd_exposure_options *c = f->rpc->exposure->config;
    bool is_file = f->part == FILE_PART || f->part == IGNORED_FILE;
    f->part_bytes += bytes.len;
    if (is_file && f->part_bytes > c->file_bytes)
        return too_much(f, "File size limit exceeded");
    if (!is_file && f->part_bytes > c->field_bytes)
        return too_much(f, "Field limit exceeded");
    if (f->part == MANIFEST)
        hd_buf_str(&f->manifest, bytes);
    if (f->part == FILE_PART) {
        f->into->bytes = f->part_bytes;
        f->full = !hd_spool_write(f->spool, bytes) || f->full;
    }
    return 0;
}

static int on_part_end(void *arg)
{
    (void)arg;
    return 0;
}

/* --- the end --- */

static void internal(struct hd_rpc_form *f, const char *code, struct hd_str reason)
{
    refuse(f, 500, code, "Internal Error");
    f->refusal.reason = reason;
}

static void run(struct hd_rpc_form *f)
{
    struct hd_rpc *r = f->rpc;
    struct hd_arena arena;
    struct hd_rpc_body body;
    struct hd_str missing;
    struct hd_error err = {0};
    hd_arena_init(&arena, NULL, 0, HD_RPC_VALUES_MAX);
    int rc = hd_rpc_body_read(&body, &arena, hd_buf_view(&f->manifest), false, &err);
    struct hd_typed *input = (struct hd_typed *)body.value;
    if (rc < 0 || hd_lane_files_forged(input)) {
        refuse(f, 400, "INVALID_MULTIPART", "Invalid manifest");
    } else {
        hd_lane_files_ids(input, note_id, f);
        if (f->refusal.code == NULL && hd_spool_failed(f->spool, &err) < 0)
            internal(f, "STREAM_ERROR", hd_str(err.msg));
        else if (f->refusal.code == NULL)
            rc = hd_lane_files_show(&input, &arena, find_file, f, &missing);
        if (rc == HD_ENOTFOUND)
            internal(f, "MISSING_FILE_PART", missing);
        else if (rc < 0)
            too_much(f, "Payload too large");
    }
    body.value = input;
    if (f->refusal.code != NULL)
        hd_rpc_refuse(r, f->refusal);
    else
        hd_rpc_run(r, &arena, &body);
    hd_arena_done(&arena);
}

static void complete(struct hd_rpc_form *f)
{
    struct hd_rpc *r = f->rpc;
    if (!hd_multipart_complete(f->parser))
        hd_rpc_refuse(r, hd_rpc_refusal(400, "INVALID_MULTIPART", INVALID));
    else if (!f->with_manifest)
        hd_rpc_refuse(r, hd_rpc_refusal(400, "MISSING_MANIFEST", "Missing manifest"));
    else if (hd_spool_is_idle(f->spool))
        run(f);
}

void hd_rpc_form_feed(struct hd_rpc *r, struct hd_str bytes, bool end)
{
    struct hd_rpc_form *f = r->form;
    struct hd_error err = {0};
    if (bytes.len > f->left)
        too_much(f, "Payload too large");
    f->left -= HD_MIN(f->left, (uint64_t)bytes.len);
    if (f->refusal.code == NULL && hd_multipart_feed(f->parser, bytes, &err) < 0) {
        refuse(f, 400, "INVALID_MULTIPART", INVALID);
        f->refusal.reason = hd_str(err.msg);
    }
    f->ended = end;
    if (f->refusal.code != NULL)
        hd_rpc_refuse(r, f->refusal);
    else if (end)
        complete(f);
    else if (f->full)
        hd_exchange_pause(r->ex, true);
}

static void on_idle(void *arg)
{
    struct hd_rpc_form *f = arg;
    struct hd_rpc *r = f->rpc;
    struct hd_error err;
    if (r->run != NULL || r->ex == NULL)
        return;
    if (hd_spool_failed(f->spool, &err) < 0) {
        internal(f, "STREAM_ERROR", hd_str(err.msg));
        hd_rpc_refuse(r, f->refusal);
    } else if (f->ended) {
        run(f);
    } else if (f->full) {
        f->full = false;
        hd_exchange_pause(r->ex, false);
    }
}

/* --- the beginning --- */

/* No form that keeps the other limits is longer. */
static uint64_t most(const struct hd_exposure_options *c)
{
    uint64_t files, fields, all;
    uint64_t heads = ((uint64_t)c->files + c->fields + 2) * 2 * HD_MULTIPART_HEAD_MAX;
    if (c->multipart_bytes > 0)
        return c->multipart_bytes;
    if (__builtin_mul_overflow(c->file_bytes, c->files, &files) ||
        __builtin_mul_overflow(c->field_bytes, c->fields, &fields) ||
        __builtin_add_overflow(files, fields, &all) || __builtin_add_overflow(all, heads, &all))
        return UINT64_MAX;
    return all;
}

bool hd_rpc_form_begin(struct hd_rpc *r)
{
    static const struct hd_multipart_events events = {
        .on_part = on_part, .on_data = on_data, .on_part_end = on_part_end};
    const struct hd_exposure_loop *opt = &r->exposure->opt;
    const struct hd_exposure_options *c = r->exposure->config;
    struct hd_str boundary;
    if (hd_multipart_boundary(&boundary, r->content_type) < 0) {
        hd_rpc_refuse(r, hd_rpc_refusal(400, "INVALID_MULTIPART", INVALID));
        return false;
    }
    if (opt->files_dir == NULL) {
        struct hd_lane_error no = hd_rpc_refusal(500, "STREAM_ERROR", "Internal Error");
        no.reason = hd_str("this node has no folder for files");
        hd_rpc_refuse(r, no);
        return false;
    }
    struct hd_rpc_form *f = hd_new(struct hd_rpc_form);
    r->form = f;
    f->rpc = r;
    f->room = c->files;
    f->entries = hd_new_array(struct entry, f->room + 1);
    f->left = most(c);
    hd_buf_init(&f->manifest, HD_RPC_VALUES_MAX);
    f->parser = hd_multipart_new(boundary, &events, f);
    f->spool = hd_spool_new(opt->net->loop, opt->files_dir, on_idle, f);
    r->exposure->spools++;
    return true;
}

void hd_rpc_form_free(struct hd_rpc_form *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->n_entries; i++) {
        struct entry *e = &f->entries[i];
        free(e->id);
        free(e->name);
        free(e->type);
        free(e->path);
    }
    free(f->entries);
    hd_buf_done(&f->manifest);
    hd_multipart_free(f->parser);
    hd_spool_free(f->spool, hd_exposure_spool_gone, f->rpc->exposure);
    free(f);
}
