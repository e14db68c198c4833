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

/* How the released code treats a last group of fewer than 8 people: its demo lets that group start
 * 10 people earlier (the later result of an overlapping person wins), its list mode appends it to
 * the group before. */
typedef enum { GROUP_OVERLAP, GROUP_APPEND } GroupRule;

/* Groups of at most `size` people (APPEND: the last may have 7 more); writes at most `limit` groups
 * and returns how many there are.  size > 0. */
int group_split(int people, int size, GroupRule rule, Group *out, int limit);

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
