// barid-worker: reads the configuration, wires the roles, waits for a signal.
#include <CLI/CLI.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/observe.h"
#include "broker/continuity.h"
#include "broker/control.h"
#include "broker/drain_desk.h"
#include "broker/guard.h"
#include "broker/roles.h"
#include "storage/pool.h"
#include "storage/stream_marks.h"
#include "storage/url.h"
#include "workers/delivery/drain.h"
#include "workers/delivery/owner.h"
#include "workers/directory/code_sender.h"
#include "workers/directory/secrets.h"
#include "workers/directory/service.h"
#include "workers/fanout/fanout.h"

namespace {

using namespace barid;

// The directory role: a NATS user, Postgres, secrets, the code sender and the service, in the order of need.
struct DirectoryRole {
  DirectoryRole(const Config& config, Observe& observe)
      : control(broker::as_role(config.nats, broker::kDirectoryRole), config.worker.name + " directory"),
        pool(storage::directory_url(config.postgres), config.postgres.connections),
        secrets(directory::DirectorySecrets::load(config.directory.secrets_dir)),
        sender(directory::make_code_sender(config.directory, observe)),
        service(control, pool, config.directory, secrets, *sender, observe, config.media) {
    service.start(config.postgres.connections);
  }
  broker::Control control;  // a user of its own: the directory may do what owners may not, and the reverse
  storage::Pool pool;
  directory::DirectorySecrets secrets;
  std::unique_ptr<directory::CodeSender> sender;
  directory::DirectoryService service;
};

// What the guard keeps outside of the broker: in Postgres, which only the directory role has.
barid::broker::Guard::Hooks guard_hooks(DirectoryRole* directory, prometheus::Counter& renewals) {
  using barid::broker::SavedMarks;
  barid::broker::Guard::Hooks hooks;
  hooks.renewed = [&renewals] { renewals.Increment(); };
  if (directory == nullptr) return hooks;
  hooks.load = [directory]() -> std::optional<SavedMarks> {
    const auto row = barid::storage::StreamMarks(directory->pool).load();
    if (!row) return std::nullopt;
    SavedMarks saved{row->incarnation, row->boot, {}};
    for (const auto& mark : nlohmann::json::parse(row->marks))
      saved.marks.push_back({mark.value("stream", ""), mark.value("created", ""),
                             barid::StreamSeq(mark.value("last", std::uint64_t{0}))});
    return saved;
  };
  hooks.save = [directory](const SavedMarks& saved) {
    auto marks = nlohmann::json::array();
    for (const auto& mark : saved.marks)
      marks.push_back({{"stream", mark.stream}, {"created", mark.created}, {"last", mark.last.value}});
    barid::storage::StreamMarks(directory->pool).save({saved.incarnation, saved.boot, marks.dump()});
  };
  return hooks;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "barid-worker: owns partitions and delivers their mail; expands group messages; answers directory requests"};
  std::string config_file, name, bus_endpoint;
  std::vector<std::string> roles;
  int observe_port = -1;
  app.add_option("--config", config_file, "TOML file, see ops/barid.toml.example")->required();
  app.add_option("--name", name, "this worker's name, unique in the cluster (default: from the configuration)");
  app.add_option("--roles", roles, "delivery,fanout,directory (default: from the configuration)")->delimiter(',');
  app.add_option("--bus-endpoint", bus_endpoint, "where edges reach this worker (default: from the configuration)");
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
    if (!bus_endpoint.empty()) config.worker.bus_endpoint = bus_endpoint;
    if (!roles.empty()) config.worker.roles = roles;
    if (observe_port >= 0) config.worker.observe_port = static_cast<std::uint16_t>(observe_port);
    init_log(config.log, config.worker.name);
    crypto::init_crypto();

    const auto has_role = [&](const char* role) {
      return std::find(config.worker.roles.begin(), config.worker.roles.end(), role) != config.worker.roles.end();
    };
    config.nats = broker::as_role(config.nats, broker::kWorkerRole);
    broker::Control control(config.nats, config.worker.name);
    broker::HighWater high_water(broker::HighWater::of_workers(config.nats.inbox_shards));
    std::unique_ptr<broker::Guard> guard;
    std::unique_ptr<delivery::Owner> owner;
    std::unique_ptr<fanout::Fanout> fanout;
    std::unique_ptr<DirectoryRole> directory;
    std::atomic<bool> up{false};
    Observe observe(config.worker.name, config.worker.observe_port, [&]() -> std::string {
      if (!up) return "starting";
      if (!control.connected() || (directory && !directory->control.connected())) return "nats-server can't be reached";
      if (!guard->settled()) return "the streams are being looked at";
      if (directory)
        if (auto missing = directory->service.not_ready(); !missing.empty()) return missing;
      if (fanout)
        if (auto missing = fanout->missing(); !missing.empty()) return missing;
      return owner ? owner->missing() : std::string();
    });
    if (has_role("directory")) directory = std::make_unique<DirectoryRole>(config, observe);
    guard = std::make_unique<broker::Guard>(
        control, config, high_water,
        guard_hooks(directory.get(), observe.counter("barid_incarnations_total",
                                                     "Times that the broker was found to have lost messages")));
    if (has_role("delivery")) owner = std::make_unique<delivery::Owner>(config, control, high_water, observe);
    if (has_role("fanout")) fanout = std::make_unique<fanout::Fanout>(config, control, observe);
    std::vector<delivery::Lease*> leases;
    if (owner) leases.push_back(&owner->lease());
    if (fanout) leases.push_back(&fanout->lease());
    auto desk =
        std::make_unique<broker::DrainDesk>(control, config.worker.name, "worker", delivery::drain_hooks(leases));
    up = true;
    int signal = 0;
    sigwait(&signals, &signal);
    SPDLOG_INFO("stopping on signal {}", signal);
    up = false;
    desk.reset();
    fanout.reset();
    owner.reset();
    guard.reset();
    directory.reset();
  } catch (const std::exception& error) {
    SPDLOG_CRITICAL("{}", error.what());
    return 1;
  }
  return 0;
}
