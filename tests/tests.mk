# What the tests need beside the program: the test programs and their tools, and what stands for
# machines that are not at hand: the cuda backend compiled by g++ for an emulated GPU, AMX in plain
# C, and shared objects that play s3dcuda.so.  The Makefile includes this.

# `make check` runs these.  A file tests/test_NAME.c is one, and so is a script tests/NAME.test.sh.
EMULATED_TESTS := $(if $(X86),$(patsubst %,$B/tests/test_%_emulated,kernels columns forward))
TESTS := $(patsubst tests/%.c,$B/tests/%,$(wildcard tests/test_*.c)) $(EMULATED_TESTS) \
	$B/tests/test_emu
EMU_TESTS := $(addprefix $B/tests/test_cuda,_text _faults _bridge _bridge_faults _arch _windows \
	_rings _s3d _warm _groups _prune _split _split_bridge _split_faults \
	_split_groups) $B/tests/test_cuda
# An emulated GPU is coroutines of one thread: nothing can race there, and to say so takes an hour.
LEFT_OUT := $(if $(filter tsan,$(FLAVOUR)),$(EMU_TESTS))
RUN_TESTS := $(filter-out $(LEFT_OUT),$(TESTS))
TOOLS := $B/tests/mkmodel $B/tests/kernel_bits $B/tests/fuzz_gguf $B/tests/tui_driver \
	$B/tests/tui_latency $B/tests/term_probe $B/tests/told_time $B/train/selfchat
