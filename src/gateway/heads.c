#include "gateway/heads.h"

static bool is(struct hd_str name, const char *lower)
{
    return hd_str_eq_nocase(name, hd_str(lower));
}

bool hd_is_reserved(struct hd_str name)
{
    static const struct hd_str ours[] = {HD_LIT("x-heddle-"), HD_LIT("x-1tube-")};
    if (name.len < 8 || (name.ptr[0] | 0x20) != 'x' || name.ptr[1] != '-')
        return false;
    for (size_t i = 0; i < HD_COUNT(ours); i++) {
        if (name.len >= ours[i].len && hd_str_eq_nocase(hd_str_n(name.ptr, ours[i].len), ours[i]))
            return true;
    }
    return false;
}

/* Note a field that the gateway reads. @return whether the function does not get it as it is. The
 * length first: most fields have none of these, and are through with one jump. */
static bool note(struct hd_seen *seen, const struct hd_field *f)
{
    struct hd_str name = f->name;
    switch (name.len) {
    case 2:
        return is(name, "te");
    case 3:
        if (!is(name, "via"))
            return false;
        seen->via = f->value;
        return true;
    case 4:
        return is(name, "host");
    case 6:
        if (is(name, "origin"))
            seen->origin = f->value;
        else if (is(name, "apikey"))
            seen->apikey = f->value;
        else
            return is(name, "expect");
        return false;
    case 9:
        if (!is(name, "forwarded"))
            return is(name, "x-real-ip") && (seen->real_ip = f->value, true);
        seen->forwarded = f->value;
        return true;
    case 11:
        if (!is(name, "traceparent"))
            return false;
        seen->traceparent = f->value;
        return true;
    case 12:
        if (!is(name, "x-request-id"))
            return false;
        seen->request_id = f->value;
        return true;
    case 13:
        if (is(name, "authorization"))
            seen->authorization = f->value;
        return false;
    case 14:
        return is(name, "content-length");
    case 15:
        if (!is(name, "x-forwarded-for"))
            return false;
        seen->forwarded_for = f->value;
        return true;
    case 16:
        if (!is(name, "x-forwarded-host"))
            return false;
        seen->forwarded_host = f->value;
        return true;
    case 17:
        if (!is(name, "x-forwarded-proto"))
            return false;
        seen->forwarded_proto = f->value;
        return true;
    case 29:
        if (is(name, "access-control-request-method"))
            seen->request_method = f->value;
        return false;
    case 30:
        if (is(name, "access-control-request-headers"))
            seen->request_headers = f->value;
        return false;
    case 38:
        if (is(name, "access-control-request-private-network"))
            seen->request_private = f->value;
        return false;
    default:
        return false;
    }
}

void hd_seen_sort(struct hd_seen *out, const struct hd_head *head, struct hd_field *pass)
{
    *out = (struct hd_seen){.pass = pass};
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct hd_field *f = &head->fields[i];
        if (note(out, f) || hd_is_reserved(f->name) || hd_is_hop_by_hop(f->name) ||
            (head->connection_names && hd_is_connection_option(head, f->name)))
            continue;
        pass[out->n_pass++] = *f;
    }
}

static bool is_among(struct hd_str name, const struct hd_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (hd_str_eq_nocase(name, fields[i].name))
            return true;
    }
    return false;
}

size_t hd_answer_sort(struct hd_field *out, const struct hd_field *fields, size_t n,
                      const struct hd_field *own, size_t n_own, const struct hd_cors *cors,
                      struct hd_str *error)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (hd_is_reserved(fields[i].name)) {
            if (is(fields[i].name, "x-heddle-error"))
                *error = fields[i].value;
            continue;
        }
        if (cors != NULL && hd_cors_owns(cors, fields[i].name))
            continue;
        /* Vary is a list: several fields of it add up. */
        if (is_among(fields[i].name, own, n_own) && !is(fields[i].name, "vary"))
            continue;
        out[kept++] = fields[i];
    }
    return kept;
}
