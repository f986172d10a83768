/* Lets a program see a processor of 2014: what the instruction `cpuid` answers is cut down to an Intel Haswell.

   Loaded with LD_PRELOAD. Linux can make `cpuid` fault (arch_prctl(ARCH_SET_CPUID, 0), Intel processors since Ivy Bridge); the
   signal's handler below executes the real one, takes away what a Haswell does not have (AVX-512, VNNI, AMX, ...), and
   steps over it. Threads and forked children inherit the setting; a new program starts without it and loads this
   library again. The program's own handlers of SIGSEGV are kept here and called for every other fault.

   Two things escape it. The C library asks before any library is loaded: GLIBC_TUNABLES holds it (held_cpuid.py). And
   `xgetbv`, which tells which registers the system saves, cannot fault; but it names no instruction set, so that it
   is not enough on its own. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARCH_SET_CPUID = 0x1012 };
enum { FAMILY_MODEL_STEPPING = 0x000306F2 }; /* Haswell-EP; libraries choose kernels by it as well as by features */
enum { HIGHEST = 0xD };                       /* the last basic leaf of a Haswell */
enum {                                        /* leaf 7 of a Haswell: BMI, AVX2, and what has no vector registers */
    LEAF_7_EBX = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10,
    XCR0_AVX = 7, /* x87, SSE, AVX */
    XSAVEOPT = 1,
};

struct registers {
    unsigned a, b, c, d;
};

static struct sigaction theirs; /* the program's own handler of SIGSEGV; at first the default */
static int (*real_sigaction)(int, const struct sigaction *, struct sigaction *);

/* The answer to `cpuid` with this leaf and subleaf on a Haswell. */
static struct registers haswell(unsigned leaf, unsigned sub, struct registers r)
{
    static const struct registers none = {0, 0, 0, 0};
    if (leaf == 0)
        r.a = HIGHEST;
    else if (leaf == 1)
        r.a = FAMILY_MODEL_STEPPING;
    else if (leaf == 7 && sub == 0)
        r = (struct registers){0, r.b & LEAF_7_EBX, 0, 0};
    else if (leaf == 0xD && sub == 0)
        r.a &= XCR0_AVX, r.d = 0; /* the size stays: that much is saved in truth */
    else if (leaf == 0xD && sub == 1)
        r.a &= XSAVEOPT, r.c = r.d = 0;
    else if (leaf == 7 || (leaf == 0xD && sub > 2) || (leaf > HIGHEST && leaf < 0x40000000))
        r = none;
    return r;
}

static void faulting(int on)
{
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, !on);
}

/* Execute the `cpuid` at which this thread faulted, and write the answer where the program expects it. */
static void answer(greg_t *registers)
{
    unsigned leaf = registers[REG_RAX], sub = registers[REG_RCX];
    struct registers r;
    faulting(0);
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    faulting(1);
    r = haswell(leaf, sub, r);
    registers[REG_RAX] = r.a, registers[REG_RBX] = r.b, registers[REG_RCX] = r.c, registers[REG_RDX] = r.d;
    registers[REG_RIP] += 2;
}

/* Only a general protection fault (trap 13) is raised with this code and without an address that is missing. */
static int is_cpuid(const siginfo_t *info, const greg_t *registers)
{
    const unsigned char *place = (const unsigned char *)registers[REG_RIP];
    return info->si_code == SI_KERNEL && registers[REG_TRAPNO] == 13 && place[0] == 0x0F && place[1] == 0xA2;
}

/* Any other fault: the program's handler has it, or it ends the program as it would have. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    struct sigaction handler = theirs;
    int sent = info->si_code <= 0; /* by kill or raise: nothing faults again after it */
    if (handler.sa_flags & SA_RESETHAND)
        theirs.sa_handler = SIG_DFL;
    if (handler.sa_flags & SA_SIGINFO)
        handler.sa_sigaction(number, info, context);
    else if (handler.sa_handler == SIG_DFL || (handler.sa_handler == SIG_IGN && !sent)) {
        real_sigaction(SIGSEGV, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        if (sent)
            syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSEGV); /* held back until this handler returns */
    } else if (handler.sa_handler != SIG_IGN)
        handler.sa_handler(number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    int before = errno;
    if (is_cpuid(info, registers))
        answer(registers);
    else
        pass_on(number, info, context);
    errno = before;
}

__attribute__((constructor)) static void begin(void)
{
    if (real_sigaction)
        return; /* by a library that set a handler before this */
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigfillset(&ours.sa_mask);
    real_sigaction = (__typeof__(real_sigaction))dlsym(RTLD_NEXT, "sigaction");
    if (!real_sigaction(SIGSEGV, &ours, &theirs))
        faulting(1);
}

int sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
    if (!real_sigaction)
        begin();
    if (number != SIGSEGV)
        return real_sigaction(number, new, old);
    struct sigaction before = theirs;
    if (new)
        theirs = *new;
    if (old)
        *old = before;
    return 0;
}

/* The older ways to set a handler. */
sighandler_t signal(int number, sighandler_t handler)
{
    struct sigaction old, new = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaddset(&new.sa_mask, number);
    return sigaction(number, &new, &old) ? SIG_ERR : old.sa_handler;
}

/* A thread that blocks SIGSEGV is killed by its next `cpuid`; thread pools block all signals. */
#define LET_THROUGH(name)                                            \
    int name(int how, const sigset_t *set, sigset_t *old)             \
    {                                                                 \
        static __typeof__(&name) real;                                \
        sigset_t less;                                                \
        if (!real)                                                    \
            real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);        \
        if (set && how != SIG_UNBLOCK) {                              \
            less = *set;                                              \
            sigdelset(&less, SIGSEGV);                                \
            set = &less;                                              \
        }                                                             \
        return real(how, set, old);                                   \
    }
LET_THROUGH(sigprocmask)
LET_THROUGH(pthread_sigmask)
