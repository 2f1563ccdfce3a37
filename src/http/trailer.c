#include "http/trailer.h"

#include "http/format.h"
#include "http/parse.h"

enum { LAST_CHUNK_MAX = HD_CHUNK_TRAILER_MAX + 1024 };

struct hd_trailers {
    struct hd_buf in, out;
};

bool hd_is_trailer(struct hd_str name)
{
    static const char *const forbidden[] = {
        /* framing and routing */
        "content-length", "host", "expect", "max-forwards", "forwarded", "via",
        /* what is asked for, and under which condition */
        "cache-control", "pragma", "range", "te", "if-match", "if-none-match", "if-modified-since",
        "if-unmodified-since", "if-range", "accept", "origin",
        /* who asks */
        "authorization", "www-authenticate", "authentication-info", "proxy-authentication-info",
        "cookie", "set-cookie", "apikey",
        /* what is done with the answer */
        "age", "date", "expires", "location", "retry-after", "vary", "warning",
        "strict-transport-security",
        /* how the content is understood */
        "content-encoding", "content-type", "content-range", "content-disposition"};
    static const struct hd_str prefixes[] = {HD_LIT("x-forwarded-"), HD_LIT("access-control-"),
                                             HD_LIT("sec-")};
    if (hd_is_hop_by_hop(name))
        return false;
    for (size_t i = 0; i < HD_COUNT(forbidden); i++) {
        if (hd_str_is_nocase(name, forbidden[i]))
            return false;
    }
    for (size_t i = 0; i < HD_COUNT(prefixes); i++) {
        if (name.len >= prefixes[i].len &&
            hd_str_eq_nocase(hd_str_n(name.ptr, prefixes[i].len), prefixes[i]))
            return false;
    }
    return true;
}

struct hd_trailers *hd_trailers_new(void)
{
    struct hd_trailers *t = hd_new(struct hd_trailers);
    hd_buf_init(&t->in, HD_CHUNK_TRAILER_MAX);
    hd_buf_init(&t->out, LAST_CHUNK_MAX);
    return t;
}

void hd_trailers_free(struct hd_trailers *t)
{
    if (t == NULL)
        return;
    hd_buf_done(&t->in);
    hd_buf_done(&t->out);
    free(t);
}

void hd_trailers_add(struct hd_trailers *t, struct hd_str piece)
{
    hd_buf_str(&t->in, piece);
}

size_t hd_trailers_fields(const struct hd_trailers *t, struct hd_field out[HD_TRAILER_FIELDS_MAX])
{
    struct hd_str line, rest = hd_buf_view(&t->in);
    size_t n = 0;
    while (n < HD_TRAILER_FIELDS_MAX && hd_str_split(&line, &rest, '\n')) {
        size_t colon = hd_str_find(line, ':');
        if (colon == line.len)
            continue; /* what follows the last line break: nothing */
        struct hd_str name = hd_str_n(line.ptr, colon);
        /* The line ends with CR; blanks around the value do not count. */
        struct hd_str value = hd_str_n(line.ptr + colon + 1, line.len - colon - 2);
        if (hd_is_trailer(name))
            out[n++] = (struct hd_field){name, hd_str_trim(value)};
    }
    return n;
}

void hd_trailers_set(struct hd_trailers *t, const struct hd_field *fields, size_t n)
{
    struct hd_field kept[HD_TRAILER_FIELDS_MAX];
    size_t n_kept = 0;
    for (size_t i = 0; i < n && n_kept < HD_TRAILER_FIELDS_MAX; i++) {
        if (hd_is_trailer(fields[i].name))
            kept[n_kept++] = fields[i];
    }
    hd_buf_clear(&t->out);
    if (hd_format_trailers(&t->out, kept, n_kept, NULL) < 0)
        hd_buf_clear(&t->out); /* they are no fields, or too many: the body is whole without */
}

struct hd_str hd_trailers_last_chunk(const struct hd_trailers *t)
{
    return t != NULL && t->out.len > 0 ? hd_buf_view(&t->out) : hd_str(HD_CHUNK_LAST);
}
