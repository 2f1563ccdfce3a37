struct hd_a {
    int len;
};
