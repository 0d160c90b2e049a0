# decant: two static programs from init/. `make help` lists what this file makes.

VERSION := 0.1.0

PREFIX ?= /usr/local

.DELETE_ON_ERROR:
.SUFFIXES:

.PHONY: all
all:

# ---- what to build for, and with what -----------------------------------------------------------

HOST := $(shell uname -m)
ARCH ?= $(HOST)
CROSS := $(if $(filter-out $(HOST),$(ARCH)),$(ARCH)-linux-gnu)

ifeq ($(origin CC),default)
CC := $(if $(CROSS),$(CROSS)-gcc,cc)
endif
# A cross gcc has its target in its name, clang wants to be told.
compiler := $(CC) $(if $(CROSS),$(if $(findstring clang,$(CC)),--target=$(CROSS)))

# A compiler that makes musl programs by itself (Alpine's) finds all it needs in the system's places.
# For others, musl, zstd and the kernel's headers are what scripts/bootstrap put into .deps.
DECANT_DEPS ?= .deps
DEPS := $(DECANT_DEPS)/$(ARCH)
SYSTEM := $(if $(SANITIZE),glibc,$(findstring musl,$(shell $(compiler) -dumpmachine 2>/dev/null)))

comma := ,
OUT := build$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)),$(if $(CROSS),/$(ARCH)))
OBJ := $(OUT)/obj

# ---- flags --------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Werror

cppflags := -D_GNU_SOURCE -DDECANT_VERSION='"$(VERSION)"'
cflags := -std=c11 $(WARNINGS) -pthread
ldflags :=
libs :=

ifdef SANITIZE
libc := glibc
cflags += -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
ldflags += -fsanitize=$(SANITIZE)
else
# Most of decant waits for system calls, so small beats fast; hashing reads every byte.
cflags += -Oz -fPIE -fomit-frame-pointer -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-fno-unwind-tables -ffile-prefix-map='$(CURDIR)'=.
# What gcc does for speed in spite of -Oz: 1,500 bytes.
cflags += $(if $(findstring clang,$(CC)),,-fno-tree-loop-im -fno-move-loop-invariants -fno-caller-saves \
	-fno-tree-sra -fno-expensive-optimizations -fno-tree-tail-merge -fno-shrink-wrap -falign-functions=1)
# And by aligning tables to half a cache line.
cflags += $(if $(filter aarch64,$(ARCH))$(findstring clang,$(CC)),,-malign-data=abi)
# Where an instruction has four bytes, to call a small function costs less than to repeat it: another 1,000.
cflags += $(if $(filter aarch64,$(ARCH)),$(if $(findstring clang,$(CC)),,-fno-inline-small-functions -fno-gcse))
hash_cflags := -O2 $(if $(findstring clang,$(CC)),,-ftree-loop-im -fmove-loop-invariants -fcaller-saves \
	-ftree-sra -fexpensive-optimizations -ftree-tail-merge -fshrink-wrap -fgcse)
$(OBJ)/hash.o: private cflags += $(hash_cflags)
# static-pie: nothing to load, and still at a random address.
ldflags += -static-pie -s -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,relro,-z,now,-z,noexecstack
# Code and constants share pages: 8 KiB less. Nobody unwinds.
ldflags += -Wl,-z,noseparate-code -Wl,--no-eh-frame-hdr
# The widest first, so that next to nothing is lost between tables and functions that are aligned.
ldflags += -Wl,--sort-section=alignment
# A program below 1 MiB reaches all of itself by one instruction.
cflags += $(if $(filter aarch64,$(ARCH)),-mcmodel=tiny)
# Atomics where they are used, not by libgcc, which would look for the processor's own first.
cflags += $(if $(filter aarch64,$(ARCH)),-mno-outline-atomics)
# gcc has this on against an erratum of Cortex-A53; below 1 MiB it needs no veneers, and the page they come in.
ldflags += $(if $(filter aarch64,$(ARCH)),-Wl$(comma)--fix-cortex-a53-843419=adr)
endif

ifneq ($(SYSTEM),)
decoder := -lzstd -pthread
encoder := -lzstd -pthread
ifeq ($(SYSTEM),musl)
libc := $(shell ldd --version 2>&1 | sed -n 's/^Version /musl /p')
endif
else
libc := musl $(shell cat $(DEPS)/musl/version 2>/dev/null)
# musl-gcc, the wrapper, knows neither clang nor other processors nor static-pie. Written out, one set of
# flags serves them all. C without constructors needs none of gcc's crtbegin.o and crtend.o.
cppflags += -nostdinc -isystem $(DEPS)/musl/include \
	-isystem $(shell $(compiler) -print-file-name=include 2>/dev/null) -isystem $(DEPS)/include
ldflags += -nostdlib -nostartfiles $(DEPS)/musl/lib/rcrt1.o $(DEPS)/musl/lib/crti.o
libgcc := $(OBJ)/libgcc.a
libs += -Wl,--start-group $(DEPS)/musl/lib/libc.a $(libgcc) -Wl,--end-group $(DEPS)/musl/lib/crtn.o
decoder := $(DEPS)/lib/libzstd-decode.a
encoder := $(DEPS)/lib/libzstd.a
endif

