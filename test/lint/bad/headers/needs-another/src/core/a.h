#pragma once
struct hd_a {
    size_t len;
};
