/* Winorule: which convs go through Winograd's form (winograd.h): a model of what both forms cost,
 * fitted to measurements of `bench sweep`. */
#ifndef KERNELS_WINORULE_H
#define KERNELS_WINORULE_H

#include "kernels/winograd.h"

/* Whether a pass takes less time than direct sums, as a rule: of sizes alone, so that the same
 * photo gives the same numbers whatever else the machine does. */
bool winorule_pays(const Winograd *s, WinogradPass pass);

#endif
