#include "crowdrec/group.h"

enum { SMALL = 8, OVERLAP = 10, SMALLEST = 5 };

int group_split(int people, int size, Group *out, int limit) {
    int count = 0;
    for (int first = 0; first < people; first += size) {
        Group group = {first, people < first + size ? people : first + size};
        int own = group.end - first;
        if (own < SMALL && own < size) {
            int more = size - own < OVERLAP ? size - own : OVERLAP;
            group.first = first > more ? first - more : 0;
        }
        if (count < limit) out[count] = group;
        count++;
    }
    return count;
}

bool group_stop(GroupStop *stop, double loss, int total) {
    int known = stop->count < SMALLEST ? stop->count : SMALLEST, at = known;
    if (known == SMALLEST && loss < stop->smallest[SMALLEST - 1]) at = SMALLEST - 1;
    if (at < SMALLEST) {
        for (; at > 0 && loss < stop->smallest[at - 1]; at--)
            stop->smallest[at] = stop->smallest[at - 1];
        stop->smallest[at] = loss;
        if (known < SMALLEST) known++;
    }
    return stop->count++ > total && loss < stop->smallest[known - 1];
}