cppflags += -DDECANT_LIBC='"$(libc)"'

# ---- the programs -------------------------------------------------------------------------------

# Everything but the two mains goes into one archive, and the linker takes what each main asks for.
MAINS := init/main.c init/pack.c
PARTS := $(filter-out $(MAINS),$(sort $(wildcard init/*.c)))
part_objects := $(PARTS:init/%.c=$(OBJ)/%.o)

# make V=1 shows the commands, make -s nothing.
quiet := $(if $(V),,@)
silent := $(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS))))
show = $(if $(V)$(silent),,@echo '  $(1) $@')

all: $(OUT)/decant $(OUT)/decant-pack

link = $(compiler) $(CFLAGS) $(ldflags) $(LDFLAGS) -o $@ $< $(OBJ)/parts.a

$(OUT)/decant: $(OBJ)/main.o $(OBJ)/parts.a $(libgcc) $(filter %.a,$(decoder))
	$(call show,LD)
	$(quiet)$(link) $(decoder) $(libs)

$(OUT)/decant-pack: $(OBJ)/pack.o $(OBJ)/parts.a $(libgcc) $(filter %.a,$(encoder))
	$(call show,LD)
	$(quiet)$(link) $(encoder) $(libs)

# Made anew each time: a source file that is gone must leave no object behind.
$(OBJ)/parts.a: $(part_objects)
	$(call show,AR)
	$(quiet)rm -f $@
	$(quiet)$(AR) rcD $@ $(part_objects)

# gcc's own functions bring tables for unwinding along, of 388 bytes on aarch64.
$(OBJ)/libgcc.a: $(OBJ)/flags
	$(quiet)$(if $(CROSS),$(CROSS)-)objcopy -R .eh_frame "$$($(compiler) -print-libgcc-file-name)" $@

$(OBJ)/%.o: init/%.c $(OBJ)/flags
	$(call show,CC)
	$(quiet)$(compiler) $(cppflags) $(CPPFLAGS) $(cflags) $(CFLAGS) -MMD -MP -c -o $@ $<

# This file changes when the compiler or a flag does, and then everything is built again.
flags = $(compiler) $(cppflags) $(CPPFLAGS) $(cflags) $(CFLAGS) $(hash_cflags) $(ldflags) $(LDFLAGS) $(libs) $(PARTS)
quoted = '$(subst ','\'',$(flags))'
$(OBJ)/flags: FORCE | deps
	@mkdir -p $(OBJ)
	@printf '%s\n' $(quoted) | cmp -s - $@ || printf '%s\n' $(quoted) >$@

.PHONY: FORCE deps
FORCE:

deps:
ifeq ($(SYSTEM),)
	@test -e $(DEPS)/recipe || { \
		echo 'make: $(DEPS): use: not there, run scripts/bootstrap$(if $(CROSS), --arch $(ARCH))' >&2; \
		exit 2; }

$(DEPS)/lib/%.a: | deps ;
endif

-include $(wildcard $(OBJ)/*.d)

# ---- what to do with them -----------------------------------------------------------------------

.PHONY: check install clean distclean dist format lint help

check:
	scripts/test

install: all
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1'
	install -m 755 $(OUT)/decant $(OUT)/decant-pack '$(DESTDIR)$(PREFIX)/bin'
	install -m 644 init/decant.1 init/decant-pack.1 '$(DESTDIR)$(PREFIX)/share/man/man1'

clean:
	rm -rf build

distclean: clean
	rm -rf $(foreach part,x86_64 aarch64 zstd lock,'$(DECANT_DEPS)/$(part)')
	rmdir '$(DECANT_DEPS)' 2>/dev/null || :
	rm -f decant-$(VERSION).tar.gz

# gzip -n: the same commit gives the same archive.
dist:
	git archive --format=tar --prefix=decant-$(VERSION)/ -o decant-$(VERSION).tar HEAD
	gzip -nf9 decant-$(VERSION).tar

sources := $(wildcard init/*.[ch] tests/*.[ch] tests/*/*.[ch])

format:
	clang-format -i $(sources)

lint: all
	bats tests/static.bats

help:
	@echo 'make                  build/decant and build/decant-pack, static'
	@echo 'make ARCH=aarch64     the same for arm64, in build/aarch64 (scripts/bootstrap --arch aarch64 first)'
	@echo 'make CC=clang         with another compiler'
	@echo 'make SANITIZE=LIST    with sanitizers (address,undefined or thread), in build/sanitize-...'
	@echo 'make check            run the tests'
	@echo 'make install          PREFIX=$(PREFIX), DESTDIR='
	@echo 'make lint             run the tests that read the code: shellcheck, cppcheck, clang-tidy and more'
	@echo 'make format           clang-format all C files'
	@echo 'make dist             decant-$(VERSION).tar.gz from the last commit'
	@echo 'make clean            remove build; distclean: .deps too'
	@echo 'V=1 shows the commands; CPPFLAGS, CFLAGS and LDFLAGS come after decant'"'"'s own.'
