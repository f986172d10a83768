/* Stands between a program and the C library, and makes one call fail: the n-th of a kind.

   Loaded with LD_PRELOAD. The order (which kind, which n, what happens) and the counters lie in a small file that the
   campaign maps as well (its name is in S2T_FAULTS), so that forked and spawned processes count together. Only calls on
   files below a folder count, or on descriptors of such files, and for NETWORK those on sockets: a program opens hundreds
   of files of its own. SPAWN (processes), THREAD and MEMORY (pieces of at least LEAST bytes) count wherever they come
   from, and only when asked for by name. `struct order` here and `Order` in shim.py are the same. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t sendfile(int, int, off_t *, size_t); /* as in <sys/sendfile.h>, which gives it another name with 64 bits */
ssize_t sendfile64(int, int, off64_t *, size_t);

enum kind { OPEN, READ, WRITE, FSYNC, RENAME, MKDIR, MMAP, UNLINK, CLOSE, TRUNCATE, STAT, LIST, NETWORK, SPAWN, THREAD, MEMORY, KINDS };

/* Bytes. numpy 2.4 itself crashes where it finds no memory for the buffers of its loops, which are no larger. */
enum { LEAST = (1 << 17) + 1 };
enum { SIGNAL = 1000, SHORT = 2000, CUT = 3000 }; /* in place of an errno */

struct order {
    int armed;         /* 0: calls are neither counted nor harmed */
    int kind;          /* KINDS: any of them, with one count for all */
    long n;            /* from 1; 0: count only */
    int error;         /* errno, or SIGNAL + number, or SHORT (half is read or written), or CUT (the file is shortened) */
    int lasting;       /* every later call of the kind fails too */
    _Atomic long count;
    _Atomic int struck; /* how often it has struck */
    char under[512];    /* the folder */
    char where[512];    /* the first call that was struck: name, file */
};

static struct order *order;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("S2T_FAULTS");
    int file = name ? syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC) : -1;
    void *place = file < 0 ? MAP_FAILED
                           : (void *)syscall(SYS_mmap, 0, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (place != MAP_FAILED)
        order = place;
    if (file >= 0)
        syscall(SYS_close, file);
}

static int below(const char *path)
{
    size_t length = strlen(order->under);
    return !strncmp(path, order->under, length) && (path[length] == '/' || !path[length]);
}

/* The absolute path of `path` in the folder `fd`, as far as it can be told without asking for more than one link. */
static void located(int fd, const char *path, char *full)
{
    char link[64];
    full[0] = 0;
    if (path && path[0] == '/') {
        snprintf(full, PATH_MAX, "%s", path);
        return;
    }
    if (fd == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, full, PATH_MAX - 1);
    full[length < 0 ? 0 : length] = 0;
    if (path && path[0] && length > 0)
        snprintf(full + length, PATH_MAX - length, "/%s", path);
}

/* Whether calls of this kind are asked for. */
static int asked(enum kind kind)
{
    return order && order->armed && (order->kind == (int)kind || (order->kind == KINDS && kind < SPAWN));
}

