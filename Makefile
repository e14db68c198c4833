# crowdrec.  `make help` lists targets and switches, docs/architecture.md the folders.
#
# One build folder per variant: build, build/clang (CC=clang), build/asan, build/ubsan and build/sanitize
# (SAN=...; sanitize is the two in one), and build/clang/asan and so on.
# tools/configure looks for compiler and libraries once per configuration and leaves its findings in
# config.mk there.
VERSION := $(shell sed -n 's/^.define CROWDREC_VERSION "\(.*\)"/\1/p' crowdrec/crowdrec.h)
PREFIX = /usr/local
JOBS := $(shell nproc)

ifeq ($(origin CC),default)
CC = gcc
endif
ifeq ($(origin CXX),default)
CXX = $(if $(findstring clang,$(CC)),clang++,g++)
endif
SAN =
OPENMP = 1
ONEDNN = 1
JPEG = 1
CUDA = 1
CUDA_ARCHS = 80 90
NATIVE = 0
WERROR = 0
DEVICE = cpu
PRECISION =

B = build$(patsubst %,/%,$(findstring clang,$(CC)))$(patsubst %,/%,$(SAN))
O = $(B)/obj
CONFIG = $(B)/config.mk

CFLAGS = -O3 -g
CFLAGS_asan = -fsanitize=address -fno-omit-frame-pointer
# Pointers that leave their array are what asan finds; that check makes vector code slow to compile.
CFLAGS_ubsan = -fsanitize=undefined -fno-sanitize=pointer-overflow -fno-sanitize-recover=all
CFLAGS_sanitize = $(CFLAGS_asan) $(CFLAGS_ubsan)
# gcc does not see that fail() never returns OK, and warns of values that are only set then.
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	$(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized) $(if $(filter 1,$(WERROR)),-Werror)
LANGUAGE = -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden \
	-fno-math-errno -fno-trapping-math -I. $(if $(filter 1,$(NATIVE)),-march=native -DBUILD_NATIVE)
FLAGS = $(CPPFLAGS) $(LANGUAGE) $(WARNINGS) $(CFLAGS) $(CFLAGS_$(SAN)) $(CONFIG_FLAGS)
LIBS = $(LDFLAGS) $(CFLAGS_$(SAN)) $(CONFIG_LIBS) -lm -ldl $(LDLIBS)

# Goals that do their work in further runs of make, after installing what is missing.
OUTER = test demo models check asan ubsan sanitize bench clean help format layers
ifneq ($(or $(if $(MAKECMDGOALS),,all),$(filter-out $(OUTER),$(MAKECMDGOALS))),)
include $(CONFIG)
endif
INNER = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))

# Own kernels are compiled twice: as float and, for `ref`, as double; kernels/*.isa.c once for each
# instruction set (kernels/isa.h), and so the float ones of WIDE.
ONCE = op shape backend plugin engines tune onednn isa gemm winograd winorule peak body
WIDE = skin joints
ISA_SOURCES := $(wildcard kernels/*.isa.c) $(WIDE:%=kernels/%.c)
ISAS := portable $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),avx2 avx512)
ISA_FLAGS_avx2 = -mavx2 -mfma
ISA_FLAGS_avx512 = $(ISA_FLAGS_avx2) -mavx512f -mavx512dq -mavx512vl -mavx512bw
SOURCES := $(filter-out $(ISA_SOURCES),$(wildcard $(patsubst %,%/*.c,tensor kernels autograd nets smpl crowdrec)))
KERNELS := $(filter-out $(ONCE:%=kernels/%.c) %.isa.c,$(wildcard kernels/*.c))
OBJECTS := $(SOURCES:%.c=$(O)/%.o) $(KERNELS:%.c=$(O)/%.ref.o) \
	$(foreach i,$(ISAS),$(patsubst %.c,$(O)/%.$(i).o,$(ISA_SOURCES:.isa.c=.c)))
PROGRAM_OBJECTS := $(patsubst %.c,$(O)/%.o,$(wildcard tools/*.c))
CUDA_SOURCES := $(if $(NVCC),$(if $(SAN)$(findstring clang,$(CC)),,$(wildcard kernels/*.cu)))
CUDA_OBJECTS := $(CUDA_SOURCES:%.cu=$(O)/%.cu.o)
PLUGIN := $(if $(CUDA_SOURCES),$(B)/libcrowdrec_cuda.so)
HAVE_CXX := $(shell command -v $(CXX))
TESTS := $(patsubst %.c,$(B)/%,$(filter-out $(if $(HAVE_CXX),,tests/test_emulated.c tests/test_upload.c),$(wildcard tests/test_*.c)))
HELPERS := $(patsubst %.c,$(O)/%.o,$(filter-out tests/test_%,$(wildcard tests/*.c)))
BENCH_OBJECTS := $(patsubst %.c,$(O)/%.o,$(wildcard tests/bench/*.c))
MODELS := $(wildcard models/*.safetensors)
C_FILES := $(wildcard */*.c tests/*/*.c)
H_FILES := $(wildcard */*.h tests/*/*.h)
CUDA_FILES := $(wildcard */*.cu */*.cuh tests/*/*.cu)

