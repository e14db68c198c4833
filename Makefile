# crowdrec.  `make help` lists targets and switches, docs/architecture.md the folders.
#
# One build folder per variant: build, build/clang (CC=clang), build/asan and build/ubsan (SAN=...).
# tools/configure looks for compiler and libraries once per configuration and leaves its findings in
# config.mk there.
VERSION := $(shell sed -n 's/^.define CROWDREC_VERSION "\(.*\)"/\1/p' crowdrec/crowdrec.h)
PREFIX = /usr/local
JOBS := $(shell nproc)

ifeq ($(origin CC),default)
CC = gcc
endif
SAN =
OPENMP = 1
ONEDNN = 1
JPEG = 1
CUDA = 1
NATIVE = 0
WERROR = 0

B = build$(patsubst %,/%,$(or $(SAN),$(findstring clang,$(CC))))
O = $(B)/obj
CONFIG = $(B)/config.mk

CFLAGS = -O3 -g
CFLAGS_asan = -fsanitize=address -fno-omit-frame-pointer
CFLAGS_ubsan = -fsanitize=undefined -fno-sanitize-recover=all
# gcc does not see that fail() never returns OK, and warns of values that are only set then.
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	$(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized) $(if $(filter 1,$(WERROR)),-Werror)
LANGUAGE = -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden \
	-fno-math-errno -fno-trapping-math -I. $(if $(filter 1,$(NATIVE)),-march=native -DBUILD_NATIVE)
FLAGS = $(CPPFLAGS) $(LANGUAGE) $(WARNINGS) $(CFLAGS) $(CFLAGS_$(SAN)) $(CONFIG_FLAGS)
LIBS = $(LDFLAGS) $(CFLAGS_$(SAN)) $(CONFIG_LIBS) -lm $(LDLIBS)

# Goals that do their work in further runs of make, after installing what is missing.
OUTER = test demo check asan ubsan bench clean help format layers
ifneq ($(or $(if $(MAKECMDGOALS),,all),$(filter-out $(OUTER),$(MAKECMDGOALS))),)
include $(CONFIG)
endif
INNER = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))

