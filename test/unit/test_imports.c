/* test_imports.c - imports are found where they are, and not in strings, comments and expressions.
 */
#include "functions/imports.h"
#include "test.h"

struct source {
    const char *text, *names;
};

static void assert_names(void (*scan)(struct hd_strings *out, struct hd_str text),
                         const struct source *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hd_strings names = {0};
        scan(&names, hd_str(cases[i].text));
        hd_auto_free char *joined = hd_strings_join(&names, " ");
        if (strcmp(joined, cases[i].names) != 0)
            fail_msg("case %zu: \"%s\", expected \"%s\"", i, joined, cases[i].names);
        hd_strings_done(&names);
    }
}

static void javascript_and_typescript(void **state)
{
    static const struct source cases[] = {
        {"import a from './a.ts'", "./a.ts"},
        {"import './side.ts';import\n\t\"b\"", "./side.ts b"},
        {"import { a as b, c } from './a'; import * as n from \"npm:x\"", "./a npm:x"},
        {"import type { T } from './t.ts'; import d, { e } from './d'", "./t.ts ./d"},
        {"export * from './a'; export { x } from './b'; export * as y from './c'", "./a ./b ./c"},
        {"export const from = 'no'; const from2 = 'no'", ""},
        {"export default function from() { return 'no' }", ""},
        {"const m = await import('./dyn.ts'); import(`./tpl.ts`); import(`./${x}.ts`)",
         "./dyn.ts ./tpl.ts"},
        {"const r = require('./r'); require( \"r2\" )", "./r r2"},
        {"import x = require('./eq')", "./eq"},
        {"import data from './d.json' with { type: 'json' }", "./d.json"},
        {"new Worker(new URL('./w.ts', import.meta.url).href); new URL('https://x')", "./w.ts"},
        {"// import './no'\n/* import './no' */ import './yes'", "./yes"},
        {"const s = \"import './no'\"; const t = 'x\\'import \"./no\"'; import './yes'", "./yes"},
        {"const t = `import './no' ${ a ? `${`import './no'`}` : '}' } from './no'`; import "
         "'./yes'",
         "./yes"},
        {"const re = /import '.\\/no'/g; const q = /[/'\"]/; import './yes'", "./yes"},
        {"x = a / b; y = c / import('./div')", "./div"},
        {"return /'/.test(x); import './yes'", "./yes"},
        {"<p>don't</p>\nimport './yes'", "./yes"},
        {"a.import('./member')", "./member"},
        {"import {\n a, // 'x'\n b /* from './no' */\n} from\n './multi'", "./multi"},
        {"import { 'string name' as s } from './s'", "./s"},
        {"import.meta.resolve('./no'); import './yes'", "./yes"},
        {"import './a\\u0062'", ""},
        {"const o = {import: 1, from: './no'}", ""},
        {"import", ""},
        {"import '", ""},
        {"`${", ""},
        {"`${`${`", ""},
        {"/", ""},
        {"/*", ""},
        {"x = `}` + `a${ {b: 1} }c`; import './yes'", "./yes"},
    };
    assert_names(hd_imports_js, cases, HD_COUNT(cases));
    (void)state;
}

static void python(void **state)
{
    static const struct source cases[] = {
        {"import os", "os"},
        {"import a.b as c, d", "a.b d"},
        {"from a.b import c, d as e", "a.b a.b.c a.b.d"},
        {"from . import x", ". .x"},
        {"from ..pkg import (\n  y, # one\n  z,\n)\nimport last", "..pkg ..pkg.y ..pkg.z last"},
        {"def f():\n    import inner\n", "inner"},
        {"try: import fast\nexcept ImportError: import slow", "fast slow"},
        {"x = 'import no'\n'''\nimport no\n'''\n# import no\nimport yes", "yes"},
        {"a = [\nimport_x,\n]\nimport yes; import two", "yes two"},
        {"important = 1\nfromage = 2\nimport\tyes", "yes"},
        {"from a import *", "a"},
        {"import a, \\\n  b", "a b"},
        {"yield from x\nraise E from e", ""},
        {"import", ""},
        {"from", ""},
        {"from x import (", "x"},
        {"'''", ""},
        {"f(\"\\\"\"); import yes", "yes"},
    };
    assert_names(hd_imports_python, cases, HD_COUNT(cases));
    (void)state;
}

static void an_end_in_the_middle_of_anything_is_fine(void **state)
{
    static const char text[] =
        "import a, {b} from './x'; const s = `t${a + 'q'}`; /re[/]x/.test(\"s\\\"\") // c\n/* d */";
    for (size_t len = 0; len < sizeof(text); len++) {
        struct hd_strings names = {0};
        char *exact = hd_alloc(len > 0 ? len : 1); /* so that a byte too far is seen */
        memcpy(exact, text, len);
        hd_imports_js(&names, hd_str_n(exact, len));
        hd_imports_python(&names, hd_str_n(exact, len));
        hd_strings_done(&names);
        free(exact);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(javascript_and_typescript),
                                       cmocka_unit_test(python),
                                       cmocka_unit_test(an_end_in_the_middle_of_anything_is_fine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
