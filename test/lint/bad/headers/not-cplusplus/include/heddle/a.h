#pragma once
int hd_a(int class);
