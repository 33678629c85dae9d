// Another system's headers, on Linux: forced into each source (-include) of the build that
// `tools/check --portable` makes, and seen by its feature tests. What not every system has is
// neither declared nor defined behind it, so that code which relies on it doesn't compile; what
// takes its place elsewhere has a double here. Tests themselves see the headers as they are
// (HINGE_UNMASKED).
//
// HINGE_MASK_EPOLL masks too what the epoll backend needs, /proc among it; FreeBSD's options that
// tell of a listener's queue are there then.
#pragma once
#ifdef HINGE_UNMASKED
#define HINGE_MASKED
#else

// The headers declare these under another name, which nobody uses.
#define accept4 masked_accept4
#define dup3 masked_dup3
#define pipe2 masked_pipe2
#define ppoll masked_ppoll
#define prctl masked_prctl
#define pthread_attr_setaffinity_np masked_pthread_attr_setaffinity_np
#define recvmmsg masked_recvmmsg
#define sched_getaffinity masked_sched_getaffinity
#define sched_setaffinity masked_sched_setaffinity
#define sendmmsg masked_sendmmsg
#define strerrorname_np masked_strerrorname_np
#define tcp_info masked_tcp_info
#define ucred masked_ucred
#define MSG_CMSG_CLOEXEC MASKED_MSG_CMSG_CLOEXEC
#define SOCK_CLOEXEC MASKED_SOCK_CLOEXEC
#define SOCK_NONBLOCK MASKED_SOCK_NONBLOCK
#define MSG_MORE MASKED_MSG_MORE
#define MSG_NOSIGNAL MASKED_MSG_NOSIGNAL
#ifdef HINGE_MASK_EPOLL
#define epoll_create1 masked_epoll_create1
#define epoll_ctl masked_epoll_ctl
#define epoll_wait masked_epoll_wait
#define eventfd masked_eventfd
#endif

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#define sockaddr_un masked_linux_sockaddr_un  // <sys/un.h> has one too
#include <linux/un.h>
#undef sockaddr_un
#ifdef HINGE_MASK_EPOLL
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif

#undef accept4
#undef dup3
#undef pipe2
#undef ppoll
#undef prctl
#undef pthread_attr_setaffinity_np
#undef recvmmsg
#undef sched_getaffinity
#undef sched_setaffinity
#undef sendmmsg
#undef strerrorname_np
#undef tcp_info
#undef ucred
#undef MSG_CMSG_CLOEXEC
#undef SOCK_CLOEXEC
#undef SOCK_NONBLOCK
#undef MSG_MORE
#undef MSG_NOSIGNAL
#ifdef HINGE_MASK_EPOLL
#undef epoll_create1
#undef epoll_ctl
#undef epoll_wait
#undef eventfd
#endif

// For the doubles.
enum {
  MASKED_SO_COOKIE = SO_COOKIE,
  MASKED_SO_PEERCRED = SO_PEERCRED,
  MASKED_TCP_INFO = TCP_INFO,
  MASKED_TCP_KEEPIDLE = TCP_KEEPIDLE
};

#undef CPU_SETSIZE
#undef ENONET
#undef ENOSR
#undef IP_BIND_ADDRESS_NO_PORT
#undef IP_FREEBIND
#undef SO_ATTACH_REUSEPORT_CBPF
#undef SO_BINDTODEVICE
#undef SO_COOKIE
#undef SO_DETACH_REUSEPORT_BPF
#undef SO_INCOMING_CPU
#undef SO_MARK
#undef SO_MEMINFO
#undef SO_PEERCRED
#undef TCP_DEFER_ACCEPT
#undef TCP_FASTOPEN
#undef TCP_INFO
#undef TCP_KEEPCNT
#undef TCP_KEEPIDLE
#undef TCP_KEEPINTVL
#undef TCP_USER_TIMEOUT
#undef UNIX_PATH_MAX

// A smaller sockaddr_un, as BSD has it.
#define sockaddr_un masked_sockaddr_un
struct masked_sockaddr_un {
  sa_family_t sun_family;
  char sun_path[104];
};

#include "doubles.hpp"

#endif
