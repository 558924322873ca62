# `make` builds build/s3dchat; `make check` runs every test: see README.md, and tests/tests.mk.
# FLAVOUR=asan|tsan|debug builds the same tree under build/FLAVOUR, never mixing objects.
FLAVOUR ?= release
B := build/$(FLAVOUR)
PREFIX ?= /usr/local
VERSION := 0.1.0

CC ?= cc
CXX ?= g++
CSTD := -std=c11 -D_GNU_SOURCE
# A warning ends a check and never a build: the next compiler knows warnings that nobody has seen.
WERROR ?= $(if $(filter check% lint,$(MAKECMDGOALS)),1)
WARN := -Wall -Wextra -Wpedantic -Wshadow $(if $(WERROR),-Werror)
OPT_release := -O2 -g -ftree-vectorize -fvect-cost-model=dynamic
OPT_debug := -O0 -g3 -DS3D_DEBUG
OPT_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -DS3D_DEBUG
OPT_tsan := -O1 -g -fsanitize=thread -DS3D_DEBUG
CFLAGS += $(CSTD) $(WARN) $(OPT_$(FLAVOUR)) -I. -Ibuild/gen -DS3D_VERSION='"$(VERSION)"' -pthread
LDFLAGS += $(OPT_$(FLAVOUR)) -pthread
LDLIBS += -llapack -lblas -lnettle -lpcre2-8 -lreadline -ljansson -lutf8proc -lncursesw -lm -ldl

# Makes the folder too.  What a compiler says of an object stays in a file beside it: see the end.
COMPILE = scripts/compile $@
# A file that a program writes is whole or not there.
WRITE = mkdir -p $(@D) && $(1) >$@.tmp && mv $@.tmp $@

# Kernels of several instruction sets are compiled from the same source with other flags.
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
X86 := $(filter x86_64,$(ARCH))
ISAS := generic $(if $(X86),avx2 avx512) $(if $(filter aarch64,$(ARCH)),neon)
ISA_OPT := $(if $(filter release tsan,$(FLAVOUR)),-O3) -ffp-contract=off
# As fast as with -O3, in half the time of the compiler.
$B/kernels/cpu/isa/columns.%: ISA_OPT := $(ISA_OPT:-O3=-O2)
ISA_avx2 := -mavx2 -mfma -mf16c
ISA_avx512 := $(ISA_avx2) $(addprefix -mavx512,f bw dq vl vnni) -mprefer-vector-width=512
ISA_neon := -march=armv8.2-a+dotprod
# A packed product more than AVX2, or than AVX-512 (kernels/cpu/amx.h).
ISA_avxvnni := $(ISA_avx2) -mavxvnni -DISA_avx2
ISA_amx := $(ISA_avx512) -DISA_avx512
MORE := $(if $(X86),avxvnni amx)

