/* The floor: the least that a container start can be, with nothing read, resolved, recorded or
 * limited. One process in new namespaces, an overlay root with /proc, /dev, /dev/pts and /sys,
 * pivot_root, exec, wait, and the overlay's folders removed.
 *
 * floor LOWER STATE COMMAND [ARGUMENT...]; the exit code is the command's, 125 when we fail. */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPACES \
    (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static void must(long result, const char *what) {
    if (result < 0) {
        perror(what);
        _exit(125);
    }
}

static void inside(const char *options, char **command) {
    const unsigned long quiet = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    must(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0), "make / private");
    must(mount("overlay", "root", "overlay", 0, options), "mount overlay");
    must(chdir("root"), "enter the root");
    must(mount("proc", "proc", "proc", quiet, 0), "mount proc");
    must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64k"), "mount dev");
    must(mkdir("dev/pts", 0755), "make dev/pts");
    must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=666"),
         "mount dev/pts");
    must(mknod("dev/null", S_IFCHR | 0666, makedev(1, 3)), "make dev/null");
    must(mount("sysfs", "sys", "sysfs", quiet | MS_RDONLY, 0), "mount sys");
    must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", MNT_DETACH), "drop the old root");
    must(chdir("/"), "enter /");
    execv(command[0], command);
    must(-1, command[0]);
}

int main(int count, char **words) {
    char home[200], options[1200];
    if (count < 4)
        return 125;
    snprintf(home, sizeof home, "%s/%d", words[2], getpid());
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=upper,workdir=work", words[1]);
    must(mkdir(home, 0700), home);
    must(chdir(home), home);
    must(mkdir("upper", 0755) | mkdir("work", 0700) | mkdir("root", 0755), "make folders");

    struct clone_args how = {.flags = SPACES, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &how, sizeof how);
    must(child, "clone3");
    if (child == 0)
        inside(options, words + 3);
    int status;
    must(waitpid(child, &status, 0), "wait");
    rmdir("work/work");
    must(rmdir("work") | rmdir("upper") | rmdir("root") | rmdir(home), "remove folders");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
