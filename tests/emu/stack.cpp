/* stack.cpp - switching stacks, and the static shared memory of a block.
 *
 * Stacks are mapped once, each below a page that nobody may touch, and kept.  Invariant: the
 * address sanitizer is told of every switch. */
#include "tests/emu/fibers.h"
#include "tests/emu/inside.h"
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
enum { STACK = 512 << 10 };
#else
enum { STACK = 128 << 10 };
static void __sanitizer_start_switch_fiber(void **, const void *, size_t) {}
static void __sanitizer_finish_switch_fiber(void *, const void **, size_t *) {}
#endif
enum { PAGE = 4096, COLOURS = 61 };

static struct emu_fiber *left;          /* the fiber that was switched from last */

/* The sanitizer tells whose stack it was, which is how the first one's becomes known. */
static void arrive(void *fake)
{
	__sanitizer_finish_switch_fiber(fake, &left->bottom, &left->size);
}

static void first_steps(void)
{
	arrive(nullptr);
	emu_fiber_main();
	abort();
}

/* Tops of stacks must not all fall into the same lines of the cache. */
static char *stack_top(struct emu_fiber *f, int number)
{
	return f->stack + STACK - 64 - number % COLOURS * 64;
}

#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
/* Keeps what a function must keep, and returns on the other stack. */
extern "C" void emu_switch(void **from, void *to);
asm(".pushsection .text\n"
    ".hidden emu_switch\n"
    ".globl emu_switch\n"
    ".type emu_switch, @function\n"
    "emu_switch:\n"
    "	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
    "	mov %rsp, (%rdi)\n"
    "	mov %rsi, %rsp\n"
    "	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbx\n	pop %rbp\n"
    "	ret\n"
    ".size emu_switch, . - emu_switch\n"
    ".popsection\n");

static void prepare(struct emu_fiber *f, int number)
{
	void **sp = (void **)stack_top(f, number);

	*--sp = nullptr;                /* where a call would have put its return address */
	*--sp = (void *)first_steps;
	for (int i = 0; i < 6; i++)
		*--sp = nullptr;
	f->sp = sp;
}

static inline void change(struct emu_fiber *from, struct emu_fiber *to)
{
	emu_switch(&from->sp, to->sp);
}
#else
static void prepare(struct emu_fiber *f, int number)
{
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = (size_t)(stack_top(f, number) - f->stack);
	f->context.uc_link = nullptr;
	makecontext(&f->context, first_steps, 0);
}

static inline void change(struct emu_fiber *from, struct emu_fiber *to)
{
	swapcontext(&from->context, &to->context);
}
#endif

void emu_fiber_switch(struct emu_fiber *from, struct emu_fiber *to)
{
	left = from;
	__sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
	change(from, to);
	arrive(from->fake);
}

void emu_fiber_open(struct emu_fiber *f, int number)
{
	if (f->stack)
		return;
	char *p = (char *)mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || mprotect(p, PAGE, PROT_NONE) < 0)
		emu_die("no memory for the stack of a thread");
	f->stack = p + PAGE;
	f->bottom = f->stack;
	f->size = STACK;
	prepare(f, number);
}

/* Static shared memory: a variable with static thread-local storage inside a function.  No other
 * storage is as easy to tell apart: g++ puts no variable of a template into a section by name, but
 * every one has a symbol, and C++ names of local variables begin with _ZZ. */
struct shared_variable {
	const char *name;
	size_t at, size;        /* in this module's thread-local storage */
};

static struct {         /* the file that this code is in, mapped for good */
	const char *path, *file;
	uintptr_t base;         /* where it is loaded */
	const ElfW(Sym) *symbols;
	size_t n;
	const char *names;
	char *storage;          /* thread-local, of the thread that asked last */
	std::vector<struct shared_variable> shared;
} module;
static thread_local char here;          /* to make a thread's storage exist */

static int find_module(struct dl_phdr_info *info, size_t, void *)
{
	bool own = false;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr, address = (uintptr_t)find_module;

		own |= p->p_type == PT_LOAD && address - from < p->p_memsz;
	}
	if (!own)
		return 0;
	module.path = info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe";
	module.base = info->dlpi_addr;
	module.storage = (char *)info->dlpi_tls_data;
	return 1;
}

static const char *map_file(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		emu_die("%s cannot be read", path);
	void *p = mmap(nullptr, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

	close(fd);
	if (p == MAP_FAILED)
		emu_die("%s cannot be mapped", path);
	return (const char *)p;
}

static void read_symbols(void)
{
	const ElfW(Ehdr) *head = (const ElfW(Ehdr) *)module.file;
	const ElfW(Shdr) *section = (const ElfW(Shdr) *)(module.file + head->e_shoff);

	for (int i = 0; i < head->e_shnum; i++)
		if (section[i].sh_type == SHT_SYMTAB) {
			module.symbols = (const ElfW(Sym) *)(module.file + section[i].sh_offset);
			module.n = section[i].sh_size / sizeof(*module.symbols);
			module.names = module.file + section[section[i].sh_link].sh_offset;
		}
	if (!module.n)
		emu_die("%s has no symbols: shared memory cannot be found", module.path);
	for (size_t i = 0; i < module.n; i++) {
		const ElfW(Sym) *s = &module.symbols[i];
		const char *name = module.names + s->st_name;

		if (ELF64_ST_TYPE(s->st_info) == STT_TLS && !strncmp(name, "_ZZ", 3))
			module.shared.push_back({ name, s->st_value, s->st_size });
	}
}

/* The storage of this thread, and what is in it. */
static void look_at_module(void)
{
	static char *asked;             /* by which thread */

	here = 1;
	if (asked == &here)
		return;
	asked = &here;
	dl_iterate_phdr(find_module, nullptr);
	if (module.file)
		return;
	module.file = map_file(module.path);
	read_symbols();
}

void emu_fill_static_shared(void)
{
	look_at_module();
	for (const struct shared_variable &v : module.shared)
		memset(module.storage + v.at, 0xff, v.size);
}

/* The variable x of a function _Zf is _ZZfE1x. */
size_t emu_static_shared(const void *kernel)
{
	const char *name = nullptr;
	size_t sum = 0;

	look_at_module();
	for (size_t i = 0; !name && i < module.n; i++)
		if (ELF64_ST_TYPE(module.symbols[i].st_info) == STT_FUNC &&
		    module.base + module.symbols[i].st_value == (uintptr_t)kernel)
			name = module.names + module.symbols[i].st_name;
	if (!name || strncmp(name, "_Z", 2))
		return 0;
	size_t n = strlen(name) - 2;

	for (const struct shared_variable &v : module.shared)
		if (!strncmp(v.name + 3, name + 2, n) && v.name[3 + n] == 'E')
			sum += v.size;
	return sum;
}
