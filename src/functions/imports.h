/* functions/imports.h - which modules a source file names. Pure: text in, names out.
 *
 * No parser of the languages: a tokenizer that knows strings, templates, regular expressions and
 * comments well enough not to be fooled by them. A name too many costs a needless reload, a name
 * too few is healed by a restart. */
#pragma once

#include "functions/strings.h"

/**
 * Collect the literal specifiers of TypeScript or JavaScript, as written: `import "x"`, `import a
 * from "x"`, `export * from "x"`, `import("x")`, `require("x")`, `new URL("./x", import.meta.url)`.
 * At most 10000; names longer than 1024 bytes or with escapes are left out.
 */
void hd_imports_js(struct hd_strings *out, struct hd_str text);
/**
 * Collect module names of Python: `import a.b` gives "a.b"; `from .m import x` gives ".m" and
 * ".m.x" (x may be a module).
 */
void hd_imports_python(struct hd_strings *out, struct hd_str text);
