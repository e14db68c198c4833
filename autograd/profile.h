/* Profile: what a plan's steps cost, summed over runs and plans.
 *
 *     Profile profile = {0};
 *     plan_time(plan, true);
 *     plan_run(plan);
 *     plan_profile(plan, &profile);               // as often as it runs
 *     profile_log(&profile, peak_flops());
 *
 * Rows are kinds of ops, convolutions apart by kernel size, forward and backward apart.  A timed
 * plan waits after each step, which costs a GPU its replayed graph.
 */
#ifndef AUTOGRAD_PROFILE_H
#define AUTOGRAD_PROFILE_H

typedef struct {
    char name[48]; /* "conv 3x3 backward" */
    double seconds, flop;
    long steps;
} ProfileRow;

enum { PROFILE_ROWS = 128 };
typedef struct {
    ProfileRow row[PROFILE_ROWS];
    int rows;
    double seconds;
} Profile;

/* Adds to one row; rows beyond the last count as "other". */
void profile_step(Profile *profile, const char *name, double seconds, double flop);

/* One log line a row, the longest first: seconds, share of all, steps, GFLOP/s, share of `peak`
 * (FLOP/s, 0: unknown). */
void profile_log(const Profile *profile, double peak);

#endif
