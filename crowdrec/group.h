/* Group: how the people of a photo are split for refinement, and when a group has converged.
 *
 *     Group group[64];
 *     int groups = group_split(count, 50, group, 64);
 */
#ifndef CROWDREC_GROUP_H
#define CROWDREC_GROUP_H

#include <stdbool.h>

typedef struct {
    int first, end; /* people first .. end-1 */
} Group;

/* Groups of at most `size` people; a last one of fewer than 8 starts up to 10 people earlier, as in
 * the released code's demo, and the later result of those counts.  Writes at most `limit` groups
 * and returns how many there are.  size > 0. */
int group_split(int people, int size, Group *out, int limit);

/* The released code's stop rule, fed with each iteration's loss. */
typedef struct {
    double smallest[5]; /* rising; the first `count` of them are set */
    int count;          /* losses seen */
} GroupStop;

/* True when the group has converged: more than `total` losses were seen before this one, and this
 * one is strictly below the largest of the five smallest so far, itself included.  NaN never
 * converges. */
bool group_stop(GroupStop *stop, double loss, int total);

#endif
