// What `barid-supervisor ctl` does: the client's side of the control socket.
#pragma once

#include <string>

namespace barid::supervisor {

// One command ("status", "restart NAME", "stop NAME", "start NAME", "reload", "shutdown"). Prints the answer. Exit
// code.
int ctl(const std::string& run_dir, const std::string& command);

// Remove state.json before the start. Until everything is up (0) or the start failed or the supervisor is gone (1); a
// line for each step on the way.
int ctl_wait_up(const std::string& run_dir);

// Asks for the shutdown and waits until the supervisor is gone. 0 too when none was running.
int ctl_shutdown(const std::string& run_dir);

}  // namespace barid::supervisor