.PHONY: all config tests programs deps ready run-tests test test-the-tests check asan ubsan sanitize bench \
	demo run-demo models run-bench format layers lint symbols install clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
# `make -j clean all`: what is removed must be gone before anything is built.
ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

all: $(B)/crowdrec $(B)/libcrowdrec.a $(B)/libcrowdrec.so $(PLUGIN)
config: $(CONFIG)
tests: $(TESTS)

# --- configuration ---

SWITCHES = CC='$(CC)' OPENMP=$(OPENMP) ONEDNN=$(ONEDNN) JPEG=$(JPEG) CUDA=$(CUDA) \
	CPPFLAGS='$(CPPFLAGS)' LDFLAGS='$(LDFLAGS)'
KEY = $(SWITCHES) CXX='$(CXX)' $(CFLAGS) $(NATIVE) $(WERROR) $(CUDA_ARCHS)

# Changes only when the switches do.
$(B)/config.key: FORCE
	@mkdir -p $(@D)
	@echo "$(KEY)" | cmp -s - $@ || echo "$(KEY)" >$@

# A backend cuda of an earlier configuration would still be found beside the program.
$(CONFIG): $(B)/config.key tools/configure
	@$(SWITCHES) tools/configure $@
	@grep -q '^NVCC = .' $@ || rm -f $(B)/libcrowdrec_cuda.so

deps: $(CONFIG)
	@$(if $(PACKAGES),tools/deps $(PACKAGES) && rm $(CONFIG))

# Like deps, but content when only optional things are missing and cannot be installed.
ready: $(CONFIG)
	@$(if $(PACKAGES),tools/deps $(PACKAGES) && rm $(CONFIG) || test -z '$(MISSING)')

# --- library and program ---

define COMPILE
@mkdir -p $(@D)
$(if $(MISSING),$(error $(MISSING) not found; run `make deps`))@echo "$(1) $<"
endef

$(O)/%.o: %.c $(CONFIG)
	$(call COMPILE,cc)
	@$(CC) $(FLAGS) -MMD -MP -c $< -o $@

define ISA_RULE
$(O)/kernels/%.$(1).o: kernels/%$(2) $(CONFIG)
	$$(call COMPILE,cc -DISA=$(1))
	@$$(CC) $$(FLAGS) -DISA=$(1) $$(ISA_FLAGS_$(1)) -MMD -MP -c $$< -o $$@

endef
$(eval $(foreach i,$(ISAS),$(call ISA_RULE,$(i),.isa.c)$(call ISA_RULE,$(i),.c)))

$(O)/kernels/%.ref.o: kernels/%.c $(CONFIG)
	$(call COMPILE,cc -DKERNEL_DOUBLE)
	@$(CC) $(FLAGS) -DKERNEL_DOUBLE -MMD -MP -c $< -o $@

# Changes only when a source comes or goes, so that an archive does not keep one that is gone.
$(O)/objects.list: FORCE
	@mkdir -p $(@D)
	@echo "$(OBJECTS) $(CUDA_OBJECTS)" | cmp -s - $@ || echo "$(OBJECTS) $(CUDA_OBJECTS)" >$@

