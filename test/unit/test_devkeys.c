/* test_devkeys.c - keys of development mode, on a real folder. */
#include "node/devkeys.h"

#include "test.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char dir[64], data[80], file[96];
    struct hd_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/heddle-devkeys-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->data, sizeof(f->data), "%s/.heddle", f->dir);
    snprintf(f->file, sizeof(f->file), "%s/dev-keys.json", f->data);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->file);
    rmdir(f->data);
    assert_int_equal(rmdir(f->dir), 0); /* nothing else was left behind */
    free(f);
    return 0;
}

/* Check an HS256 token with OpenSSL alone, and that it has the role. */
static void assert_token(const char *token, const char *secret, const char *role)
{
    const char *dot = strrchr(token, '.');
    assert_non_null(dot);
    unsigned char mac[EVP_MAX_MD_SIZE], text[128], payload[512];
    unsigned len = 0;
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)token,
         (size_t)(dot - token), mac, &len);
    int n = EVP_EncodeBlock(text, mac, (int)len);
    while (n > 0 && text[n - 1] == '=')
        n--;
    assert_int_equal(strlen(dot + 1), n);
    for (int i = 0; i < n; i++) {
        char c = (char)text[i];
        assert_int_equal(dot[1 + i], c == '+' ? '-' : c == '/' ? '_' : c);
    }
    const char *body = strchr(token, '.') + 1;
    char padded[512] = {0};
    size_t body_len = (size_t)(dot - body);
    assert_in_range(body_len, 1, sizeof(padded) - 4);
    memcpy(padded, body, body_len);
    while (body_len % 4 != 0)
        padded[body_len++] = '=';
    int bytes = EVP_DecodeBlock(payload, (const unsigned char *)padded, (int)body_len);
    assert_in_range(bytes, 1, sizeof(payload) - 1);
    payload[bytes] = '\0';
    assert_non_null(strstr((const char *)payload, role));
    assert_non_null(strstr((const char *)payload, "\"exp\":"));
}

static void keys_are_made_once_and_kept_private(void **state)
{
    struct fixture *f = *state;
    struct hd_devkeys a, b;
    assert_int_equal(hd_devkeys_load(&a, f->data, NULL, false, &f->err), HD_ENOTFOUND);
    assert_int_equal(hd_devkeys_load(&a, f->data, NULL, true, &f->err), 0);
    assert_true(a.created);
    assert_int_equal(strlen(a.jwt_secret), 64);
    assert_token(a.anon_key, a.jwt_secret, "\"role\":\"anon\"");
    assert_token(a.service_key, a.jwt_secret, "\"role\":\"service_role\"");
    struct stat st;
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(f->data, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(hd_devkeys_load(&b, f->data, NULL, true, &f->err), 0);
    assert_false(b.created);
    assert_string_equal(a.jwt_secret, b.jwt_secret);
    assert_string_equal(a.service_key, b.service_key);
    hd_devkeys_done(&a);
    hd_devkeys_done(&b);
}

static void another_secret_signs_other_tokens_and_is_not_written(void **state)
{
    struct fixture *f = *state;
    struct hd_devkeys keys;
    static const char secret[] = "an own secret that is long enough for anybody";
    assert_int_equal(hd_devkeys_load(&keys, f->data, secret, true, &f->err), 0);
    assert_token(keys.anon_key, secret, "\"role\":\"anon\"");
    hd_devkeys_done(&keys);
    assert_int_equal(access(f->file, F_OK), -1);
    assert_int_equal(hd_devkeys_load(&keys, f->data, NULL, true, &f->err), 0);
    hd_devkeys_done(&keys);
    assert_int_equal(hd_devkeys_load(&keys, f->data, secret, false, &f->err), 0);
    assert_token(keys.service_key, secret, "\"role\":\"service_role\"");
    hd_devkeys_done(&keys);
}

static void a_file_that_is_wrong_is_named(void **state)
{
    struct fixture *f = *state;
    struct hd_devkeys keys;
    assert_int_equal(mkdir(f->data, 0700), 0);
    FILE *file = fopen(f->file, "w");
    fputs("{\"jwt_secret\": 5}", file);
    fclose(file);
    chmod(f->file, 0644);
    assert_int_equal(hd_devkeys_load(&keys, f->data, NULL, true, &f->err), HD_EDENIED);
    assert_non_null(strstr(f->err.msg, "chmod 600"));
    chmod(f->file, 0600);
    assert_int_equal(hd_devkeys_load(&keys, f->data, NULL, true, &f->err), HD_EINVAL);
    assert_non_null(strstr(f->err.msg, "dev-keys.json: jwt_secret: must be a text"));
    file = fopen(f->file, "w");
    fputs("{\n\"jwt", file);
    fclose(file);
    assert_int_equal(hd_devkeys_load(&keys, f->data, NULL, true, &f->err), HD_EINVAL);
    assert_non_null(strstr(f->err.msg, "dev-keys.json:2: "));
    assert_int_equal(hd_devkeys_load(&keys, "/proc/none", NULL, true, &f->err), HD_ENOTFOUND);
    assert_non_null(strstr(f->err.msg, "/proc/none"));
}

static void load(struct fixture *f, struct hd_node_options *opt, uint32_t command, char **env)
{
    struct hd_node_sources src = {.command = command, .env = env, .cwd = f->dir};
    assert_int_equal(hd_node_options_load(opt, &src, &f->err), 0);
}

static bool has(const struct hd_option_list *list, const char *start)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strncmp(list->items[i], start, strlen(start)) == 0)
            return true;
    }
    return false;
}

