#include "gateway/answer.h"

void hd_answer_body(struct hd_buf *out, const struct hd_answer *a, const char *id)
{
    hd_buf_cstr(out, "{\"error\":");
    hd_buf_json(out, hd_str(a->error));
    if (a->reason != NULL) {
        hd_buf_cstr(out, ",\"reason\":");
        hd_buf_json(out, hd_str(a->reason));
    }
    if (a->extra != NULL) {
        hd_buf_char(out, ',');
        hd_buf_cstr(out, a->extra);
    }
    if (id != NULL) {
        hd_buf_cstr(out, ",\"requestId\":");
        hd_buf_json(out, hd_str(id));
    }
    hd_buf_char(out, '}');
}
