/*
 * The first process of a container: init [--] PROGRAM [ARGUMENT...]
 *
 * Runs the program as its child, hands every signal down to it, and reaps what others leave behind. A program that
 * ends by itself is started again at once: a dataplane must not wait for a kubelet's back-off. init ends, with the
 * program's exit code, when the program
 *   - ended with 0, or after SIGTERM, SIGINT or SIGQUIT was handed down to it;
 *   - ended with 2 (its configuration cannot work), 126 or 127 (it cannot be started);
 *   - failed within EARLY_MS of its start EARLY_LIMIT times in a row.
 * A program that a signal ended counts as 128 + the signal's number, as in a shell.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EARLY_MS = 1000, EARLY_LIMIT = 5, BAD_CONFIGURATION = 2, CANNOT_RUN = 126, NOT_FOUND = 127 };

static long long now_ms(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* One line as the services write theirs. */
static void tell(const char *level, const char *message, int status, int early) {
	struct timespec t;
	struct tm utc;
	char time[32];
	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &utc);
	strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
	bool signaled = WIFSIGNALED(status);
	printf("{\"level\":\"%s\",\"time\":\"%s.%03ldZ\",\"service\":\"init\",\"%s\":%d,\"earlyFailures\":%d,\"msg\":\"%s\"}\n", level, time,
	       t.tv_nsec / 1000000, signaled ? "signal" : "code", signaled ? WTERMSIG(status) : WEXITSTATUS(status), early, message);
	fflush(stdout);
}

static pid_t start(char **command, const sigset_t *signals_before) {
	pid_t pid = fork();
	if (pid < 0) {
		perror("init: fork");
		exit(CANNOT_RUN);
	}
	if (pid > 0) return pid;
	sigprocmask(SIG_SETMASK, signals_before, NULL);
	execvp(command[0], command);
	fprintf(stderr, "init: %s: %s\n", command[0], strerror(errno));
	_exit(errno == ENOENT ? NOT_FOUND : CANNOT_RUN);
}

/* Reaps every process that has ended. True when the child was among them; then *status is its status. */
static bool reap(pid_t child, int *status) {
	bool ended = false;
	int other;
	for (pid_t pid; (pid = waitpid(-1, &other, WNOHANG)) > 0;) {
		if (pid != child) continue;
		ended = true;
		*status = other;
	}
	return ended;
}

int main(int argc, char **argv) {
	char **command = argv + 1;
	if (argc > 1 && strcmp(command[0], "--") == 0) command++;
	if (command[0] == NULL) {
		fputs("usage: init [--] PROGRAM [ARGUMENT...]\n", stderr);
		return BAD_CONFIGURATION;
	}
	/* Where another process is the first one, orphans come here nevertheless. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);

	bool stopping = false;
	int early = 0;
	long long started = now_ms();
	pid_t child = start(command, &before);
	for (;;) {
		int signal = sigwaitinfo(&all, NULL);
		if (signal < 0) continue;
		if (signal != SIGCHLD) {
			if (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT) stopping = true;
			kill(child, signal);
			continue;
		}
		int status = 0;
		if (!reap(child, &status)) continue;
		int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (stopping || code == 0) return code;
		early = now_ms() - started < EARLY_MS ? early + 1 : 0;
		if (code == BAD_CONFIGURATION || code == CANNOT_RUN || code == NOT_FOUND || early >= EARLY_LIMIT) {
			tell("fatal", "The program cannot work as it is", status, early);
			return code;
		}
		tell("warn", "The program ended, it is started again", status, early);
		started = now_ms();
		child = start(command, &before);
	}
}
