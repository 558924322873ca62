# s3dchat.  `make` builds build/s3dchat; `make check` runs every test; see README.md.
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

# What a compiler says of an object stays in a file beside it: see the end.
COMPILE = scripts/compile $@

# Kernels that exist once per instruction set are compiled from the same source with other flags.
X86 := $(filter x86_64,$(shell uname -m))
ISAS := generic $(if $(X86),avx2 avx512)
ISA_OPT := $(if $(filter release,$(FLAVOUR)),-O3)
ISA_generic := $(ISA_OPT) -ffp-contract=off
ISA_avx2 := $(ISA_OPT) -mavx2 -mfma -mf16c -ffp-contract=off
ISA_avx512 := $(ISA_OPT) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx2 -mfma \
	-mf16c -mprefer-vector-width=512 -ffp-contract=off
# AMX is AVX-512 and a packed product more; its instructions are in kernels/cpu/amx.h.  The tests
# also link it with these instructions in plain C, where every machine with AVX-512 can run it.
ISA_amx := $(ISA_avx512) -DISA_avx512
ISA_amx_emulated := $(ISA_amx) -DAMX_EMULATED

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
CUDA_PIC := $(addprefix $B/pic/,base/util.o base/utf8.o engine/gguf/quant.o kernels/bridge.o)
CUDA_OBJ := $(CUDA_SRC:%.cu=$B/%.o) $(CUDA_PIC)

