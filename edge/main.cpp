#include <CLI/CLI.hpp>
#include <iostream>
#include <optional>

#include "base/config.h"
#include "base/crypto.h"
#include "base/log.h"
#include "broker/roles.h"
#include "edge/edge_app.h"

int main(int argc, char** argv) {
  CLI::App cli("barid-edge: takes client connections (TCP, WebSocket, TLS) and carries their messages to the broker");
  std::string config_file;
  std::optional<std::string> name;
  std::optional<std::uint16_t> observe_port;
  cli.add_option("--config", config_file, "TOML configuration of the instance")->required()->type_name("FILE");
  cli.add_option("--name", name, "this edge's name, unique in the cluster (default: edge.name)")->type_name("NAME");
  cli.add_option("--observe-port", observe_port, "loopback port of /metrics, /healthz, /readyz; 0: none")
      ->type_name("PORT");
  bool share_ports = false;
  cli.add_flag("--share-ports", share_ports, "other edges on this machine listen on the same client ports");
  CLI11_PARSE(cli, argc, argv);
  try {
    barid::Config config = barid::load_config(config_file);
    config.nats = barid::broker::as_role(config.nats, barid::broker::kEdgeRole);
    if (name) config.edge.name = *name;
    if (observe_port) config.edge.observe_port = *observe_port;
    barid::init_log(config.log, config.edge.name);
    barid::crypto::init_crypto();
    return barid::edge::EdgeApp(std::move(config), share_ports).run();
  } catch (const std::exception& error) {
    std::cerr << "barid-edge: " << error.what() << '\n';
    return 1;
  }
}
