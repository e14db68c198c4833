/* Mesh: triangles into files that other programs open.  Coordinates are written as given. */
#ifndef SMPL_MESH_H
#define SMPL_MESH_H

#include "tensor/error.h"

#include <stdint.h>

typedef struct {
    const float *vertex; /* [vertices,3] */
    const int32_t *face; /* [faces,3], from 0 */
    int vertices, faces;
} Mesh;

/* Wavefront text, nine digits: reads back as the same floats.  The file is whole or absent;
 * ERR_INPUT when it cannot be written or a coordinate is not finite. */
Status mesh_write_obj(const char *path, const Mesh *mesh);

#endif