/* Whether this call fails: 0, or -1 with errno set, or SHORT. A signal is sent and the call goes on. */
static int strikes(enum kind kind, const char *name, int fd, const char *path)
{
    if (!asked(kind))
        return 0;
    int before = errno;
    char full[PATH_MAX] = "";
    if (kind < SPAWN)
        located(fd, path, full);
    else if (path)
        snprintf(full, PATH_MAX, "%s", path);
    if (kind < SPAWN && !(kind == NETWORK ? fd < 0 || !strncmp(full, "socket:", 7) : below(full))) {
        errno = before;
        return 0;
    }
    long count = atomic_fetch_add(&order->count, 1) + 1;
    if (!order->n || (order->lasting ? count < order->n : count != order->n)) {
        errno = before;
        return 0;
    }
    if (!atomic_fetch_add(&order->struck, 1))
        snprintf(order->where, sizeof order->where, "%s %.480s", name, full);
    if (order->error >= CUT) {
        if (fd >= 0)
            syscall(SYS_truncate, full, (off_t)(order->error - CUT));
        errno = before;
        return 0;
    }
    if (order->error == SHORT) {
        errno = before;
        return SHORT;
    }
    if (order->error >= SIGNAL) {
        syscall(SYS_kill, getpid(), order->error - SIGNAL);
        errno = before;
        return 0;
    }
    errno = order->error;
    return -1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static size_t half(size_t size) { return size > 1 ? size / 2 : size; }

#define OPENING(name, fd, path, call_with_mode) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    } \
    REAL(name); \
    if (strikes(OPEN, #name, fd, path) == -1) \
        return -1; \
    return call_with_mode

int open(const char *path, int flags, ...) { OPENING(open, AT_FDCWD, path, real(path, flags, mode)); }
int open64(const char *path, int flags, ...) { OPENING(open64, AT_FDCWD, path, real(path, flags, mode)); }
int openat(int fd, const char *path, int flags, ...) { OPENING(openat, fd, path, real(fd, path, flags, mode)); }
int openat64(int fd, const char *path, int flags, ...) { OPENING(openat64, fd, path, real(fd, path, flags, mode)); }

#define POINTER(type, kind, name, parameters, fd, path, call) \
    type name parameters { REAL(name); if (strikes(kind, #name, fd, path) == -1) return NULL; return call; }
#define NUMBER(type, kind, name, parameters, fd, path, call) \
    type name parameters { REAL(name); if (strikes(kind, #name, fd, path) == -1) return -1; return call; }
#define AMOUNT(kind, name, parameters, call_with_size) \
    ssize_t name parameters { \
        REAL(name); \
        int struck = strikes(kind, #name, fd, NULL); \
        if (struck == -1) return -1; \
        if (struck == SHORT) size = half(size); \
        return call_with_size; }

POINTER(FILE *, OPEN, fopen, (const char *path, const char *mode), AT_FDCWD, path, real(path, mode))
POINTER(FILE *, OPEN, fopen64, (const char *path, const char *mode), AT_FDCWD, path, real(path, mode))
AMOUNT(READ, read, (int fd, void *data, size_t size), real(fd, data, size))
AMOUNT(READ, pread, (int fd, void *data, size_t size, off_t at), real(fd, data, size, at))
AMOUNT(READ, pread64, (int fd, void *data, size_t size, off64_t at), real(fd, data, size, at))
AMOUNT(WRITE, write, (int fd, const void *data, size_t size), real(fd, data, size))
AMOUNT(WRITE, pwrite, (int fd, const void *data, size_t size, off_t at), real(fd, data, size, at))
AMOUNT(WRITE, pwrite64, (int fd, const void *data, size_t size, off64_t at), real(fd, data, size, at))
AMOUNT(WRITE, copy_file_range, (int in, off64_t *from, int fd, off64_t *to, size_t size, unsigned flags),
       real(in, from, fd, to, size, flags))
AMOUNT(WRITE, sendfile, (int fd, int in, off_t *at, size_t size), real(fd, in, at, size))
AMOUNT(WRITE, sendfile64, (int fd, int in, off64_t *at, size_t size), real(fd, in, at, size))
NUMBER(ssize_t, READ, readv, (int fd, const struct iovec *parts, int count), fd, NULL, real(fd, parts, count))
NUMBER(ssize_t, WRITE, writev, (int fd, const struct iovec *parts, int count), fd, NULL, real(fd, parts, count))
NUMBER(int, FSYNC, fsync, (int fd), fd, NULL, real(fd))
NUMBER(int, FSYNC, fdatasync, (int fd), fd, NULL, real(fd))
NUMBER(int, RENAME, rename, (const char *from, const char *to), AT_FDCWD, from, real(from, to))
NUMBER(int, RENAME, renameat, (int in, const char *from, int out, const char *to), in, from, real(in, from, out, to))
NUMBER(int, RENAME, renameat2, (int in, const char *from, int out, const char *to, unsigned flags), in, from,
       real(in, from, out, to, flags))
NUMBER(int, RENAME, symlink, (const char *to, const char *path), AT_FDCWD, path, real(to, path))
NUMBER(int, RENAME, symlinkat, (const char *to, int fd, const char *path), fd, path, real(to, fd, path))
NUMBER(int, RENAME, link, (const char *from, const char *to), AT_FDCWD, from, real(from, to))
NUMBER(int, MKDIR, mkdir, (const char *path, mode_t mode), AT_FDCWD, path, real(path, mode))
NUMBER(int, MKDIR, mkdirat, (int fd, const char *path, mode_t mode), fd, path, real(fd, path, mode))
NUMBER(int, UNLINK, unlink, (const char *path), AT_FDCWD, path, real(path))
NUMBER(int, UNLINK, unlinkat, (int fd, const char *path, int flags), fd, path, real(fd, path, flags))
NUMBER(int, UNLINK, rmdir, (const char *path), AT_FDCWD, path, real(path))
NUMBER(int, TRUNCATE, ftruncate, (int fd, off_t size), fd, NULL, real(fd, size))
NUMBER(int, TRUNCATE, ftruncate64, (int fd, off64_t size), fd, NULL, real(fd, size))
NUMBER(int, STAT, stat, (const char *path, struct stat *state), AT_FDCWD, path, real(path, state))
NUMBER(int, STAT, stat64, (const char *path, struct stat64 *state), AT_FDCWD, path, real(path, state))
NUMBER(int, STAT, lstat, (const char *path, struct stat *state), AT_FDCWD, path, real(path, state))
NUMBER(int, STAT, lstat64, (const char *path, struct stat64 *state), AT_FDCWD, path, real(path, state))
NUMBER(int, STAT, fstat, (int fd, struct stat *state), fd, NULL, real(fd, state))
NUMBER(int, STAT, fstat64, (int fd, struct stat64 *state), fd, NULL, real(fd, state))
NUMBER(int, STAT, fstatat, (int fd, const char *path, struct stat *state, int flags), fd, path,
       real(fd, path, state, flags))
NUMBER(int, STAT, fstatat64, (int fd, const char *path, struct stat64 *state, int flags), fd, path,
       real(fd, path, state, flags))
NUMBER(int, STAT, access, (const char *path, int mode), AT_FDCWD, path, real(path, mode))
NUMBER(int, STAT, faccessat, (int fd, const char *path, int mode, int flags), fd, path, real(fd, path, mode, flags))
POINTER(DIR *, LIST, opendir, (const char *path), AT_FDCWD, path, real(path))
POINTER(DIR *, LIST, fdopendir, (int fd), fd, NULL, real(fd))
NUMBER(int, NETWORK, connect, (int fd, const struct sockaddr *to, socklen_t size), fd, NULL, real(fd, to, size))
AMOUNT(NETWORK, send, (int fd, const void *data, size_t size, int flags), real(fd, data, size, flags))
AMOUNT(NETWORK, recv, (int fd, void *data, size_t size, int flags), real(fd, data, size, flags))

AMOUNT(NETWORK, sendto, (int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length),
       real(fd, data, size, flags, to, length))
AMOUNT(NETWORK, recvfrom, (int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length),
       real(fd, data, size, flags, from, length))
NUMBER(ssize_t, NETWORK, sendmsg, (int fd, const struct msghdr *message, int flags), fd, NULL, real(fd, message, flags))
NUMBER(ssize_t, NETWORK, recvmsg, (int fd, struct msghdr *message, int flags), fd, NULL, real(fd, message, flags))
NUMBER(int, NETWORK, accept, (int fd, struct sockaddr *from, socklen_t *size), fd, NULL, real(fd, from, size))
NUMBER(int, NETWORK, accept4, (int fd, struct sockaddr *from, socklen_t *size, int flags), fd, NULL,
       real(fd, from, size, flags))
NUMBER(int, NETWORK, shutdown, (int fd, int how), fd, NULL, real(fd, how))
NUMBER(int, NETWORK, socket, (int domain, int type, int protocol), -1, NULL, real(domain, type, protocol))

NUMBER(pid_t, SPAWN, fork, (void), -1, NULL, real())
NUMBER(int, SPAWN, execve, (const char *path, char *const words[], char *const variables[]), -1, path,
       real(path, words, variables))
pid_t vfork(void) { return fork(); } /* as POSIX allows: nothing here may return into a frame that is gone */

/* These return the number of the error. */
#define RETURNED(kind, name, parameters, call) \
    int name parameters { REAL(name); int before = errno; \
        if (strikes(kind, #name, -1, NULL) != -1) return call; \
        int number = errno; errno = before; return number; }
RETURNED(SPAWN, posix_spawn, (pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
         const posix_spawnattr_t *how, char *const words[], char *const variables[]),
         real(pid, path, actions, how, words, variables))
RETURNED(THREAD, pthread_create, (pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *given),
         real(thread, how, run, given))

/* dlsym itself takes memory, so these have their second names in glibc. */
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static int no_memory(const char *name, size_t size)
{
    char told[32];
    if (size < LEAST || !asked(MEMORY))
        return 0;
    snprintf(told, sizeof told, "%zu bytes", size);
    return strikes(MEMORY, name, -1, told) == -1;
}

void *malloc(size_t size) { return no_memory("malloc", size) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size)
{
    return no_memory("calloc", count * size) ? NULL : __libc_calloc(count, size);
}
void *realloc(void *old, size_t size) { return no_memory("realloc", size) ? NULL : __libc_realloc(old, size); }
void *memalign(size_t line, size_t size) { return no_memory("memalign", size) ? NULL : __libc_memalign(line, size); }
void *aligned_alloc(size_t line, size_t size)
{
    return no_memory("aligned_alloc", size) ? NULL : __libc_memalign(line, size);
}
int posix_memalign(void **place, size_t line, size_t size)
{
    void *found = no_memory("posix_memalign", size) ? NULL : __libc_memalign(line, size);
    if (!found)
        return ENOMEM;
    *place = found;
    return 0;
}

/* Closing fails after it is done, as on a full network disk. */
int close(int fd)
{
    REAL(close);
    int struck = strikes(CLOSE, "close", fd, NULL), number = errno;
    int done = real(fd);
    if (struck != -1)
        return done;
    errno = number;
    return -1;
}

#define MAPPING(name, offset) \
    void *name(void *place, size_t size, int protection, int flags, int fd, offset at) \
    { \
        REAL(name); \
        if (fd >= 0 ? strikes(MMAP, #name, fd, NULL) == -1 : no_memory(#name, size)) \
            return MAP_FAILED; \
        return real(place, size, protection, flags, fd, at); \
    }
MAPPING(mmap, off_t)
MAPPING(mmap64, off64_t)

/* The inner writes of stdio do not pass through here, so its own calls do. */
size_t fwrite(const void *data, size_t size, size_t count, FILE *file)
{
    REAL(fwrite);
    int struck = strikes(WRITE, "fwrite", fileno(file), NULL);
    return struck == -1 ? 0 : real(data, size, struck == SHORT ? half(count) : count, file);
}

size_t fread(void *data, size_t size, size_t count, FILE *file)
{
    REAL(fread);
    int struck = strikes(READ, "fread", fileno(file), NULL);
    return struck == -1 ? 0 : real(data, size, struck == SHORT ? half(count) : count, file);
}
