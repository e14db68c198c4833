#include "crowdrec/annotations.h"

#include "tensor/reader.h"

#include <stdlib.h>
#include <string.h>

void annotations_free(Annotations *a) {
    for (int i = 0; i < a->photos; i++) free((char *)a->photo[i].path);
    free(a->photo);
    free(a->person);
    *a = (Annotations){0};
}

/* Makes room for one more in a list of `count`. */
static Status grow(void *list, size_t size, int count, int *room) {
    if (count < *room) return OK;
    int more = *room ? 2 * *room : 64;
    void *larger =
        more > 0 && more <= 1 << 28 ? realloc(*(void **)list, (size_t)more * size) : NULL;
    if (!larger) return fail(ERR_MEMORY, "no memory for a dataset of more than %d entries", count);
    *(void **)list = larger, *room = more;
    return OK;
}

/* Below the folder, without a way up. */
static bool is_below(const char *name) {
    if (!*name || *name == '/') return false;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (!strncmp(part, "..", 2) && (!part[2] || part[2] == '/')) return false;
    }
    return true;
}

Status annotations_photo(Annotations *a, const char *name, int *index) {
    if (!is_below(name))
        return fail(ERR_INPUT, "photo %s: expected a path below the photos' folder, without '..'",
                    reader_quote(name, strlen(name)));
    TRY(grow(&a->photo, sizeof *a->photo, a->photos, &a->photo_room));
    char *copy = strdup(name);
    CHECK(copy, "out of memory");
    a->photo[a->photos] = (DatasetPhoto){.path = copy};
    *index = a->photos++;
    return OK;
}

Status annotations_person(Annotations *a, const DatasetPerson *person) {
    TRY(grow(&a->person, sizeof *a->person, a->people, &a->person_room));
    a->person[a->people++] = *person;
    return OK;
}

Status annotations_sort(Annotations *a) {
    DatasetPerson *sorted = malloc(((size_t)a->people + 1) * sizeof *sorted);
    if (!sorted) return fail(ERR_MEMORY, "no memory for a dataset of %d people", a->people);
    for (int i = 0; i < a->photos; i++) a->photo[i].count = 0;
    for (int i = 0; i < a->people; i++) a->photo[a->person[i].photo].count++;
    for (int i = 0, first = 0; i < a->photos; i++) {
        a->photo[i].first = first;
        first += a->photo[i].count;
        a->photo[i].count = 0;
    }
    for (int i = 0; i < a->people; i++) {
        DatasetPhoto *photo = &a->photo[a->person[i].photo];
        sorted[photo->first + photo->count++] = a->person[i];
    }
    free(a->person);
    a->person = sorted, a->person_room = a->people + 1;
    return OK;
}

void annotations_keypoints(DatasetPerson *p) {
    for (int i = 0; i < CROWD_KEYPOINTS; i++) {
        float *k = p->keypoints[i];
        if (k[2] > 0)
            p->has |= DATASET_KEYPOINTS;
        else
            k[0] = k[1] = k[2] = 0;
    }
}

void annotations_joints(DatasetPerson *p) {
    for (int i = 0; i < CROWD_KEYPOINTS; i++) {
        float *joint = p->joints[i];
        if (joint[3] > 0)
            joint[3] = 1, p->has |= DATASET_JOINTS;
        else
            memset(joint, 0, sizeof p->joints[i]);
    }
}