# Own kernels are compiled twice: as float and, for `ref`, as double.
ONCE = op shape backend onednn
SOURCES := $(wildcard $(patsubst %,%/*.c,tensor kernels autograd nets smpl crowdrec))
KERNELS := $(filter-out $(ONCE:%=kernels/%.c),$(wildcard kernels/*.c))
CUDA_SOURCES := $(if $(NVCC),$(wildcard kernels/*.cu))
OBJECTS := $(SOURCES:%.c=$(O)/%.o) $(KERNELS:%.c=$(O)/%.ref.o) $(CUDA_SOURCES:%.cu=$(O)/%.cu.o)
PROGRAM_OBJECTS := $(patsubst %.c,$(O)/%.o,$(wildcard tools/*.c))
TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/test_*.c))
HELPERS := $(patsubst %.c,$(O)/%.o,$(filter-out tests/test_%,$(wildcard tests/*.c)))
BENCH_OBJECTS := $(patsubst %.c,$(O)/%.o,$(wildcard tests/bench/*.c))
C_FILES := $(wildcard */*.c tests/*/*.c)
H_FILES := $(wildcard */*.h tests/*/*.h)

.PHONY: all config tests programs deps ready run-tests test test-the-tests check asan ubsan bench \
	demo run-demo run-bench format layers lint symbols install clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

all: $(B)/crowdrec $(B)/libcrowdrec.a $(B)/libcrowdrec.so
config: $(CONFIG)
tests: $(TESTS)

# --- configuration ---

SWITCHES = CC='$(CC)' OPENMP=$(OPENMP) ONEDNN=$(ONEDNN) JPEG=$(JPEG) CUDA=$(CUDA) \
	CPPFLAGS='$(CPPFLAGS)' LDFLAGS='$(LDFLAGS)'
KEY = $(SWITCHES) $(CFLAGS) $(NATIVE) $(WERROR) $(wildcard kernels/*.cu)

# Changes only when the switches do.
$(B)/config.key: FORCE
	@mkdir -p $(@D)
	@echo "$(KEY)" | cmp -s - $@ || echo "$(KEY)" >$@

$(CONFIG): $(B)/config.key tools/configure
	@$(SWITCHES) tools/configure $@

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

$(O)/kernels/%.ref.o: kernels/%.c $(CONFIG)
	$(call COMPILE,cc -DKERNEL_DOUBLE)
	@$(CC) $(FLAGS) -DKERNEL_DOUBLE -MMD -MP -c $< -o $@

$(O)/%.cu.o: %.cu $(CONFIG)
	$(call COMPILE,nvcc)
	@$(NVCC) -O3 -I. -Xcompiler -fPIC,-fvisibility=hidden -MMD -MP -c $< -o $@

# One object in which every other name is local: only crowdrec_* can be linked against.
$(O)/libcrowdrec.o: $(OBJECTS)
	@$(LD) -r $^ -o $@
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

symbols: $(B)/libcrowdrec.a $(B)/libcrowdrec.so
	@(nm -g --defined-only $(B)/libcrowdrec.a; nm -D --defined-only $(B)/libcrowdrec.so) | \
	awk 'NF == 3 && $$3 ~ /^crowdrec_/ { exported++ } \
	     NF == 3 && $$3 !~ /^crowdrec_/ { print "symbols: " $$3 " is exported"; bad = 1 } \
	     END { print "symbols: " exported + 0 " exported"; exit bad || !exported }'

# --- tests and benchmark ---

# All objects with their internal names, for programs that look inside.
$(O)/internal.a: $(OBJECTS)
	@rm -f $@
	@$(AR) rcsT $@ $^

$(TESTS): $(B)/tests/test_%: $(O)/tests/test_%.o $(HELPERS) $(O)/internal.a
	@mkdir -p $(@D)
	@$(if $(TEST_LIBS),,echo 'cmocka not found; run `make deps`'; exit 1)
	@echo "ld $@"
	@$(CC) $^ -o $@ $(LIBS) $(TEST_LIBS)

$(B)/tests/bench: $(BENCH_OBJECTS) $(O)/internal.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $^ -o $@ $(LIBS)

run-tests: $(TESTS) $(B)/crowdrec
	@CROWDREC_PROGRAM=$(B)/crowdrec tests/run $(B)/tests $(notdir $(TESTS))

# The operator tests once more, each time with one kernel broken on purpose: all must fail.
BROKEN := $(shell sed -n 's/^BREAK.\([a-z0-9_]*\).*/\1/p' tests/broken/broken.c 2>/dev/null)
$(B)/tests/broken: $(O)/tests/test_ops.o $(O)/tests/broken/broken.o $(HELPERS) $(O)/internal.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $^ -o $@ $(LIBS) $(TEST_LIBS) $(BROKEN:%=-Wl,--wrap=%)

test-the-tests: $(B)/tests/broken
	@tests/broken/run $< $(BROKEN)

test:
	@$(INNER) ready
	@$(INNER) run-tests

asan ubsan:
	@$(INNER) SAN=$@ ready
	@$(INNER) SAN=$@ run-tests

bench:
	@$(INNER) ready
	@$(INNER) run-bench

run-bench: $(B)/tests/bench
	@tests/bench/compare $< $(PEER)

demo:
	@$(INNER) ready
	@$(INNER) run-demo

run-demo: $(B)/crowdrec
	@tools/demo $<

# --- checks ---

check:
	@$(INNER) WERROR=1 format layers
	@$(INNER) WERROR=1 all symbols lint
	@$(INNER) WERROR=1 run-tests
	@$(INNER) WERROR=1 test-the-tests
	@CROWDREC_TEST_FAST=1 $(INNER) WERROR=1 CC=clang all run-tests
	@CROWDREC_TEST_FAST=1 $(INNER) WERROR=1 asan
	@CROWDREC_TEST_FAST=1 $(INNER) WERROR=1 ubsan
	@tests/run --sum build build/clang build/asan build/ubsan

format:
	@clang-format --dry-run -Werror $(C_FILES) $(H_FILES)

layers:
	@tools/layers

# stb.c is mostly stb_image itself.
lint: $(patsubst %,$(B)/lint/%.ok,$(filter-out crowdrec/stb.c,$(C_FILES)))
	@cppcheck -q -j$(JOBS) --std=c11 --language=c --enable=warning,portability --inline-suppr \
		--error-exitcode=1 --suppress=missingIncludeSystem --suppress=memleak -I. tensor kernels autograd nets smpl \
		crowdrec tools

$(B)/lint/%.ok: % .clang-tidy $(H_FILES) $(CONFIG)
	@mkdir -p $(@D)
	@echo "lint $<"
	@clang-tidy --quiet --warnings-as-errors='*' $< -- $(CPPFLAGS) $(LANGUAGE) $(CONFIG_FLAGS) 2>$@.log || { cat $@.log; exit 1; }
	@touch $@

# --- installation ---

I = $(DESTDIR)$(PREFIX)
install: all
	install -d $(I)/bin $(I)/lib/pkgconfig $(I)/include
	install $(B)/crowdrec $(I)/bin
	install -m 644 $(B)/libcrowdrec.a $(I)/lib
	install $(B)/libcrowdrec.so $(I)/lib/libcrowdrec.so.0
	ln -sf libcrowdrec.so.0 $(I)/lib/libcrowdrec.so
	install -m 644 crowdrec/crowdrec.h $(I)/include
	printf '%s\n' 'Name: crowdrec' 'Description: 3D people from one photo of a crowd' \
		'Version: $(VERSION)' 'Cflags: -I$(PREFIX)/include' \
		'Libs: -L$(PREFIX)/lib -lcrowdrec' 'Libs.private: $(strip $(LIBS))' \
		>$(I)/lib/pkgconfig/crowdrec.pc

clean:
	rm -rf build

help:
	@sed -n 's/^#: \?//p' Makefile

#: Targets
#:   all             build/crowdrec, build/libcrowdrec.a, build/libcrowdrec.so (the default)
#:   demo            install what is missing, build, run the whole job on a photo
#:   test            install what is missing, build, run all tests
#:   deps            install what is missing (apt, as root or through sudo)
#:   config          look for compiler and libraries again if switches changed
#:   bench           measure; PEER=torch compares with PyTorch (PYTHON=the one that has it)
#:   check           all that CI checks: format, layers, lint, both compilers, tests, sanitizers
#:   asan, ubsan     the tests under a sanitizer
#:   test-the-tests  break kernels on purpose; the tests must notice
#:   symbols         only crowdrec_* is exported
#:   install         to PREFIX (/usr/local), under DESTDIR
#:   clean
#: Switches
#:   CC=clang        another compiler
#:   OPENMP=0 ONEDNN=0 JPEG=0 CUDA=0   leave an optional library out
#:   NATIVE=1        -march=native: faster, runs on this kind of machine only
#:   WERROR=1        warnings are errors
#:   CPPFLAGS, CFLAGS, LDFLAGS, LDLIBS, JOBS   as usual

-include $(OBJECTS:.o=.d) $(PROGRAM_OBJECTS:.o=.d) $(TESTS:$(B)/%=$(O)/%.d) $(HELPERS:.o=.d) \
	$(BENCH_OBJECTS:.o=.d) $(O)/tests/broken/broken.d
