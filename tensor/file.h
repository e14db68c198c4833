/* Files of numbers, read with distrust and written whole.
 *
 *     ArrayFile f;
 *     TRY(file_load("model.pth", &f));     // told apart by content, not by name
 *     const Array *w = array_find(&f, "conv1.weight");
 *     array_file_free(&f);
 *
 * Reads zip and legacy torch checkpoints (.pth .pt .pth.tar), safetensors, npz, npy and the pickles
 * of body models.  Nothing in a file is ever executed; every size is checked before memory is
 * taken. A missing, damaged or hostile file fails with ERR_MODEL and one line that starts with the
 * file's name.
 */
#ifndef TENSOR_FILE_H
#define TENSOR_FILE_H

#include "tensor/tensor.h"

Status file_load(const char *path, ArrayFile *out);

/* The same from bytes in memory, which are copied; name stands in messages. */
Status file_load_memory(const char *name, const void *data, size_t size, ArrayFile *out);

/* What the names of a checkpoint's state dict begin with: "" where it is the file's root, "model."
 * or the like where other things lie beside it. */
const char *file_state_prefix(const ArrayFile *f);

/* Element i of a text array (`<U`, `|S` in npy, npz and pickles) as UTF-8; NULL where the array is
 * absent, no text or shorter.  In memory a text array is U8, rows of equal length as last size,
 * each ending in a zero byte. */
const char *file_text(const ArrayFile *f, const char *name, size_t i);

/* A file's bytes in memory.  The limit guards against absurd sizes. */
typedef struct {
    uint8_t *data;
    size_t size;
} Bytes;
Status file_read(const char *path, size_t limit, Bytes *out); /* ERR_INPUT when absent or too big */
void file_release(Bytes *bytes);

/* Up to `size` bytes that a regular file begins with; how many, 0 where it cannot be read. */
size_t file_head(const char *path, void *head, size_t size);

/* Writes under a temporary name beside path, syncs, renames: path holds the old or the new content,
 * never half of it.  Links are followed; ERR_INPUT where path is there and no regular file. */
Status file_write(const char *path, const void *data, size_t size);

/* The same for streamed output: fill stream, then commit; abandon removes the temporary file. */
typedef struct {
    void *stream; /* FILE * */
    char *path, *temporary;
} FileWriter;
Status file_begin(const char *path, FileWriter *w);
Status file_commit(FileWriter *w);
void file_abandon(FileWriter *w);

Status file_make_folder(const char *path); /* with its parents; an existing folder is fine */
bool file_is_folder(const char *path);
bool file_is_same(const char *a, const char *b); /* both are there, and one file */

/* "folder/name"; ERR_USAGE when it is too long. */
enum { FILE_PATH = 4096 };
Status file_join(const char *folder, const char *name, char path[FILE_PATH]);

/* Arrays under their names, which are unique in npz and safetensors.  Metadata is kept by
 * safetensors alone, bf16 too; a text array is written as the U8 array that it is in memory. */
Status file_write_npy(const char *path, const Array *a);
Status file_write_npz(const char *path, const Array *arrays, int count); /* stored */
/* The same where the first `texts` arrays, U8 with rows of zero-padded text, are written as text.
 */
Status file_write_npz_texts(const char *path, const Array *arrays, int count, int texts);
Status file_write_safetensors(const char *path, const ArrayFile *f);

#endif