SHELL_TESTS := $(wildcard tests/*.test.sh)
FAKES := $(addprefix $B/tests/fake_,$(addsuffix .so,works refuses old empty slow))

# Of the kernels the thread sanitizer sees what their table notes: kernels/cpu/isa/watched.h.
UNWATCHED = $(if $(filter tsan,$(FLAVOUR)),$(if $(findstring /table.,$@),,-fno-sanitize=thread))
# What packing writes it clears before, and what is decoded goes through a kernel: that is seen.
$B/kernels/cpu/pack.o $B/engine/gguf/quant.o: CFLAGS += $(UNWATCHED)

.PHONY: check check-asan check-tsan check-cuda carry fuzz
check: $B/s3dchat $(CUDA_SO) $(if $(CUDA_SRC),$B/emu/s3dchat) $(RUN_TESTS) $(TOOLS) $(FAKES)
	$(if $(LEFT_OUT),@echo "left out (one thread each): $(sort $(notdir $(LEFT_OUT)))")
	@B=$B tests/run $(RUN_TESTS) $(SHELL_TESTS)
check-asan:
	@$(MAKE) --no-print-directory check FLAVOUR=asan
check-tsan:
	@$(MAKE) --no-print-directory check FLAVOUR=tsan
fuzz:
	@$(MAKE) --no-print-directory build/asan/tests/fuzz_gguf FLAVOUR=asan
	build/asan/tests/fuzz_gguf 100000 1 tests/vectors/tok-spm.gguf

$B/tests/test_%: $B/tests/test_%.o $B/tests/mk.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)
$B/tests/%: $B/tests/%.o $B/tests/mk.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# Only what reads files: the sanitizers take minutes over the kernels.
$B/tests/fuzz_gguf: $B/tests/fuzz_gguf.o $(patsubst %.c,$B/%.o,$(wildcard engine/gguf/*.c \
		engine/text/*.c engine/model/*.c base/utf8.c base/util.c))
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The kernels that take most of the time keep their registers, see cuda_build.test.sh.
$B/kernels/cuda/op/product.o $B/kernels/cuda/op/attend.o: NVCC_FLAGS += -Xptxas -warn-spills

# An emulated GPU: the cuda backend's own files, compiled by g++ with tests/emu in CUDA's place.
EMU_OBJ := $(patsubst %.cpp,$B/emu/%.o,$(filter-out tests/emu/test_%,$(wildcard tests/emu/*.cpp)))
EMU_CUDA_OBJ := $(CUDA_SRC:%.cu=$B/emu/%.o)
EMU_TEST_OBJ := $(patsubst %.cpp,$B/emu/%.o,$(wildcard tests/emu/test_*.cpp))
EMU_FLAGS = -std=c++17 -D_GNU_SOURCE -Wall -Wextra -Wshadow=local -Wno-unknown-pragmas \
	$(if $(WERROR),-Werror) $(OPT_$(FLAVOUR)) -fno-strict-aliasing -ffp-contract=off -fPIC \
	-fvisibility=hidden -I. -DS3D_VERSION='"$(VERSION)"' -pthread
# Half of these tests' time is that of the kernels, which run on the machine that builds them.
$B/emu/kernels/%.o: EMU_FLAGS += $(if $(X86),-march=native)
# The thread sanitizer cannot follow from one stack to another.
$B/emu/tests/emu/fibers.o $B/emu/tests/emu/stack.o: EMU_FLAGS += -fno-sanitize=thread
$B/emu/%.o: %.cu Makefile tests/tests.mk
	$(COMPILE) $(CXX) -x c++ $(EMU_FLAGS) -MMD -MP -c -o $@ $<
$B/emu/%.o: %.cpp Makefile tests/tests.mk
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

# Some of them on a GPU.  The backend that they load lies beside the program, and so must they.
DEVICE_TESTS := $(addprefix $B/tests/test_cuda,_device _bridge_device _arch_device _rings_device \
	_groups_device)
$(DEVICE_TESTS:%=%.o): $B/tests/%_device.o: tests/%.c Makefile tests/tests.mk
	$(COMPILE) $(CC) $(CFLAGS) -DDEVICE_REAL -MMD -MP -c -o $@ $<
# On a machine with a GPU: the cuda backend against the cpu one, and how fast it is.
check-cuda: $B/s3dchat $(CUDA_SO) $(DEVICE_TESTS) $B/tests/mkmodel
	@[ "$(CUDA_SO)" ] || { echo "check-cuda: there is no cuda backend to test"; exit 1; }
	@B=$B JOBS=1 tests/run $(DEVICE_TESTS)
	$B/tests/mkmodel --shape llama-3.2-1b --type q4_k_m build/check-cuda.gguf
	$B/s3dchat bench --backend cuda --probes --stages -m build/check-cuda.gguf -md none
# All that takes, in build/carry, for a machine where nothing can be built.
carry: $B/s3dchat $(CUDA_SO) $(DEVICE_TESTS) $B/tests/mkmodel
	@scripts/carry $B

# AMX's instructions in plain C, which every machine with AVX-512 can run, and AVX-VNNI's made of
# AVX2's.  What the linker finds here it does not take from the library.
ISA_amx_emulated := $(ISA_amx) -DAMX_EMULATED -O1
ISA_avxvnni_emulated := $(ISA_avxvnni) -mno-avxvnni -DAVXVNNI_EMULATED -O1
EMULATED_OBJ := $(foreach i,$(MORE),$(addprefix $B/kernels/cpu/isa/,packed.$i_emulated.o \
	columns.$i_emulated.o)) $B/kernels/cpu/amx_emulated.o \
	$B/kernels/cpu/cpuinfo_emulated.o $B/tests/amx_emulated.o
$(foreach i,$(MORE),$(eval $(call isa_rule,$i_emulated)))
$B/kernels/cpu/%_emulated.o: kernels/cpu/%.c Makefile tests/tests.mk
	$(COMPILE) $(CC) $(CFLAGS) -DAMX_EMULATED -DAVXVNNI_EMULATED -MMD -MP -c -o $@ $<
# One thread's arithmetic, and a hundred times as slow when every access is looked at.
$B/tests/amx_emulated.o: CFLAGS += $(if $(filter tsan,$(FLAVOUR)),-fno-sanitize=thread)
$(EMULATED_TESTS): %_emulated: %.o $(EMULATED_OBJ) $B/tests/mk.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

# What stands for s3dcuda.so when its loading is tested.
$(FAKES): $B/tests/fake_%.so: tests/fake_backend.c Makefile tests/tests.mk
	$(COMPILE) $(CC) $(CFLAGS) -DFAKE_$* $(if $(filter old,$*),-US3D_VERSION \
		-DS3D_VERSION='"0.0.1"') -fPIC -shared -MMD -MP -MF $(@:.so=.d) -o $@ $<
$B/tests/test_load: | $(FAKES)

# Their clocks are their own.
$B/tests/test_promise: LDFLAGS += -Wl,--wrap=clock_now
$B/tests/told_time: $B/tests/told_time.o $B/app/main.o $B/libapp.a $B/libs3d.a
	$(CC) $(LDFLAGS) -Wl,--wrap=clock_now,--wrap=cpu_forward,--wrap=main -o $@ $^ $(LDLIBS)
