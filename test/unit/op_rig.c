#include "op_rig.h"

void op_function(struct lr *r, const char *name)
{
    hd_auto_free char *update = hd_printf("PUT " LR_FUNCTIONS "/%s/configuration", name);
    hd_auto_free char *publish = hd_printf("POST " LR_FUNCTIONS "/%s/versions", name);
    hd_auto_free char *alias = hd_printf("POST " LR_FUNCTIONS "/%s/aliases", name);
    lr_create(r, name);
    op_ok(r, 201, publish, "{}");
    op_ok(r, 200, update, "{\"MemorySize\":256}");
    lr_settle(r, name);
    op_ok(r, 201, publish, "{}");
    assert_string_equal(lr_text(r, "Version"), "2");
    op_ok(r, 201, alias, "{\"Name\":\"prod\",\"FunctionVersion\":\"1\"}");
}

void op_start(struct lr *r)
{
    lr_init(r);
    r->opt.url_port = 3100;
    lr_open(r);
    op_function(r, "demo");
}

void op_restart(struct lr *r)
{
    lr_close(r);
    lr_open(r);
}

const char *op_ok(struct lr *r, unsigned status, const char *line, const char *body)
{
    lr_ask(r, line, body);
    if (r->status != status)
        fail_msg("%s: %u %s %s", line, r->status, r->type, r->text);
    return r->text;
}

void op_refused(struct lr *r, const char *type, const char *message, const char *line,
                const char *body)
{
    lr_ask(r, line, body);
    const char *said = json_string_value(json_object_get(r->body, "message"));
    if (said == NULL)
        said = json_string_value(json_object_get(r->body, "Message"));
    if (strcmp(r->type, type) != 0 || said == NULL || strcmp(said, message) != 0)
        fail_msg("%s: wanted %s: %s\ngot %u %s %s", line, type, message, r->status, r->type,
                 r->text);
}

json_int_t op_number(const struct lr *r, const char *path)
{
    const json_t *v = lr_get(r, path);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}
