// barid-worker: reads the configuration, wires the roles, waits for a signal.
#include <CLI/CLI.hpp>
#include <csignal>

#include "base/config.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/observe.h"
#include "broker/control.h"
#include "storage/pool.h"
#include "workers/delivery/owner.h"
#include "workers/directory/code_sender.h"
#include "workers/directory/secrets.h"
#include "workers/directory/service.h"
#include "workers/fanout/fanout.h"

namespace {

// The directory role: Postgres, secrets, the code sender and the service on top, in the order they need each other.
struct DirectoryRole {
  DirectoryRole(const barid::Config& config, barid::broker::Control& control, barid::Observe& observe)
      : pool(config.postgres.url, config.postgres.connections),
        secrets(barid::directory::DirectorySecrets::load(config.directory.secrets_dir)),
        sender(barid::directory::make_code_sender(config.directory, observe)),
        service(control, pool, config.directory, secrets, *sender, observe, config.media) {
    service.start(config.postgres.connections);
  }
  barid::storage::Pool pool;
  barid::directory::DirectorySecrets secrets;
  std::unique_ptr<barid::directory::CodeSender> sender;
  barid::directory::DirectoryService service;
};

}  // namespace

int main(int argc, char** argv) {
  using namespace barid;
  CLI::App app{
      "barid-worker: owns partitions and delivers their mail; expands group messages; answers directory requests"};
  std::string config_file, name;
  std::vector<std::string> roles;
  int observe_port = -1;
  app.add_option("--config", config_file, "TOML file, see ops/barid.toml.example")->required();
  app.add_option("--name", name, "this worker's name, unique in the cluster (default: from the configuration)");
  app.add_option("--roles", roles, "delivery,fanout,directory (default: from the configuration)")->delimiter(',');
  app.add_option("--observe-port", observe_port, "loopback port of /metrics, /healthz and /readyz; 0: none");
  CLI11_PARSE(app, argc, argv);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread: only sigwait below takes them
  try {
    Config config = load_config(config_file);
    if (!name.empty()) config.worker.name = name;
    if (!roles.empty()) config.worker.roles = roles;
    if (observe_port >= 0) config.worker.observe_port = static_cast<std::uint16_t>(observe_port);
    init_log(config.log, config.worker.name);
    crypto::init_crypto();

    const auto has_role = [&](const char* role) {
      return std::find(config.worker.roles.begin(), config.worker.roles.end(), role) != config.worker.roles.end();
    };
    broker::Control control(config.nats, config.worker.name);
    std::unique_ptr<delivery::Owner> owner;
    std::unique_ptr<fanout::Fanout> fanout;
    std::unique_ptr<DirectoryRole> directory;
    std::atomic<bool> up{false};
    Observe observe(config.worker.name, config.worker.observe_port, [&]() -> std::string {
      if (!up) return "starting";
      if (!control.connected()) return "nats-server can't be reached";
      if (directory)
        if (auto missing = directory->service.not_ready(); !missing.empty()) return missing;
      if (fanout)
        if (auto missing = fanout->missing(); !missing.empty()) return missing;
      return owner ? owner->missing() : std::string();
    });
    if (has_role("directory")) directory = std::make_unique<DirectoryRole>(config, control, observe);
    if (has_role("delivery")) owner = std::make_unique<delivery::Owner>(config, control, observe);
    if (has_role("fanout")) fanout = std::make_unique<fanout::Fanout>(config, control, observe);
    up = true;
    int signal = 0;
    sigwait(&signals, &signal);
    SPDLOG_INFO("stopping on signal {}", signal);
    up = false;
    fanout.reset();
    owner.reset();
    directory.reset();
  } catch (const std::exception& error) {
    SPDLOG_CRITICAL("{}", error.what());
    return 1;
  }
  return 0;
}
