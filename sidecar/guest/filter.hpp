// A filter of system calls that bottle-init puts on itself and so on everything of the bottle's, where no engine does
// it: in machines of a tool that has no such option.
#pragma once

namespace bot_bottle::guest {

/// Refuses with EPERM what has no use in a bottle and leads out of it, or into the kernel's less trodden parts: sockets
/// of other families than unix, IPv4, IPv6 and netlink (vsock leads to the machine's host), new namespaces, mounts,
/// ptrace, keyrings, bpf, io_uring, userfaultfd, modules, TIOCSTI. Needs no_new_privs (drop_privileges). False and
/// errno where the kernel has no filters.
bool install_filter();

}  // namespace bot_bottle::guest
