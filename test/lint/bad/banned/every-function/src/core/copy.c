/* strcpy(a, b) in a comment is fine */
const char *fine = "sprintf(x)";
    strcpy(a, b);
    stpcpy(a, b);
    strcat(a, b);
    strncat(a, b);
    sprintf(a, b);
    vsprintf(a, b);
    gets(a, b);
    strtok(a, b);
    atoi(a, b);
    atol(a, b);
    atoll(a, b);
    strtol(a, b);
    alloca(a, b);
