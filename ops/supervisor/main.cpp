// barid-supervisor: runs and restarts the processes of one instance; see --help.
#include <signal.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/log.h"
#include "ops/supervisor/contain.h"
#include "ops/supervisor/ctl.h"
#include "ops/supervisor/probe.h"
#include "ops/supervisor/supervisor.h"

namespace {

using namespace barid::supervisor;

struct RunOptions {
  std::string processes, run_dir;
  bool quiet = false, with_parent = false;
};

int run(const RunOptions& options) {
  if (options.with_parent) {
    const pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) return 0;
  }
  umask(077);  // logs, sockets and whatever the processes write are their user's alone
  Spec spec = load_spec(options.processes);
  auto logger = std::make_shared<spdlog::logger>("supervisor");
  logger->sinks().push_back(std::make_shared<spdlog::sinks::rotating_file_sink_st>(
      spec.log_dir + "/supervisor.log", spec.log_bytes_max, spec.log_files_max - 1));
  if (!options.quiet) logger->sinks().push_back(std::make_shared<spdlog::sinks::stderr_sink_st>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L supervisor %v");
  logger->flush_on(spdlog::level::debug);
  spdlog::set_default_logger(logger);
  const auto again = [&options, log_dir = spec.log_dir] {
    Spec next = load_spec(options.processes);
    next.log_dir = log_dir;
    return next;
  };
  return Supervisor(std::move(spec), options.run_dir, again).run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs and restarts the processes of one Barid instance.", "barid-supervisor");
  app.require_subcommand(1);

  RunOptions options;
  CLI::App* run_command =
      app.add_subcommand("run", "start the processes and keep them running until SIGTERM or SIGINT");
  run_command->add_option("--processes", options.processes, "the list of processes (TOML)")->required();
  run_command->add_option("--run-dir", options.run_dir, "where state.json, the lock and the control socket are")
      ->required();
  run_command->add_flag("--quiet", options.quiet, "log to the file only");
  run_command->add_flag("--with-parent", options.with_parent, "stop when the parent process dies");

  std::string run_dir, verb, name;
  CLI::App* ctl_command = app.add_subcommand("ctl", "control a running supervisor");
  ctl_command->add_option("--run-dir", run_dir, "the --run-dir of that supervisor")->required();
  ctl_command->add_option("command", verb, "status, restart, stop, start, reload, wait-up or shutdown")
      ->required()
      ->check(CLI::IsMember({"status", "restart", "stop", "start", "reload", "wait-up", "shutdown"}));
  ctl_command->add_option("name", name, "which process");

  std::string target;
  CLI::App* probe_command =
      app.add_subcommand("probe", "exit 0 if ADDRESS:PORT accepts, or ADDRESS:PORT/PATH answers 200");
  probe_command->add_option("target", target)->required();

  std::vector<std::string> command;
  CLI::App* contain_command = app.add_subcommand("contain", "run a command, then end whatever it left running");
  contain_command->add_option("command", command)->required();
  contain_command->positionals_at_end();

  CLI11_PARSE(app, argc, argv);
  try {
    if (*run_command) return run(options);
    if (*probe_command) return answers(target) ? 0 : 1;
    if (*contain_command) return contain(command);
    if (verb == "wait-up") return ctl_wait_up(run_dir);
    if (verb == "shutdown") return ctl_shutdown(run_dir);
    return ctl(run_dir, name.empty() ? verb : verb + " " + name);
  } catch (const std::exception& error) {
    std::cerr << "barid-supervisor: " << error.what() << "\n";
    return 1;
  }
}
