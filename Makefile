# decant: two static programs from init/. `make help` lists what can be asked of this file.

VERSION = 0.1.0

PREFIX ?= /usr/local
DESTDIR ?=

.DEFAULT_GOAL = all
.DELETE_ON_ERROR:
.SUFFIXES:

# ---- what to build for, with what ---------------------------------------------------------------

HOST := $(shell uname -m)
ARCH ?= $(HOST)

ifeq ($(origin CC),default)
CC = $(if $(filter $(HOST),$(ARCH)),cc,$(ARCH)-linux-gnu-gcc)
endif
ifeq ($(origin AR),default)
AR = ar
endif

TARGET := $(if $(filter $(HOST),$(ARCH)),,--target=$(ARCH)-linux-gnu)
# Only clang needs to be told: a cross gcc has its target in its name.
ifneq ($(TARGET),)
CC += $(if $(findstring clang,$(CC)),$(TARGET))
endif

comma := ,
ifdef SANITIZE
OUT := build/sanitize-$(subst $(comma),-,$(SANITIZE))
else ifeq ($(ARCH),$(HOST))
OUT := build
else
OUT := build/$(ARCH)
endif
OBJ := $(OUT)/obj

# A system whose compiler makes musl programs by itself (Alpine) has all that is needed in its own
# places. Elsewhere musl, zstd and the kernel's headers are what scripts/bootstrap put into .deps.
DECANT_DEPS ?= .deps
DEPS := $(DECANT_DEPS)/$(ARCH)
NATIVE := $(if $(SANITIZE),glibc,$(findstring musl,$(shell $(CC) -dumpmachine 2>/dev/null)))

# ---- flags --------------------------------------------------------------------------------------

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Werror
OPTIMIZE = -O2 -fno-asynchronous-unwind-tables -s
CFLAGS ?=
LDFLAGS ?=
CPPFLAGS ?=

cflags = -std=c11 $(WARNINGS) -pthread -ffunction-sections -fdata-sections -ffile-prefix-map=$(CURDIR)=.
cppflags = -D_GNU_SOURCE -DDECANT_VERSION='"$(VERSION)"' -DDECANT_LIBC='"$(LIBC)"'
ldflags = -pthread -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--build-id=none

ifdef SANITIZE
LIBC = glibc
cflags += -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
ldflags += -fsanitize=$(SANITIZE)
DECODER = -lzstd
ENCODER = -lzstd
else
cflags += -O2 -fPIE -fno-asynchronous-unwind-tables
# A static program that the kernel still loads at a random address.
ldflags += -static-pie -s
ifeq ($(NATIVE),musl)
LIBC := $(shell (ldd 2>&1 || :) | sed -n 's/^Version /musl /p')
DECODER = -lzstd
ENCODER = -lzstd
else
LIBC := musl $(shell cat $(DEPS)/musl/version 2>/dev/null)
# The compiler's own wrapper, musl-gcc, knows neither clang nor other processors nor static-pie; said
# out loud, one set of flags serves all of them. C needs none of gcc's crtbegin and crtend.
cppflags += -nostdinc -isystem $(DEPS)/musl/include -isystem $(shell $(CC) -print-file-name=include) \
	-isystem $(DEPS)/include
ldflags += -nostdlib -nostartfiles $(DEPS)/musl/lib/rcrt1.o $(DEPS)/musl/lib/crti.o
LIBS = -Wl,--start-group $(DEPS)/musl/lib/libc.a $(shell $(CC) -print-libgcc-file-name) -Wl,--end-group \
	$(DEPS)/musl/lib/crtn.o
DECODER = $(DEPS)/lib/libzstd-decode.a
ENCODER = $(DEPS)/lib/libzstd.a
endif
endif

# ---- the programs -------------------------------------------------------------------------------

# Everything but the two mains goes into one archive; the linker takes what each main asks for.
MAINS := init/main.c init/pack.c
PARTS := $(filter-out $(MAINS),$(sort $(wildcard init/*.c)))
PART_OBJECTS := $(PARTS:init/%.c=$(OBJ)/%.o)
OBJECTS := $(MAINS:init/%.c=$(OBJ)/%.o) $(PART_OBJECTS)

.PHONY: all
all: $(OUT)/decant $(OUT)/decant-pack

$(OUT)/decant: $(OBJ)/main.o $(OBJ)/parts.a $(filter %.a,$(DECODER))
	$(CC) $(cflags) $(CFLAGS) $(ldflags) $(LDFLAGS) -o $@ $< $(OBJ)/parts.a $(DECODER) $(LIBS)

$(OUT)/decant-pack: $(OBJ)/pack.o $(OBJ)/parts.a $(filter %.a,$(ENCODER))
	$(CC) $(cflags) $(CFLAGS) $(ldflags) $(LDFLAGS) -o $@ $< $(OBJ)/parts.a $(ENCODER) $(LIBS)

# Made anew each time, so that a source file that is gone leaves no object behind.
$(OBJ)/parts.a: $(PART_OBJECTS)
	rm -f $@
	$(AR) rcsD $@ $(PART_OBJECTS)

$(OBJ)/%.o: init/%.c $(OBJ)/flags | needs
	$(CC) $(cppflags) $(CPPFLAGS) $(cflags) $(CFLAGS) -MMD -MP -c -o $@ $<

# Another compiler or other flags rebuild everything: this file's text is what the objects were made with.
FLAGS = $(CC) $(cppflags) $(CPPFLAGS) $(cflags) $(CFLAGS) $(ldflags) $(LDFLAGS) $(DECODER) $(ENCODER) $(PARTS)
$(OBJ)/flags: FORCE
	@mkdir -p $(OBJ)
	@printf '%s\n' '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS))' >$@

.PHONY: FORCE needs
FORCE:

ifneq ($(NATIVE),)
needs:
else
needs:
	@test -e $(DEPS)/recipe || { \
		echo 'make: $(DEPS): build: not there, run scripts/bootstrap$(if $(TARGET), --arch $(ARCH))' >&2; exit 2; }

$(DEPS)/lib/%.a: | needs ;
endif

-include $(OBJECTS:.o=.d)
