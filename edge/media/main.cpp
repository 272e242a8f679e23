// barid-media: reads the configuration, wires store, service and sweeper, waits for a signal.
#include <CLI/CLI.hpp>
#include <csignal>

#include "base/config.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/observe.h"
#include "base/secret_file.h"
#include "edge/media/http.h"
#include "edge/media/media_service.h"
#include "edge/media/store.h"
#include "edge/media/sweeper.h"
#include "storage/pool.h"
#include "storage/url.h"

namespace {

std::string what_is_missing(barid::storage::Pool& pool, barid::media::Store& store, const barid::MediaConfig& config) {
  try {
    pool.transact("see whether Postgres answers", [](pqxx::transaction_base&) {});
    if (store.bytes_free() < config.disk_bytes_min) return "the disk of the media store is full";
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  using namespace barid;
  CLI::App app{"barid-media: keeps and serves encrypted media by signed URLs"};
  std::string config_file, name;
  int port = -1, observe_port = -1;
  app.add_option("--config", config_file, "TOML file, see ops/barid.toml.example")->required();
  app.add_option("--name", name, "this process's name (default: from the configuration)");
  app.add_option("--port", port, "where to listen (default: from the configuration)");
  app.add_option("--observe-port", observe_port, "loopback port of /metrics, /healthz and /readyz; 0: none");
  CLI11_PARSE(app, argc, argv);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread: only sigwait below takes them
  std::signal(SIGPIPE, SIG_IGN);
  try {
    Config config = load_config(config_file);
    if (!name.empty()) config.media.name = name;
    if (port >= 0) config.media.port = static_cast<std::uint16_t>(port);
    if (observe_port >= 0) config.media.observe_port = static_cast<std::uint16_t>(observe_port);
    init_log(config.log, config.media.name);
    crypto::init_crypto();
    if (config.media.store_dir.empty()) throw std::runtime_error(config_file + ": [media] store_dir is missing");

    crypto::MacKey key{};
    read_key_file(config.directory.secrets_dir + "/media.key", key);
    const auto store = media::open_local_store(config.media.store_dir);
    storage::Pool pool(storage::directory_url(config.postgres), config.postgres.connections);
    Observe observe(config.media.name, config.media.observe_port,
                    [&] { return what_is_missing(pool, *store, config.media); });
    media::MediaService service(config.media, key, *store, pool, observe);
    media::Sweeper sweeper(config.media, *store, pool, observe);
    media::HttpServer server(config.media, service, observe);
    SPDLOG_INFO("serving media on {}:{}", config.media.address, config.media.port);
    int signal = 0;
    sigwait(&signals, &signal);
    SPDLOG_INFO("stopping on signal {}", signal);
  } catch (const std::exception& error) {
    SPDLOG_CRITICAL("{}", error.what());
    return 1;
  }
  return 0;
}
