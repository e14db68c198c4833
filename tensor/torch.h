/* PyTorch checkpoints: the zip container (torch 1.6 and later) and the legacy one, a row of pickles
 * with the storages behind them.  Arrays get their dotted paths, see collect.h; the metadata entry
 * "state_prefix" says which of them are the state dict, see file_state_prefix. */
#ifndef TENSOR_TORCH_H
#define TENSOR_TORCH_H

#include "tensor/pickle_vm.h"
#include "tensor/zip.h"

/* Whether the archive has a data.pkl: a checkpoint, not an npz. */
bool torch_is_zip(const Zip *zip);
Status torch_load_zip(Reader *r, const Zip *zip);

/* Whether the first pickle of a file is torch's magic number; then rest is what follows it. */
bool torch_is_legacy(const PickleValue *first);
Status torch_load_legacy(Reader *r, Span rest);

#endif
