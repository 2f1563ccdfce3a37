#include "fetch_rig.h"
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void start_server(struct fetch_rig *rig, const char *script, const char *const *args)
{
    char path[256];
    const char *argv[8] = {"python3", path};
    snprintf(path, sizeof(path), HD_SOURCE_ROOT "/test/%s", script);
    for (size_t i = 0; i + 3 < HD_COUNT(argv) && args[i] != NULL; i++)
        argv[i + 2] = args[i];
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    rig->pid = fork();
    assert_true(rig->pid >= 0);
    if (rig->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execv("/usr/bin/python3", (char *const *)argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    rig->to_server = in[1];
    char line[16] = "";
    size_t n = 0;
    while (n + 1 < sizeof(line) && read(out[0], line + n, 1) == 1 && line[n] != '\n')
        n++;
    close(out[0]);
    uint64_t port = 0;
    assert_int_equal(hd_str_to_u64(&port, hd_str_n(line, n)), 0);
    snprintf(rig->base, sizeof(rig->base), "http://127.0.0.1:%u", (unsigned)port);
}

static void make_dir(struct fetch_rig *rig)
{
    *rig = (struct fetch_rig){.dir = "/tmp/hd-fetch-XXXXXX"};
    assert_non_null(mkdtemp(rig->dir));
    snprintf(rig->socket, sizeof(rig->socket), "%s/s", rig->dir);
}

static void make_fetcher(struct fetch_rig *rig)
{
    assert_int_equal(hd_loop_new(&rig->loop, 0, NULL), 0);
    rig->fetcher = hd_fetcher_new(rig->loop);
}

void fetch_rig_start(struct fetch_rig *rig, bool on_unix_socket)
{
    make_dir(rig);
    const char *const args[] = {rig->dir, on_unix_socket ? rig->socket : NULL, NULL};
    start_server(rig, "unit/fetch_server.py", args);
    make_fetcher(rig);
}

void fetch_rig_start_script(struct fetch_rig *rig, const char *script, const char *const *args)
{
    make_dir(rig);
    start_server(rig, script, args);
    make_fetcher(rig);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

void fetch_rig_stop(struct fetch_rig *rig)
{
    bool closed = false;
    hd_fetcher_close(rig->fetcher, set_flag, &closed);
    fetch_rig_until(rig, &closed);
    hd_loop_free(rig->loop);
    close(rig->to_server);
    kill(rig->pid, SIGTERM);
    waitpid(rig->pid, NULL, 0);
    DIR *dir = opendir(rig->dir);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    closedir(dir);
    rmdir(rig->dir);
}

/* Ticks, so that a turn of the loop which did its work in a timer does not wait on. */
struct limit {
    struct hd_timer timer;
    struct hd_loop *loop;
    unsigned ticks;
};

static void on_tick(struct hd_timer *t)
{
    struct limit *limit = hd_container_of(t, struct limit, timer);
    limit->ticks++;
    hd_timer_start(limit->loop, t, 10, on_tick);
}

void fetch_rig_run(struct fetch_rig *rig, bool (*done)(void *arg), void *arg)
{
    struct limit limit = {.loop = rig->loop};
    hd_timer_start(rig->loop, &limit.timer, 10, on_tick);
    while (!done(arg) && limit.ticks < 1000)
        uv_run(hd_loop_uv(rig->loop), UV_RUN_ONCE);
    hd_timer_stop(rig->loop, &limit.timer);
    assert_true(done(arg));
}

static bool is_set(void *arg)
{
    return *(bool *)arg;
}

void fetch_rig_until(struct fetch_rig *rig, bool *flag)
{
    fetch_rig_run(rig, is_set, flag);
}

void fetch_rig_write(struct fetch_rig *rig, const char *name, const char *text)
{
    char temporary[128], path[128];
    snprintf(temporary, sizeof(temporary), "%s/new", rig->dir);
    snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
    FILE *f = fopen(temporary, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(rename(temporary, path), 0);
}

void fetch_rig_remove(struct fetch_rig *rig, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
    unlink(path);
}