# A number that changes with what the program and backend cuda tell each other.
INTERFACE_HEADERS := $(wildcard kernels/*.def) $(patsubst %,kernels/%.h,attr backend op plugin) $(patsubst %,tensor/%.h,tensor log)
INTERFACE := -DPLUGIN_INTERFACE=$(shell cat $(INTERFACE_HEADERS) | cksum | cut -d' ' -f1)
$(O)/kernels/plugin.o $(O)/kernels/cuda.cu.o: $(INTERFACE_HEADERS)
$(O)/kernels/plugin.o: private override CPPFLAGS += $(INTERFACE)
$(O)/kernels/cuda.cu.o: private override NVCC_FLAGS += $(INTERFACE)

# One object in which every other name is local: only crowdrec_* can be linked against.
$(O)/libcrowdrec.o: $(OBJECTS) $(O)/objects.list
	@$(LD) -r $(OBJECTS) -o $@
	@objcopy --wildcard --keep-global-symbol='crowdrec_*' $@

$(B)/libcrowdrec.a: $(O)/libcrowdrec.o
	@echo "ar $@"
	@rm -f $@
	@$(AR) rcs $@ $<

$(B)/libcrowdrec.so: $(O)/libcrowdrec.o
	@echo "ld $@"
	@$(CC) -shared -Wl,-soname,libcrowdrec.so.0 $< -o $@ $(LIBS)

$(B)/crowdrec: $(PROGRAM_OBJECTS) $(B)/libcrowdrec.a
	@echo "ld $@"
	@$(CC) $^ -o $@ $(LIBS)

symbols: $(B)/libcrowdrec.a $(B)/libcrowdrec.so $(PLUGIN)
	@(nm -g --defined-only $(B)/libcrowdrec.a; \
	nm -D --defined-only $(B)/libcrowdrec.so $(PLUGIN)) | \
	awk 'NF == 3 && $$3 ~ /^crowdrec_/ { exported++ } \
	     NF == 3 && $$3 !~ /^crowdrec_/ { print "symbols: " $$3 " is exported"; bad = 1 } \
	     END { print "symbols: " exported + 0 " exported"; exit bad || !exported }'

# --- backend cuda: a plugin, so that program and library start without driver and CUDA ---
# Only the main build has one; code for each of CUDA_ARCHS (rising), PTX of the last for newer GPUs.

comma = ,
LAST_ARCH = $(lastword $(CUDA_ARCHS))
NVCC_FLAGS = $(CPPFLAGS:%=-Xcompiler %) -std=c++17 -O3 -lineinfo -I. \
	$(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a)$(comma)code=sm_$(a)) \
	-gencode arch=compute_$(LAST_ARCH)$(comma)code=compute_$(LAST_ARCH) \
	-DCUDA_BUILT_FOR='"$(CUDA_ARCHS:%=sm_%) and PTX of sm_$(LAST_ARCH)"' \
	-Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra \
	$(if $(filter 1,$(WERROR)),-Werror all-warnings -Xcompiler -Werror)

$(O)/%.cu.o: %.cu $(CONFIG)
	$(call COMPILE,nvcc)
	@$(NVCC) $(NVCC_FLAGS) -MMD -MP -c $< -o $@

# -zdefs: a kernel that ops.def names and nobody wrote ends the build here.
$(B)/libcrowdrec_cuda.so: $(CUDA_OBJECTS) $(O)/internal.a
	@echo "ld $@"
	@$(CC) -shared $^ -o $@ $(LDFLAGS) -Wl,-zdefs,--exclude-libs=ALL $(CUDA_LIBS) \
		$(filter -fopenmp -lz -ljansson,$(CONFIG_LIBS)) -lstdc++ -lrt -lpthread -ldl -lm

# --- the kernels of backend cuda on the host, for tests/test_emulated ---
# With any C++ compiler, without one they go untested; cuda.cu, cudnn.cu and cublas.cu are what only a device can run.

EMULATED_SOURCES := $(filter-out $(patsubst %,kernels/%.cu,cuda cudnn cublas),$(wildcard kernels/*.cu))
EMULATED := $(EMULATED_SOURCES:%.cu=$(O)/emulate/%.o) \
	$(patsubst %.c,$(O)/%.o,$(wildcard tests/emulate/*.c))
# With a sanitizer's checks in between gcc sees indices that never are; clang's check of what is called
# through a pointer needs run-time types.
CXX_FLAGS = $(CPPFLAGS) -x c++ -std=gnu++17 -D_GNU_SOURCE -DCUDA_EMULATION \
	-include tests/emulate/emulate.h -I. -O2 -g -fPIC -fvisibility=hidden -fno-exceptions \
	-fno-rtti -Wall -Wextra -Wshadow $(if $(filter 1,$(WERROR)),-Werror) $(CFLAGS_$(SAN)) \
	$(if $(SAN),-Wno-array-bounds $(if $(findstring clang,$(CXX)),-fno-sanitize=function))

$(O)/emulate/%.o: %.cu $(CONFIG)
	$(call COMPILE,$(CXX) -DCUDA_EMULATION)
	@$(CXX) $(CXX_FLAGS) -MMD -MP -c $< -o $@

$(B)/tests/test_emulated $(B)/tests/test_upload: $(EMULATED)

# --- tests and benchmark ---

# All objects with their internal names, for programs that look inside.
$(O)/internal.a: $(OBJECTS) $(O)/objects.list
	@rm -f $@
	@$(AR) rcsT $@ $(OBJECTS)

$(TESTS): $(B)/tests/test_%: $(O)/tests/test_%.o $(HELPERS) $(O)/internal.a
	@mkdir -p $(@D)
	@$(if $(TEST_LIBS),,echo 'cmocka not found; run `make deps`'; exit 1)
	@echo "ld $@"
	@$(CC) $^ -o $@ $(LIBS) $(TEST_LIBS)

$(B)/tests/bench: $(BENCH_OBJECTS) $(O)/internal.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $^ -o $@ $(LIBS)

# The tests of the other modules stay on the cpu; test_cuda takes the plugin.  No default networks
# but where a test names them.
run-tests: $(TESTS) $(B)/crowdrec $(PLUGIN)
	@CROWDREC_PROGRAM=$(B)/crowdrec CROWDREC_CUDA=$(B)/libcrowdrec_cuda.so CROWDREC_DEVICE=cpu CROWDREC_MODELS=tests \
		tests/run $(B)/tests $(notdir $(TESTS))

# The operator tests once more, each time with one kernel broken on purpose: all must fail.
broken_names = $(shell sed -n 's/^BREAK.\([a-z0-9_]*\).*/\1/p' tests/broken/$(1) 2>/dev/null)
BROKEN := $(call broken_names,broken.c)
BROKEN_EMULATED := $(call broken_names,emulated.cu)
CHOOSE = $(O)/tests/broken/choose.o
$(B)/tests/broken: $(O)/tests/test_ops.o $(O)/tests/broken/broken.o $(CHOOSE) $(HELPERS) $(O)/internal.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $^ -o $@ $(LIBS) $(TEST_LIBS) $(BROKEN:%=-Wl,--wrap=%)

$(B)/tests/broken_emulated: $(O)/tests/test_emulated.o $(O)/emulate/tests/broken/emulated.o $(CHOOSE) \
		$(EMULATED) $(HELPERS) $(O)/internal.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $^ -o $@ $(LIBS) $(TEST_LIBS) $(BROKEN_EMULATED:%=-Wl,--wrap=%)

test-the-tests: $(B)/tests/broken $(if $(HAVE_CXX),$(B)/tests/broken_emulated)
	@tests/broken/run $< $(BROKEN)
	@$(if $(word 2,$^),tests/broken/run $(word 2,$^) $(BROKEN_EMULATED))

test:
	@$(INNER) ready
	@$(INNER) run-tests

asan ubsan sanitize:
	@$(INNER) SAN=$@ ready
	@$(INNER) SAN=$@ run-tests

bench:
	@$(INNER) ready
	@$(INNER) run-bench

run-bench: $(B)/tests/bench $(PLUGIN)
	@CROWDREC_CUDA=$(B)/libcrowdrec_cuda.so CROWDREC_DEVICE=$(DEVICE) \
		$(if $(PRECISION),CROWDREC_PRECISION=$(PRECISION)) tests/bench/compare $< $(PEER)

demo:
	@$(INNER) ready
	@$(INNER) run-demo

run-demo: $(B)/crowdrec
	@tools/demo $<

models:
	@$(INNER) ready
	@$(INNER) $(B)/crowdrec
	@tools/models $(B)/crowdrec

# --- checks ---

check:
	@$(INNER) WERROR=1 format layers
	@$(INNER) WERROR=1 all symbols lint
	@$(INNER) WERROR=1 run-tests
	@$(INNER) WERROR=1 test-the-tests
	@CROWDREC_TEST_FAST=1 $(INNER) WERROR=1 CC=clang SAN=sanitize all run-tests
	@tests/run --sum build build/clang/sanitize

format:
	@clang-format --dry-run -Werror $(C_FILES) $(H_FILES) $(CUDA_FILES)

layers:
	@tools/layers

# stb.c is mostly stb_image itself; cppcheck cannot read the table of anatomy.c.
lint: $(patsubst %,$(B)/lint/%.ok,$(filter-out crowdrec/stb.c,$(C_FILES)))
	@cppcheck -q -j$(JOBS) --std=c11 --language=c --enable=warning,portability --inline-suppr \
		--error-exitcode=1 -DISA=portable --suppress=missingIncludeSystem --suppress=memleak \
		--suppress=syntaxError:smpl/anatomy.c -I. tensor kernels autograd nets smpl \
		crowdrec tools

$(B)/lint/%.ok: % .clang-tidy $(H_FILES) $(CONFIG)
	@mkdir -p $(@D)
	@echo "lint $<"
	@clang-tidy --quiet --warnings-as-errors='*' $< -- $(CPPFLAGS) $(LANGUAGE) $(if $(filter %.isa.c,$<),-DISA=portable) $(CONFIG_FLAGS) 2>$@.log || { cat $@.log; exit 1; }
	@touch $@

# --- installation ---

I = $(DESTDIR)$(PREFIX)
install: all
	install -d '$(I)/bin' '$(I)/lib/pkgconfig' '$(I)/include'
	install $(B)/crowdrec '$(I)/bin'
	install -m 644 $(B)/libcrowdrec.a '$(I)/lib'
	install $(B)/libcrowdrec.so '$(I)/lib/libcrowdrec.so.0'
	ln -sf libcrowdrec.so.0 '$(I)/lib/libcrowdrec.so'
	$(if $(PLUGIN),install $(PLUGIN) '$(I)/lib')
	install -m 644 crowdrec/crowdrec.h '$(I)/include'
	install -d '$(I)/share/crowdrec/models'
	$(if $(MODELS),install -m 644 $(MODELS) '$(I)/share/crowdrec/models')
	printf '%s\n' 'Name: crowdrec' 'Description: 3D people from one photo of a crowd' \
		'Version: $(VERSION)' 'Cflags: -I"$(PREFIX)/include"' \
		'Libs: -L"$(PREFIX)/lib" -lcrowdrec' 'Libs.private: $(strip $(LIBS))' \
		>'$(I)/lib/pkgconfig/crowdrec.pc'

clean:
	rm -rf build

help:
	@sed -n 's/^#: \?//p' Makefile

#: Targets
#:   all             build/crowdrec, build/libcrowdrec.a, build/libcrowdrec.so (the default);
#:                   with nvcc, cuDNN and cuBLAS also build/libcrowdrec_cuda.so
#:   demo            install what is missing, build, run the whole job on a photo
#:   test            install what is missing, build, run all tests
#:   models          train the networks in models/ again (hours; docs/models.md)
#:   deps            install what is missing (apt, as root or through sudo)
#:   config          look for compiler and libraries again if switches changed
#:   bench           measure; PEER=torch compares with PyTorch (PYTHON=the one that has it)
#:   check           all that CI checks: format, layers, lint, tests (gcc), tests (clang, sanitizers)
#:   asan, ubsan     the tests under a sanitizer; sanitize: under both at once
#:   test-the-tests  break kernels on purpose; the tests must notice
#:   symbols         only crowdrec_* is exported
#:   install         to PREFIX (/usr/local), under DESTDIR
#:   clean
#: Switches
#:   CC=clang        another compiler
#:   OPENMP=0 ONEDNN=0 JPEG=0 CUDA=0   leave an optional library out
#:   CUDA_ARCHS="80 90"   GPUs the cuda plugin has code for, rising
#:   DEVICE=cuda     where bench runs; PRECISION=fp32|tf32|bf16 on a GPU
#:   NATIVE=1        -march=native: faster, runs on this kind of machine only
#:   WERROR=1        warnings are errors
#:   CPPFLAGS, CFLAGS, LDFLAGS, LDLIBS, JOBS   as usual

-include $(OBJECTS:.o=.d) $(CUDA_OBJECTS:.o=.d) $(PROGRAM_OBJECTS:.o=.d) $(TESTS:$(B)/%=$(O)/%.d) $(HELPERS:.o=.d) \
	$(BENCH_OBJECTS:.o=.d) $(O)/tests/broken/broken.d $(CHOOSE:.o=.d) $(EMULATED:.o=.d) \
	$(O)/emulate/tests/broken/emulated.d
