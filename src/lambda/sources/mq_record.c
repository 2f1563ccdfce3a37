#include "lambda/sources/mq_record.h"

#include "core/base64.h"
#include "core/utf8.h"
#include "lambda/sources/filter.h"

#include <time.h>

enum { DEPTH_MAX = 16 };

static json_t *text(amqp_bytes_t b)
{
    json_t *v = json_stringn(b.len > 0 ? b.bytes : "", b.len);
    return v != NULL ? v : json_null(); /* not UTF-8 */
}

/* Java's "MMM d, yyyy, h:mm:ss a", which is what the service's functions get. */
static json_t *date(uint64_t unix_s)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t at = (time_t)unix_s;
    struct tm t;
    if (unix_s > INT32_MAX * UINT64_C(100) || gmtime_r(&at, &t) == NULL)
        return json_null();
    return json_sprintf("%s %d, %d, %d:%02d:%02d %s", months[t.tm_mon], t.tm_mday, t.tm_year + 1900,
                        (t.tm_hour + 11) % 12 + 1, t.tm_min, t.tm_sec,
                        t.tm_hour < 12 ? "AM" : "PM");
}

/* Text in headers is bytes there. */
static json_t *bytes(amqp_bytes_t b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b.len; i++)
        json_array_append_new(list, json_integer(((const signed char *)b.bytes)[i]));
    return json_pack("{so}", "bytes", list);
}

static json_t *value(const amqp_field_value_t *v, unsigned depth);

static json_t *table(const amqp_table_t *t, unsigned depth)
{
    json_t *out = json_object();
    for (int i = 0; depth < DEPTH_MAX && i < t->num_entries; i++) {
        hd_auto_free char *key =
            hd_strdup_n(hd_str_n(t->entries[i].key.bytes, t->entries[i].key.len));
        json_object_set_new(out, key, value(&t->entries[i].value, depth + 1));
    }
    return out;
}

static json_t *list(const amqp_array_t *a, unsigned depth)
{
    json_t *out = json_array();
    for (int i = 0; depth < DEPTH_MAX && i < a->num_entries; i++)
        json_array_append_new(out, value(&a->entries[i], depth + 1));
    return out;
}

static json_t *value(const amqp_field_value_t *v, unsigned depth)
{
    switch (v->kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        return json_boolean(v->value.boolean);
    case AMQP_FIELD_KIND_I8:
        return json_integer(v->value.i8);
    case AMQP_FIELD_KIND_U8:
        return json_integer(v->value.u8);
    case AMQP_FIELD_KIND_I16:
        return json_integer(v->value.i16);
    case AMQP_FIELD_KIND_U16:
        return json_integer(v->value.u16);
    case AMQP_FIELD_KIND_I32:
        return json_integer(v->value.i32);
    case AMQP_FIELD_KIND_U32:
        return json_integer(v->value.u32);
    case AMQP_FIELD_KIND_I64:
        return json_integer(v->value.i64);
    case AMQP_FIELD_KIND_U64:
        return json_integer((json_int_t)v->value.u64);
    case AMQP_FIELD_KIND_F32:
        return json_real((double)v->value.f32);
    case AMQP_FIELD_KIND_F64:
        return json_real(v->value.f64);
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        return bytes(v->value.bytes);
    case AMQP_FIELD_KIND_ARRAY:
        return list(&v->value.array, depth);
    case AMQP_FIELD_KIND_TABLE:
        return table(&v->value.table, depth);
    case AMQP_FIELD_KIND_TIMESTAMP:
        return date(v->value.u64);
    default: /* decimals, and nothing: librabbitmq has many kinds */
        return json_null();
    }
}

static json_t *properties(const amqp_basic_properties_t *p, size_t body_bytes)
{
    const amqp_flags_t has = p->_flags;
    json_t *out = json_object();
    const struct {
        const char *name;
        amqp_flags_t flag;
        const amqp_bytes_t *text;
    } texts[] = {
        {"contentType", AMQP_BASIC_CONTENT_TYPE_FLAG, &p->content_type},
        {"contentEncoding", AMQP_BASIC_CONTENT_ENCODING_FLAG, &p->content_encoding},
        {"headers", AMQP_BASIC_HEADERS_FLAG, NULL},
        {"deliveryMode", AMQP_BASIC_DELIVERY_MODE_FLAG, NULL},
        {"priority", AMQP_BASIC_PRIORITY_FLAG, NULL},
        {"correlationId", AMQP_BASIC_CORRELATION_ID_FLAG, &p->correlation_id},
        {"replyTo", AMQP_BASIC_REPLY_TO_FLAG, &p->reply_to},
        {"expiration", AMQP_BASIC_EXPIRATION_FLAG, &p->expiration},
        {"messageId", AMQP_BASIC_MESSAGE_ID_FLAG, &p->message_id},
        {"timestamp", AMQP_BASIC_TIMESTAMP_FLAG, NULL},
        {"type", AMQP_BASIC_TYPE_FLAG, &p->type},
        {"userId", AMQP_BASIC_USER_ID_FLAG, &p->user_id},
        {"appId", AMQP_BASIC_APP_ID_FLAG, &p->app_id},
        {"clusterId", AMQP_BASIC_CLUSTER_ID_FLAG, &p->cluster_id},
    };
    for (size_t i = 0; i < HD_COUNT(texts); i++) {
        json_t *v = json_null();
        if ((has & texts[i].flag) == 0)
            v = texts[i].flag == AMQP_BASIC_HEADERS_FLAG ? json_object() : json_null();
        else if (texts[i].text != NULL)
            v = text(*texts[i].text);
        else if (texts[i].flag == AMQP_BASIC_HEADERS_FLAG)
            v = table(&p->headers, 0);
        else if (texts[i].flag == AMQP_BASIC_TIMESTAMP_FLAG)
            v = date(p->timestamp);
        else
            v = json_integer(texts[i].flag == AMQP_BASIC_PRIORITY_FLAG ? p->priority
                                                                       : p->delivery_mode);
        json_object_set_new(out, texts[i].name, v);
    }
    json_object_set_new(out, "bodySize", json_integer((json_int_t)body_bytes));
    return out;
}

json_t *hd_mq_record(const amqp_basic_properties_t *p, struct hd_str body, bool redelivered)
{
    hd_auto_free char *data = hd_alloc(hd_base64_chars(HD_BASE64, body.len) + 1);
    size_t n = hd_base64_encode(data, HD_BASE64, body.ptr, body.len);
    return json_pack("{sosbso}", "basicProperties", properties(p, body.len), "redelivered",
                     redelivered, "data", json_stringn_nocheck(data, n));
}

json_t *hd_mq_view(const json_t *record, struct hd_str body)
{
    json_t *inside = hd_filter_parse(body);
    if (inside == NULL && hd_utf8_valid(body))
        inside = json_stringn(body.len > 0 ? body.ptr : "", body.len);
    if (inside == NULL)
        return NULL;
    json_t *view = json_copy((json_t *)record);
    json_object_set_new(view, "data", inside);
    return view;
}
