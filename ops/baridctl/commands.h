// What baridctl can do: one function a command. Each prints its result on standard output, returns the exit
// code, and throws with one sentence that says what failed and what to do. One thread.
#pragma once

#include <string>

#include "base/config.h"

namespace barid::ctl {

int init_secrets(const std::string& dir);
int migrate(const Config& config);
int apply_topology(const Config& config);
int show_topology(const Config& config);

// Is each part there and able to work? One line a part; 1 if any is not.
int health(const Config& config);

// What the supervisor of an instance runs and whether a message could be delivered. 0 ready, 1 not ready, 3
// not running.
int status(const std::string& data_dir, const std::string& run_dir, bool json);

// The parts that health and status look at: empty when it works, else why not.
std::string why_not_nats(const Config& config);
std::string why_not_postgres(const Config& config);
std::string why_not_ready(std::uint16_t observe_port);  // a process's /readyz

}  // namespace barid::ctl