# The cuda backend is a file of its own, built where nvcc is and works: `make NVCC=` leaves it out.
# CUDA_ARCHS="75 86" or =all, instead of the GPU at hand: see scripts/cuda-config.
NVCC ?= nvcc
CUDA_SRC := $(wildcard kernels/cuda/*.cu kernels/cuda/op/*.cu)
NO_CUDA_GOALS := clean lint format fuzz model check-asan check-tsan
ifneq ($(and $(CUDA_SRC),$(filter release debug,$(FLAVOUR)),$(filter-out \
		$(NO_CUDA_GOALS),$(or $(MAKECMDGOALS),all))),)
NVCC_AT := $(if $(NVCC),$(shell command -v $(NVCC) || ls /usr/local/cuda/bin/nvcc 2>/dev/null))
CUDA_MK := $B/cuda$(if $(NVCC_AT),,-none).mk
# Looked at anew when something was said, or when it did not work the last time.
CUDA_ANEW := $(if $(NVCC_AT),$(CUDA_ARCHS)$(filter command,$(origin NVCC))$(shell \
	grep -s '^. no' $(CUDA_MK)))
include $(CUDA_MK)
endif
CUDA_SO := $(if $(CUDA_NVCC),$B/s3dcuda.so)
NVCC_OPT_release := -O3
NVCC_OPT_debug := -O1 -g -DS3D_DEBUG
NVCC_FLAGS := -std=c++17 $(NVCC_OPT_$(FLAVOUR)) -fmad=false -I. \
	$(if $(WERROR),-Werror all-warnings) -DS3D_VERSION='"$(VERSION)"' \
	-Xcompiler -fPIC,-fvisibility=hidden,-ffp-contract=off,-Wall,-Wextra
CUDA_PIC := $(addprefix $B/pic/,base/util.o base/utf8.o engine/gguf/quant.o kernels/bridge.o \
	kernels/pass.o kernels/schedule.o kernels/spread.o kernels/stage.o)
CUDA_OBJ := $(CUDA_SRC:%.cu=$B/%.o) $(CUDA_PIC)

LIB_SRC := $(wildcard base/*.c engine/*.c engine/*/*.c kernels/*.c kernels/*/*.c)
ISA_SRC := $(wildcard kernels/cpu/isa/*.c)
APP_SRC := $(filter-out app/main.c,$(wildcard app/*.c app/*/*.c ui/*/*.c))
MORE_OBJ := $(foreach i,$(MORE),$(patsubst %,$B/kernels/cpu/isa/%.$i.o,packed columns table))
LIB_OBJ := $(LIB_SRC:%.c=$B/%.o) $(foreach i,$(ISAS),$(ISA_SRC:%.c=$B/%.$i.o)) $(MORE_OBJ)
APP_OBJ := $(APP_SRC:%.c=$B/%.o)

.PHONY: all bench model lint format install man clean FORCE
all: $B/s3dchat $(CUDA_SO) man
build/s3dchat: $B/s3dchat
	@ln -sf $(FLAVOUR)/s3dchat $@

$B/libs3d.a: $(LIB_OBJ)
$B/libapp.a: $(APP_OBJ)
$B/libs3d.a $B/libapp.a:
	@rm -f $@
	ar rcs $@ $^
$B/s3dchat: $B/app/main.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
	@mkdir -p build && ln -sfn $(FLAVOUR)/s3dchat build/s3dchat

$B/%.o: %.c Makefile
	$(COMPILE) $(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
$B/app/bench/bench_prompts.o: build/gen/prompts.h
build/gen/prompts.h: tests/tools/embed_prompts.sh $(sort $(wildcard tests/prompts/*.txt))
	@$(call WRITE,tests/tools/embed_prompts.sh $(filter %.txt,$^))
$B/app/config/config_themes.o: build/gen/themes.h
build/gen/themes.h: scripts/embed-themes $(sort $(wildcard themes/*.theme))
	@$(call WRITE,scripts/embed-themes $(filter %.theme,$^))
$(CUDA_MK): scripts/cuda-config $(if $(CUDA_ANEW),FORCE)
	@mkdir -p $(@D) && scripts/cuda-config "$(NVCC_AT)" "$(CUDA_ARCHS)" >$@.tmp
	@if cmp -s $@.tmp $@; then rm $@.tmp; else mv $@.tmp $@; fi
$B/kernels/cuda/%.o: kernels/cuda/%.cu Makefile $(CUDA_MK)
	$(COMPILE) $(CUDA_NVCC) $(NVCC_FLAGS) $(CUDA_GENCODE) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
$B/pic/%.o: %.c Makefile
	$(COMPILE) $(CC) $(CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<
# Complete in itself: what it lacks is told here and not when it is loaded.
$B/s3dcuda.so: $(CUDA_OBJ)
	$(CUDA_NVCC) -shared $(CUDA_GENCODE) -cudart static -o $@ $^ -ldl -lrt -lpthread \
		-Xlinker -z,defs
define isa_rule
$B/kernels/cpu/isa/%.$(1).o: kernels/cpu/isa/%.c Makefile
	$$(COMPILE) $$(CC) $$(CFLAGS) -fno-var-tracking $$(ISA_OPT) $$(UNWATCHED) $$(ISA_$(1)) \
		-DISA=$(1:_emulated=) -DISA_$(1:_emulated=) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS) $(MORE),$(eval $(call isa_rule,$(i))))

# Writes what train/little.py teaches with.
$B/train/selfchat: $B/train/selfchat.o $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

bench: $B/s3dchat; $< bench
# The default model, and a link to it where the tests look.
model:
	@mkdir -p build/model && file=$$(scripts/get-model) && ln -sfn "$$file" build/model/
lint:
	@$(MAKE) --no-print-directory -s -j "$$(nproc)" WERROR=1 man
	@B=$B tests/lint
format:
	clang-format -i $(shell find base app engine kernels ui -name '*.[ch]')

# The manual's tables come from the same X-macros as the parser and /help.
man: build/man/s3dchat.1 build/man/s3dchat.5
build/man/s3dchat.%: man/s3dchat.% $(wildcard man/*.part) $B/man/mangen
	@$(call WRITE,$B/man/mangen <$<)
$B/man/mangen: $B/man/mangen.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
SHARE := $(DESTDIR)$(PREFIX)/share
install: $B/s3dchat $(CUDA_SO) man
	install -D -m 755 $B/s3dchat $(DESTDIR)$(PREFIX)/bin/s3dchat
	$(if $(CUDA_SO),install -D -m 755 $(CUDA_SO) $(DESTDIR)$(PREFIX)/lib/s3dchat/s3dcuda.so)
	install -D -m 644 -t $(SHARE)/man/man1 build/man/s3dchat.1
	install -D -m 644 -t $(SHARE)/man/man5 build/man/s3dchat.5
	install -D -m 644 -t $(SHARE)/s3dchat/themes themes/*.theme
	install -d $(SHARE)/s3dchat/models
	$(if $(wildcard models/*.gguf),install -m 644 -t $(SHARE)/s3dchat/models models/*.gguf)

clean:; rm -rf build
include tests/tests.mk
-include $(shell find $B -name '*.d' 2>/dev/null)
# A check compiles anew the objects of which a compiler had something to say, and only these: the
# others are what -Werror would have made of them.
ifneq ($(WERROR),)
$(patsubst %.warnings,%,$(shell find $B -name '*.warnings' 2>/dev/null)): FORCE
endif