static void development_fills_only_what_is_missing(void **state)
{
    struct fixture *f = *state;
    struct hd_node_options opt;
    struct hd_option_list env;
    bool created = true;
    char *none[] = {NULL};
    load(f, &opt, HD_CMD_SERVE, none);
    assert_int_equal(hd_devkeys_apply(&opt, &created, &f->err), 0);
    assert_false(created);
    assert_null(opt.jwt_secret);
    hd_devkeys_env(&env, &opt, none);
    assert_int_equal(env.n, 0);
    hd_node_options_done(&opt);

    load(f, &opt, HD_CMD_DEV, none);
    assert_int_equal(hd_devkeys_apply(&opt, &created, &f->err), 0);
    assert_true(created);
    assert_token(opt.service_keys.items[0], opt.jwt_secret, "service_role");
    assert_string_equal(hd_node_options_origin(&opt, "auth.jwt_secret"), "dev-keys.json");
    hd_devkeys_env(&env, &opt, none);
    assert_int_equal(env.n, 4);
    assert_true(has(&env, "SUPABASE_URL=http://127.0.0.1:54321"));
    hd_devkeys_env_done(&env);
    hd_node_options_done(&opt);

    char *own[] = {"JWT_SECRET=mine-mine-mine-mine-mine-mine-mine", "SUPABASE_ANON_KEY=anon",
                   "VITE_SUPABASE_URL=http://x", "SUPABASE_SECRET_KEY=sb_secret_1", NULL};
    load(f, &opt, HD_CMD_DEV, own);
    assert_int_equal(hd_devkeys_apply(&opt, &created, &f->err), 0);
    assert_false(created);
    assert_string_equal(opt.api_keys.items[0], "anon");
    assert_string_equal(opt.service_keys.items[0], "sb_secret_1");
    hd_devkeys_env(&env, &opt, own);
    assert_true(has(&env, "SUPABASE_URL=http://x"));
    assert_true(has(&env, "SUPABASE_SERVICE_ROLE_KEY=sb_secret_1"));
    assert_false(has(&env, "SUPABASE_ANON_KEY="));
    hd_devkeys_env_done(&env);
    hd_node_options_done(&opt);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(keys_are_made_once_and_kept_private),
        IN_FOLDER(another_secret_signs_other_tokens_and_is_not_written),
        IN_FOLDER(a_file_that_is_wrong_is_named),
        IN_FOLDER(development_fills_only_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