LIB_SRC := $(wildcard base/*.c engine/*.c engine/*/*.c kernels/*.c kernels/cpu/*.c)
ISA_SRC := $(wildcard kernels/cpu/isa/*.c)
APP_SRC := $(filter-out app/main.c,$(wildcard app/*.c app/*/*.c ui/*/*.c))
AMX_OBJ := $(if $(X86),$(addprefix $B/kernels/cpu/isa/,packed.amx.o table.amx.o))
LIB_OBJ := $(LIB_SRC:%.c=$B/%.o) $(foreach i,$(ISAS),$(ISA_SRC:%.c=$B/%.$i.o)) $(AMX_OBJ)
APP_OBJ := $(APP_SRC:%.c=$B/%.o)
EMULATED_OBJ := $B/kernels/cpu/isa/packed.amx_emulated.o $B/kernels/cpu/amx_emulated.o \
	$B/tests/amx_emulated.o
EMULATED_TESTS := $(if $(X86),$B/tests/test_kernels_amx $B/tests/test_forward_amx)
TESTS := $(patsubst tests/%.c,$B/tests/%,$(wildcard tests/test_*.c)) $(EMULATED_TESTS)
TOOLS := $B/tests/mkmodel $B/tests/fuzz_gguf $B/tests/tui_driver \
	$B/tests/tui_latency $B/tests/term_probe $B/train/selfchat
SHELL_TESTS := $(wildcard tests/*.test.sh)

# The cuda backend once more, by g++ and tests/emu, for tests on machines without a GPU.
EMU_OBJ := $(patsubst %.cpp,$B/emu/%.o,$(filter-out tests/emu/test_%,$(wildcard tests/emu/*.cpp)))
EMU_CUDA_OBJ := $(CUDA_SRC:%.cu=$B/emu/%.o)
EMU_TEST_OBJ := $(patsubst %.cpp,$B/emu/%.o,$(wildcard tests/emu/test_*.cpp))
EMU_FLAGS = -std=c++17 -D_GNU_SOURCE -Wall -Wextra -Wshadow=local -Wno-unknown-pragmas \
	$(if $(WERROR),-Werror) $(OPT_$(FLAVOUR)) -fno-strict-aliasing -ffp-contract=off -fPIC \
	-fvisibility=hidden -I. -DS3D_VERSION='"$(VERSION)"' -pthread
EMU_TESTS := $(addprefix $B/tests/test_cuda,_text _faults _bridge _bridge_faults _arch _windows \
	_rings _s3d _warm) $B/tests/test_cuda
DEVICE_TESTS := $(addprefix $B/tests/test_cuda,_device _bridge_device _arch_device \
	_rings_device)
TESTS += $B/tests/test_emu

.PHONY: all check check-asan check-tsan check-cuda carry fuzz bench model lint format install man \
	clean FORCE
all: $B/s3dchat $(CUDA_SO) man
build/s3dchat: $B/s3dchat
	@ln -sf $(FLAVOUR)/s3dchat $@

$B/libs3d.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^
$B/libapp.a: $(APP_OBJ)
	@rm -f $@
	ar rcs $@ $^
$B/s3dchat: $B/app/main.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
	@mkdir -p build && ln -sfn $(FLAVOUR)/s3dchat build/s3dchat

$B/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(COMPILE) $(CC) $(CFLAGS) -MMD -MP -c -o $@ $<
$B/app/bench/bench_prompts.o: build/gen/prompts.h
build/gen/prompts.h: tests/tools/embed_prompts.sh $(sort $(wildcard tests/prompts/*.txt))
	@mkdir -p $(@D)
	@tests/tools/embed_prompts.sh $(filter %.txt,$^) >$@.tmp && mv $@.tmp $@
$B/app/config/config_themes.o: build/gen/themes.h
build/gen/themes.h: scripts/embed-themes $(sort $(wildcard themes/*.theme))
	@mkdir -p $(@D)
	@scripts/embed-themes $(filter %.theme,$^) >$@.tmp && mv $@.tmp $@
$(CUDA_MK): scripts/cuda-config $(if $(CUDA_ANEW),FORCE)
	@mkdir -p $(@D)
	@scripts/cuda-config "$(NVCC_AT)" "$(CUDA_ARCHS)" >$@.tmp
	@if cmp -s $@.tmp $@; then rm $@.tmp; else mv $@.tmp $@; fi
$B/kernels/cuda/%.o: kernels/cuda/%.cu Makefile $(CUDA_MK)
	@mkdir -p $(@D)
	$(COMPILE) $(CUDA_NVCC) $(NVCC_FLAGS) $(CUDA_GENCODE) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
$B/pic/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(COMPILE) $(CC) $(CFLAGS) -fPIC -fvisibility=hidden -MMD -MP -c -o $@ $<
$B/emu/%.o: %.cu Makefile
	@mkdir -p $(@D)
	$(COMPILE) $(CXX) -x c++ $(EMU_FLAGS) -MMD -MP -c -o $@ $<
# The thread sanitizer cannot follow from one stack to another.
$B/emu/tests/emu/fibers.o $B/emu/tests/emu/stack.o: EMU_FLAGS += -fno-sanitize=thread
$B/emu/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	$(COMPILE) $(CXX) $(EMU_FLAGS) -MMD -MP -c -o $@ $<
# Loaded like the real one by the program beside it.
$B/emu/s3dcuda.so: $(EMU_OBJ) $(EMU_CUDA_OBJ) $(CUDA_PIC)
	$(CXX) $(LDFLAGS) -shared -o $@ $^ -lutf8proc -lm
$B/emu/s3dchat: $B/s3dchat $B/emu/s3dcuda.so
	ln -f $< $@
$B/tests/test_emu: $(EMU_TEST_OBJ) $(EMU_OBJ) $B/libs3d.a
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
$(EMU_TESTS): %: %.o $(EMU_CUDA_OBJ) $(EMU_OBJ) $B/tests/mk.o $B/libapp.a $B/libs3d.a
	$(CXX) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
# The same on a GPU.  Its backend lies beside the program, and so must it.
$(DEVICE_TESTS:%=%.o): $B/tests/%_device.o: tests/%.c Makefile
	@mkdir -p $(@D)
	$(COMPILE) $(CC) $(CFLAGS) -DDEVICE_REAL -MMD -MP -c -o $@ $<
# Complete in itself: what it lacks is told here and not when it is loaded.
$B/s3dcuda.so: $(CUDA_OBJ)
	$(CUDA_NVCC) -shared $(CUDA_GENCODE) -cudart static -o $@ $^ -ldl -lrt -lpthread \
		-Xlinker -z,defs
define isa_rule
$B/kernels/cpu/isa/%.$(1).o: kernels/cpu/isa/%.c Makefile
	@mkdir -p $$(@D)
	$$(COMPILE) $$(CC) $$(CFLAGS) -fno-var-tracking $$(ISA_$(1)) -DISA=$(1:_emulated=) \
		-DISA_$(1:_emulated=) -MMD -MP -c -o $$@ $$<
endef
$(foreach i,$(ISAS) amx amx_emulated,$(eval $(call isa_rule,$(i))))

$B/tests/test_%: $B/tests/test_%.o $B/tests/mk.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
# What the linker finds here it does not take from the library.
$(EMULATED_TESTS): %_amx: %.o $(EMULATED_OBJ) $B/tests/mk.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
$B/kernels/cpu/amx_emulated.o: kernels/cpu/amx.c Makefile
	$(COMPILE) $(CC) $(CFLAGS) -DAMX_EMULATED -MMD -MP -c -o $@ $<
# What stands for s3dcuda.so when its loading is tested.
FAKES := $(addprefix $B/tests/fake_,$(addsuffix .so,works refuses old empty slow))
$(FAKES): $B/tests/fake_%.so: tests/fake_backend.c $(wildcard engine/*/*.h kernels/*.h) Makefile
	@mkdir -p $(@D)
	$(COMPILE) $(CC) $(CFLAGS) -DFAKE_$* $(if $(filter old,$*),-US3D_VERSION \
		-DS3D_VERSION='"0.0.1"') -fPIC -shared -o $@ $<
$B/tests/test_load: | $(FAKES)
# Only what reads files: the sanitizers take minutes over the kernels.
$B/tests/fuzz_gguf: $B/tests/fuzz_gguf.o $(patsubst %.c,$B/%.o,$(wildcard engine/gguf/*.c \
		engine/text/*.c engine/model/*.c base/utf8.c base/util.c))
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$B/tests/%: $B/tests/%.o $B/tests/mk.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Writes what train/little.py teaches with.
$B/train/selfchat: $B/train/selfchat.o $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

check: $B/s3dchat $(CUDA_SO) $(if $(CUDA_SRC),$B/emu/s3dchat) $(TESTS) $(TOOLS) $(FAKES)
	@B=$B tests/run $(TESTS) $(SHELL_TESTS)
check-asan:
	@$(MAKE) --no-print-directory check FLAVOUR=asan
check-tsan:
	@$(MAKE) --no-print-directory check FLAVOUR=tsan
# On a machine with a GPU: the cuda backend against the cpu one, and how fast it is.
check-cuda: $B/s3dchat $(CUDA_SO) $(DEVICE_TESTS) $B/tests/mkmodel
	@[ "$(CUDA_SO)" ] || { echo "check-cuda: there is no cuda backend to test"; exit 1; }
	@B=$B JOBS=1 tests/run $(DEVICE_TESTS)
	$B/tests/mkmodel --shape llama-3.2-1b --type q4_k_m build/check-cuda.gguf
	$B/s3dchat bench --backend cuda --probes --stages -m build/check-cuda.gguf -md none
# All that takes, in build/carry, for a machine where nothing can be built.
carry: $B/s3dchat $(CUDA_SO) $(DEVICE_TESTS) $B/tests/mkmodel
	@scripts/carry $B
fuzz:
	@$(MAKE) --no-print-directory build/asan/tests/fuzz_gguf FLAVOUR=asan
	build/asan/tests/fuzz_gguf 100000 1 tests/vectors/tok-spm.gguf
bench: $B/s3dchat
	$B/s3dchat bench
# The default model, and a link to it where the tests look.
model:
	@mkdir -p build/model && file=$$(scripts/get-model) && ln -sfn "$$file" build/model/
lint:
	@$(MAKE) --no-print-directory -s -j "$$(nproc)" WERROR=1 man
	@tests/lint
format:
	clang-format -i $(wildcard base/*.[ch] app/*.[ch] app/*/*.[ch] engine/*.[ch] \
		engine/*/*.[ch] kernels/*.[ch] kernels/*/*.[ch] ui/*/*.[ch])

# The manual's tables come from the same X-macros as the parser and /help.
man: build/man/s3dchat.1 build/man/s3dchat.5
build/man/s3dchat.%: man/s3dchat.% $(wildcard man/*.part) $B/man/mangen
	@mkdir -p $(@D)
	$B/man/mangen <$< >$@.tmp && mv $@.tmp $@
$B/man/mangen: $B/man/mangen.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
install: $B/s3dchat $(CUDA_SO) man
	install -D -m 755 $B/s3dchat $(DESTDIR)$(PREFIX)/bin/s3dchat
	$(if $(CUDA_SO),install -D -m 755 $(CUDA_SO) $(DESTDIR)$(PREFIX)/lib/s3dchat/s3dcuda.so)
	install -D -m 644 build/man/s3dchat.1 $(DESTDIR)$(PREFIX)/share/man/man1/s3dchat.1
	install -D -m 644 build/man/s3dchat.5 $(DESTDIR)$(PREFIX)/share/man/man5/s3dchat.5
	install -d $(DESTDIR)$(PREFIX)/share/s3dchat/themes
	install -m 644 themes/*.theme $(DESTDIR)$(PREFIX)/share/s3dchat/themes
	install -d $(DESTDIR)$(PREFIX)/share/s3dchat/models
	for f in models/*.gguf; do [ ! -f "$$f" ] || \
		install -m 644 "$$f" $(DESTDIR)$(PREFIX)/share/s3dchat/models || exit 1; done

clean:
	rm -rf build
-include $(wildcard $B/*/*.d $B/*/*/*.d $B/*/*/*/*.d)
# A check compiles anew the objects of which a compiler had something to say, and only these: the
# others are what -Werror would have made of them.
ifneq ($(WERROR),)
$(patsubst %.said,%,$(shell find $B -name '*.said' 2>/dev/null)): FORCE
endif
