/* Preloaded into a server that would listen on all interfaces, and has no option for it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *to, socklen_t size) {
	int (*next)(int, const struct sockaddr *, socklen_t) = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
	if (to->sa_family == AF_INET) {
		struct sockaddr_in here = *(const struct sockaddr_in *)to;
		here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return next(fd, (struct sockaddr *)&here, sizeof here);
	}
	if (to->sa_family == AF_INET6) {
		struct sockaddr_in6 here = *(const struct sockaddr_in6 *)to;
		here.sin6_addr = in6addr_loopback;
		return next(fd, (struct sockaddr *)&here, sizeof here);
	}
	return next(fd, to, size);
}
