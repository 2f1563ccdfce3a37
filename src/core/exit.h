/* core/exit.h - what the program's exit codes mean to people and supervisors (after sysexits.h). */
#pragma once

enum hd_exit {
    HD_EXIT_OK = 0,
    HD_EXIT_FAILED = 1,    /* it went wrong while running; trying again may help */
    HD_EXIT_HTTP = 22,     /* invoke: the function answered 400 or more */
    HD_EXIT_USAGE = 64,    /* wrong command line; trying again never helps */
    HD_EXIT_NOINPUT = 66,  /* a named file or function does not exist */
    HD_EXIT_OFFLINE = 69,  /* no node answers there */
    HD_EXIT_CANTMAKE = 73, /* a file that would be written exists, or cannot be written */
    HD_EXIT_CONFIG = 78,   /* wrong configuration; trying again never helps */
};
