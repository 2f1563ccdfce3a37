#pragma once
#define HD_A ({ 1; })
enum { HD_B = HD_A };
int hd_a(typeof(1) b);
