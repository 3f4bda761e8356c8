/* A disk that does not answer: whoever syncs a file waits for as long as the file named by STALLED_DISK_MARK is there.
   To be preloaded. */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_for_the_disk(void) {
    const char *mark = getenv("STALLED_DISK_MARK");
    while (mark != NULL && access(mark, F_OK) == 0)
        usleep(10000);
    errno = 0;
}

int fsync(int file) {
    wait_for_the_disk();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    wait_for_the_disk();
    return (int)syscall(SYS_fdatasync, file);
}
