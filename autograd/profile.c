#include "autograd/profile.h"

#include "tensor/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ProfileRow *find_row(Profile *profile, const char *name) {
    for (int i = 0; i < profile->rows; i++)
        if (!strcmp(profile->row[i].name, name)) return &profile->row[i];
    if (profile->rows == PROFILE_ROWS - 1) name = "other";
    if (profile->rows == PROFILE_ROWS) return &profile->row[PROFILE_ROWS - 1];
    ProfileRow *row = &profile->row[profile->rows++];
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

void profile_step(Profile *profile, const char *name, double seconds, double flop) {
    ProfileRow *row = find_row(profile, name);
    row->seconds += seconds;
    row->flop += flop;
    row->steps++;
    profile->seconds += seconds;
}

static int longest_first(const void *a, const void *b) {
    double x = ((const ProfileRow *)a)->seconds, y = ((const ProfileRow *)b)->seconds;
    return (x < y) - (x > y);
}

void profile_log(const Profile *profile, double peak) {
    Profile sorted = *profile;
    qsort(sorted.row, (size_t)sorted.rows, sizeof *sorted.row, longest_first);
    log_info("%-26s %10s %6s %8s %9s %6s", "step", "seconds", "share", "steps", "GFLOP/s", "peak");
    for (int i = 0; i < sorted.rows; i++) {
        const ProfileRow *r = &sorted.row[i];
        double rate = r->seconds > 0 ? r->flop / r->seconds : 0;
        double share = sorted.seconds > 0 ? 100 * r->seconds / sorted.seconds : 0;
        if (r->flop > 0 && peak > 0)
            log_info("%-26s %10.3f %5.1f%% %8ld %9.1f %5.0f%%", r->name, r->seconds, share,
                     r->steps, rate * 1e-9, 100 * rate / peak);
        else
            log_info("%-26s %10.3f %5.1f%% %8ld %9s %6s", r->name, r->seconds, share, r->steps,
                     r->flop > 0 ? "?" : "-", "-");
    }
    log_info("%-26s %10.3f", "all", sorted.seconds);
    if (peak > 0) log_info("peak, multiply-adds in a loop: %.1f GFLOP/s", peak * 1e-9);
}
