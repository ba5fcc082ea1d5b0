/*
 * The CNI plugin: hands a runtime's call to the daemon of this node and prints its answer.
 *
 * The call becomes one HTTP request on a unix socket: the CNI_* variables as headers, standard input as
 * the body. Status 200 means success; the body is what the runtime wants to read either way. Without a
 * daemon, ADD and the others fail with "try again later" (code 11) and the runtime tries again; a DEL
 * must not be lost, so its request is put into the spool, which the daemon replays, and succeeds.
 *
 * Static, small and without threads, because it is started for every pod.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_STDIN (1 << 20)
#define MAX_REQUEST (MAX_STDIN + (1 << 16))
#define MAX_ANSWER (4 << 20)
#define ANSWER_TIMEOUT_S 60

static const char *const variables[] = {"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH", "CNI_NETNS_OVERRIDE"};

static int fail(int code, const char *message, const char *details)
{
	printf("{\"cniVersion\":\"1.0.0\",\"code\":%d,\"msg\":\"%s\",\"details\":\"%s\"}\n", code, message, details);
	return 1;
}

static ssize_t read_all(int fd, char *buffer, size_t size)
{
	size_t have = 0;
	while (have < size) {
		ssize_t got = read(fd, buffer + have, size - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		have += got;
	}
	return have;
}

static int write_all(int fd, const char *buffer, size_t size)
{
	while (size > 0) {
		ssize_t put = write(fd, buffer, size);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		buffer += put;
		size -= put;
	}
	return 0;
}

static const char *path_of(const char *variable, const char *otherwise)
{
	const char *path = getenv(variable);
	return path && *path ? path : otherwise;
}

/* Sends the request and reads the answer to its end; the answer's length, or -1. */
static ssize_t ask_daemon(const char *request, size_t size, char *answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	const char *path = path_of("CALICO_CNI_SOCKET", "/var/run/calico/cni.sock");
	if (strlen(path) >= sizeof address.sun_path)
		return -1;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	ssize_t length = -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && write_all(fd, request, size) == 0)
		length = read_all(fd, answer, MAX_ANSWER);
	close(fd);
	return length;
}

/* Keeps a request for the daemon: written beside and renamed, so that a reader never sees half of one. */
static int spool(const char *request, size_t size)
{
	const char *dir = path_of("CALICO_CNI_SPOOL", "/var/lib/calico/cni/spool");
	char parent[4096], temporary[4200], final[4200];
	struct timespec now;
	snprintf(parent, sizeof parent, "%s", dir);
	for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(parent, 0755);
		*slash = '/';
	}
	mkdir(parent, 0700);
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(temporary, sizeof temporary, "%s/.%ld.%09ld.%d", parent, (long)now.tv_sec, now.tv_nsec, getpid());
	snprintf(final, sizeof final, "%s/%ld.%09ld.%d.request", parent, (long)now.tv_sec, now.tv_nsec, getpid());
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	int bad = write_all(fd, request, size) < 0 || fsync(fd) < 0;
	bad |= close(fd) < 0;
	if (bad || rename(temporary, final) < 0) {
		unlink(temporary);
		return -1;
	}
	return 0;
}

int main(void)
{
	const char *command = getenv("CNI_COMMAND");
	if (!command)
		return fail(4, "CNI_COMMAND is not set", "this program is a CNI plugin: it is called by a container runtime");
	if (strcmp(command, "VERSION") == 0) {
		puts("{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}");
		return 0;
	}

	char *input = malloc(MAX_STDIN + 1), *request = malloc(MAX_REQUEST), *answer = malloc(MAX_ANSWER + 1);
	if (!input || !request || !answer)
		return fail(5, "out of memory", "");
	ssize_t body = read_all(0, input, MAX_STDIN + 1);
	if (body < 0)
		return fail(5, "standard input could not be read", strerror(errno));
	if (body > MAX_STDIN)
		return fail(6, "the network configuration on standard input is larger than 1 MiB", "");

	size_t size = snprintf(request, MAX_REQUEST, "POST /cni HTTP/1.0\r\nContent-Length: %zd\r\n", body);
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
		const char *value = getenv(variables[i]);
		if (!value)
			continue;
		if (strpbrk(value, "\r\n"))
			return fail(4, "a CNI variable contains a line break", variables[i]);
		size += snprintf(request + size, MAX_REQUEST - size, "X-%s: %s\r\n", variables[i], value);
		if (size > MAX_REQUEST - MAX_STDIN - 4)
			return fail(4, "the CNI variables are longer than 64 KiB", "");
	}
	memcpy(request + size, "\r\n", 2);
	memcpy(request + size + 2, input, body);
	size += 2 + body;

	ssize_t length = ask_daemon(request, size, answer);
	if (length > 0) {
		answer[length] = 0;
		char *content = strstr(answer, "\r\n\r\n");
		if (content && strncmp(answer, "HTTP/1.", 7) == 0) {
			fputs(content + 4, stdout);
			return strncmp(answer + 8, " 200", 4) == 0 ? 0 : 1;
		}
	}
	if (strcmp(command, "DEL") == 0) {
		if (spool(request, size) == 0)
			return 0;
		return fail(11, "the Calico CNI daemon of this node does not answer, and the call could not be kept for later", strerror(errno));
	}
	return fail(11, "the Calico CNI daemon of this node does not answer; try again later", "is the calico-cni pod of this node running?");
}
