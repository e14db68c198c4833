/* Pickles as read-only trees.  Nothing in a pickle is ever called: a fixed table of constructors
 * (pickle_build.c) says which names may appear and what each one's arguments stand for; any other
 * name, and any opcode without need, fails with module, name and byte.
 *
 *     Pickle pickle;
 *     TRY(pickle_load("annot/test.pkl", &pickle));
 *     for (size_t i = 0; i < pickle_count(&pickle.root); i++) {
 *         const PickleValue *frame = pickle_item(pickle_item(&pickle.root, i), 0);
 *         const char *photo = pickle_text(pickle_get(frame, "img_path"));
 *         double box[4];
 *         bool good = pickle_numbers(pickle_get(frame, "bbox"), box, 4) == 4;
 *     }
 *     pickle_free(&pickle);
 *
 * The lookups accept NULL and values of another kind and then find nothing, so chains need one
 * check at their end.  A tree may share parts and, if hostile, contain itself: walk with a limit.
 */
#ifndef TENSOR_PICKLE_H
#define TENSOR_PICKLE_H

#include "tensor/npy.h"
#include "tensor/raw.h"

typedef enum {
    PICKLE_NOTHING, /* no value, not even None */
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_BIG, /* an integer beyond 64 bits: little-endian bytes, or digits from protocol 0 */
    PICKLE_FLOAT,
    PICKLE_TEXT,  /* UTF-8 and a zero byte behind it */
    PICKLE_BYTES, /* Python 2's str too; no zero byte */
    PICKLE_LIST,
    PICKLE_TUPLE,
    PICKLE_SET,
    PICKLE_DICT,
    PICKLE_ARRAY,   /* numpy.ndarray */
    PICKLE_OBJECT,  /* an instance of a class that is known but only holds a state */
    PICKLE_TENSOR,  /* torch: what a tensor is, without its numbers */
    PICKLE_STORAGE, /* torch: where numbers are */
    PICKLE_DTYPE,   /* numpy.dtype */
    PICKLE_GLOBAL,  /* a name out of the table */
} PickleKind;

typedef struct PickleItems PickleItems;
typedef struct PickleArray PickleArray;
typedef struct PickleObject PickleObject;
typedef struct PickleTensor PickleTensor;
typedef struct PickleStorage PickleStorage;

typedef struct {
    PickleKind kind;
    size_t size; /* of TEXT, BYTES, BIG */
    union {
        int64_t integer; /* BOOL, INT */
        double number;
        const char *text;
        PickleItems *items; /* LIST, TUPLE, SET, DICT */
        PickleArray *array;
        PickleObject *object;
        PickleTensor *tensor;
        PickleStorage *storage;
        NpyType *dtype;
        int global; /* row of the table of constructors */
    };
} PickleValue;

struct PickleItems {
    PickleValue *item; /* of a dict: key, value, key, value, ... in file order, keys unique */
    size_t count, capacity;
    size_t *sorted; /* of a dict: its pairs by key, for lookups */
    PickleItems *next_dict;
    bool seen; /* by a walk over the tree */
};

struct PickleArray {
    Array array;
    bool text; /* see file_text */
    bool built;
};

struct PickleObject {
    const char *type; /* "chumpy.ch.Ch" */
    PickleValue state;
};

struct PickleStorage {
    RawType type;
    Span key;
    int64_t count;
    Span bytes; /* filled by the container's reader */
    PickleStorage *next;
};

struct PickleTensor {
    PickleStorage *storage;
    int64_t offset;
    int dims;
    int64_t dim[ARRAY_DIMS], stride[ARRAY_DIMS];
};

typedef struct {
    Arena *arena;
    PickleValue root;
} Pickle;

/* Reads a pickle file (protocols 0 to 5).  What is wrong with it is an ERR_INPUT. */
Status pickle_load(const char *path, Pickle *out);
Status pickle_load_memory(const char *name, const void *data, size_t size, Pickle *out);
void pickle_free(Pickle *pickle); /* zeroes *pickle; a zeroed one is allowed */

/* The dict's value for a text key, or NULL. */
const PickleValue *pickle_get(const PickleValue *dict, const char *key);

/* How many items a list, tuple, set or dict has, and item i (of a dict: value i, and key i), or
 * NULL. */
size_t pickle_count(const PickleValue *v);
const PickleValue *pickle_item(const PickleValue *v, size_t i);
const PickleValue *pickle_key(const PickleValue *dict, size_t i);

const char *pickle_text(const PickleValue *v);         /* NULL unless TEXT */
const Array *pickle_array(const PickleValue *v);       /* NULL unless an ARRAY of numbers */
bool pickle_number(const PickleValue *v, double *out); /* BOOL, INT, FLOAT */

/* The numbers of a number, an array or (nested) lists and tuples of them, row-major; gives their
 * count, or -1 if anything else is in it or there are more than capacity. */
int pickle_numbers(const PickleValue *v, double *out, int capacity);

#endif
