/* The only program of a test container: greets whoever connects to port 8080, and ends on SIGTERM as a first process must by itself. */
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(int number)
{
	(void)number;
	_exit(0);
}

int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
	int server = socket(AF_INET, SOCK_STREAM, 0);
	signal(SIGTERM, end);
	if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 16) != 0)
		return 1;
	for (;;) {
		int client = accept(server, NULL, NULL);
		if (client < 0)
			continue;
		if (send(client, "hello\n", 6, MSG_NOSIGNAL) < 0)
			return 1;
		close(client);
	}
}
