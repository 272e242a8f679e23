// Nothing stays behind: a process that calls adopt_orphans() becomes the parent of every descendant whose own
// parent dies, and end_descendants() ends them all. contain() runs one command that way (ops/test runs ctest
// in it).
#pragma once

#include <string>
#include <vector>

namespace barid::supervisor {

void adopt_orphans();  // PR_SET_CHILD_SUBREAPER

// SIGKILLs and reaps every descendant of this process; returns "pid name" of those that were still alive.
std::vector<std::string> end_descendants();

// Runs the command, passing SIGINT, SIGTERM and SIGHUP on to it; then ends what it left behind and says so on
// standard error. Returns the command's exit code (128 + signal if it was killed), or 1 if it left something
// running.
int contain(const std::vector<std::string>& argv);

}  // namespace barid::supervisor
