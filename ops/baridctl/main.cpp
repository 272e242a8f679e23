// baridctl: the operator's tool; see --help.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "base/crypto.h"
#include "base/log.h"
#include "ops/baridctl/commands.h"

int main(int argc, char** argv) {
  CLI::App app("The operator's tool of Barid.", "baridctl");
  app.require_subcommand(1);
  std::string config_path;
  app.add_option("--config", config_path, "the instance's configuration; needed by most commands")
      ->envname("BARID_CONFIG");

  std::string secrets_dir;
  auto* init_secrets = app.add_subcommand("init-secrets", "make the secret keys that are missing (mode 0600)");
  init_secrets->add_option("DIR", secrets_dir)->required();
  auto* check_config = app.add_subcommand("check-config", "say whether the configuration can be used");
  auto* migrate = app.add_subcommand("migrate", "bring the Postgres schema up to date");
  auto* topology = app.add_subcommand("topology", "the broker's streams and buckets");
  topology->require_subcommand(1);
  auto* apply = topology->add_subcommand("apply", "create what is missing");
  auto* show = topology->add_subcommand("show", "list what there is, and who owns which partition");
  auto* health = app.add_subcommand("health", "ask every part whether it can work; exit 1 if one can't");
  auto* status = app.add_subcommand("status", "what an instance's supervisor runs (ops/status)");
  std::string data_dir, run_dir;
  bool json = false;
  status->add_option("--data", data_dir, "the instance's folder")->required();
  status->add_option("--run-dir", run_dir, "where its control socket is (default: run in that folder)");
  status->add_flag("--json", json, "one JSON object");

  CLI11_PARSE(app, argc, argv);
  try {
    barid::LogConfig quiet;
    quiet.level = "error";
    barid::init_log(quiet, "baridctl");
    barid::crypto::init_crypto();
    if (*init_secrets) return barid::ctl::init_secrets(secrets_dir);
    if (*status) return barid::ctl::status(data_dir, run_dir.empty() ? data_dir + "/run" : run_dir, json);
    if (config_path.empty())
      throw std::runtime_error("which instance? name its barid.toml with --config or BARID_CONFIG");
    const barid::Config config = barid::load_config(config_path);
    if (*check_config) return std::cout << config_path << " can be used\n", 0;
    if (*migrate) return barid::ctl::migrate(config);
    if (*apply) return barid::ctl::apply_topology(config);
    if (*show) return barid::ctl::show_topology(config);
    if (*health) return barid::ctl::health(config);
  } catch (const std::exception& error) {
    const std::string text = error.what();  // libpq's messages end with a line break
    std::cerr << "baridctl: " << text.substr(0, text.find_last_not_of('\n') + 1) << "\n";
    return 1;
  }
}
