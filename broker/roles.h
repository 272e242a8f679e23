// Who may do what in the broker: one NATS user for each role, which may publish and subscribe to what its work needs
// and to nothing else. `baridctl nats-users` turns this into nats-server's configuration. docs/security.md has the
// table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"

namespace barid::broker {

inline constexpr const char* kEdgeRole = "edge";            // barid-edge
inline constexpr const char* kWorkerRole = "worker";        // delivery and fan-out: owners of partitions
inline constexpr const char* kDirectoryRole = "directory";  // the directory role of barid-worker
inline constexpr const char* kOperatorRole = "operator";    // baridctl: everything

struct Role {
  std::string user;
  std::vector<std::string> publish, subscribe;  // subjects with NATS's wildcards
  bool answers = false;                         // may publish one reply to whatever it was asked
};
std::vector<Role> roles(const NatsConfig& config);

// The configuration of this role's connections: with its user and password, out of credentials_dir/ROLE.password. As it
// was when there is no credentials_dir. Throws std::runtime_error when the file is missing or not private.
NatsConfig as_role(NatsConfig config, const char* role);

// What replies to this user's requests begin with; no other role may listen there.
std::string reply_prefix(std::string_view user);

// nats-server's `authorization` block, with passwords out of `credentials_dir`. Where the configuration has no
// credentials_dir, `old_password` is that of the one user of before there were roles, who may do everything.
std::string nats_users(const NatsConfig& config, const std::string& credentials_dir, const std::string& old_password);

}  // namespace barid::broker
