int n = atoi (text);
