/* Backend `emulated`: the kernels of backend `cuda` on the host, see emulate.h. */
#ifndef TESTS_EMULATE_BACKEND_H
#define TESTS_EMULATE_BACKEND_H

#include "kernels/backend.h"

extern const Backend backend_emulated;

#endif
