#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/crypto.h"
#include "base/log.h"
#include "base/partition.h"
#include "broker/control.h"
#include "broker/roles.h"
#include "broker/topology.h"
#include "ops/baridctl/commands.h"
#include "storage/accounts.h"
#include "storage/pool.h"
#include "storage/projections.h"
#include "storage/url.h"
#include "storage/user_data.h"
#include "workers/directory/group_frames.h"

namespace barid::ctl {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kPatience{10}, kRevocationWait{30};
constexpr std::size_t kGroupsPage = 128;
constexpr int kLeaveAttempts = 3;  // a group that changes while we look

// Both stores, and the rules of the directory.
class Account {
 public:
  explicit Account(const Config& config)
      : config_(config),
        control_(broker::as_role(config.nats, broker::kOperatorRole), "baridctl", kPatience),
        pool_(storage::owner_url(config.postgres), 1),
        data_(pool_),
        accounts_(pool_),
        groups_(directory::make_groups(pool_, config.directory)) {}

  std::optional<UserId> find(const std::string& who) {
    if (who.starts_with("+")) return data_.find(who);
    std::uint64_t id = 0;
    if (!parse_hex_id(who, id))
      throw std::runtime_error("an account is named by its phone number (+4915112345678) or its id (hex), not so");
    return data_.exists(UserId(id)) ? std::optional(UserId(id)) : std::nullopt;
  }

  // Batches that wait for a device: how many and of how many bytes; erased one by one when `erase`.
  struct Waiting {
    std::uint64_t batches = 0, bytes = 0;
  };
  Waiting waiting(UserId user, DeviceId device, bool erase) {
    const std::uint16_t shard = broker::inbox_shard(device, config_.nats.inbox_shards);
    const std::string stream = broker::inbox_stream(shard);
    const std::string subject = broker::inbox_subject(shard, partition_of(user, config_.nats.partitions), user, device);
    Waiting found;
    for (std::uint64_t from = 1;; ++found.batches) {
      const json reply = json::parse(
          control_.js_api("STREAM.MSG.GET." + stream, json{{"seq", from}, {"next_by_subj", subject}}.dump()));
      if (reply.contains("error")) {
        if (reply["error"].value("code", 0) == 404) return found;
        throw broker::Error(stream + " can't be read: " + reply["error"].value("description", "unknown error"));
      }
      const std::uint64_t seq = reply.at("message").at("seq");
      found.bytes += reply["message"].value("data", std::string()).size() * 3 / 4;  // base64
      if (erase) {  // overwritten in the file, which a purge by subject is not
        const json done = json::parse(control_.js_api("STREAM.MSG.DELETE." + stream, json{{"seq", seq}}.dump()));
        if (done.contains("error") && done["error"].value("code", 0) != 404)
          throw broker::Error(stream + ": " + done["error"].value("description", "a message can't be erased"));
      }
      from = seq + 1;
    }
  }

  std::vector<GroupId> groups_of(UserId user) {
    std::vector<GroupId> all;
    GroupId last{};
    for (auto page = groups_.of_user(user, last, kGroupsPage); !page.empty();
         page = groups_.of_user(user, last, kGroupsPage)) {
      for (const auto& group : page) all.push_back(group.group);
      last = all.back();
    }
    return all;
  }

  // The last owner hands the group on: to an admin, or else to whoever there is.
  void leave(UserId user, GroupId group) {
    for (int attempt = 0; attempt < kLeaveAttempts; ++attempt) {
      const auto info = groups_.info(user, group);
      if (!info) return;  // not a member any more
      UserId successor{};
      auto best = storage::GroupRole::none;
      for (const auto& member : info->members)
        if (member.user != user && member.role > best) best = member.role, successor = member.user;
      if (best == storage::GroupRole::owner) successor = UserId();
      if (groups_.leave(user, group, successor, wall_now())) return;
      if (groups_.leave(user, group, UserId(), wall_now())) return;
    }
    throw std::runtime_error("group " + hex_id(group.value) + " could not be left; run this again");
  }

  // Owners and edges learn it from the bucket, which a directory worker writes.
  void wait_for_revocations(const std::vector<DeviceId>& devices) {
    storage::Projections projections(pool_);
    const TimePoint until = steady_now() + kRevocationWait;
    for (const DeviceId device : devices)
      while (projections.version({storage::ProjectionKind::revoked, device.value})) {
        if (steady_now() >= until)
          throw std::runtime_error(
              "no directory worker has told the others of the revocations: start one and run this again");
        std::this_thread::sleep_for(milliseconds(50));
      }
  }

  storage::UserData& data() { return data_; }
  storage::Accounts& accounts() { return accounts_; }

 private:
  const Config& config_;
  broker::Control control_;
  storage::Pool pool_;
  storage::UserData data_;
  storage::Accounts accounts_;
  storage::Groups groups_;
};

}  // namespace

int export_account(const Config& config, const std::string& who) {
  Account account(config);
  const auto user = account.find(who);
  if (!user) throw std::runtime_error("there is no such account");
  auto all = nlohmann::ordered_json::parse(account.data().export_json(*user));
  all["waiting"] = nlohmann::ordered_json::array();
  for (const DeviceId device : account.data().all_devices(*user)) {
    const auto waiting = account.waiting(*user, device, false);
    all["waiting"].push_back({{"device", fmt::format("{:x}", device.value)},
                              {"batches", waiting.batches},
                              {"encrypted_bytes", waiting.bytes}});
  }
  std::cout << all.dump(2) << "\n";
  return 0;
}

int erase_account(const Config& config, const std::string& who, bool dry_run, bool yes) {
  Account account(config);
  const auto user = account.find(who);
  if (!user) {
    std::cout << "there is no such account: nothing is to be erased\n";
    return 0;
  }
  const auto devices = account.data().all_devices(*user);
  const auto live = account.accounts().live_devices(*user);
  const auto groups = account.groups_of(*user);
  Account::Waiting waiting;
  for (const DeviceId device : devices) waiting.batches += account.waiting(*user, device, false).batches;
  std::cout << fmt::format(
      "plan for user {}:\n"
      "  revoke   {} devices; their sessions end\n"
      "  leave    {} groups; a group without another owner gets one\n"
      "  erase    {} batches of waiting messages\n"
      "  erase    the phone number, names and keys of {} devices, contacts, blocks, privacy, last seen, look-ups\n"
      "  keep     the random ids, so that nobody can use a token of these devices\n",
      hex_id(user->value), live.size(), groups.size(), waiting.batches, devices.size());
  if (dry_run) return 0;
  if (!yes) throw std::runtime_error("this can't be undone: say --yes to do it, or --dry-run for the plan alone");
  for (const auto& device : live) static_cast<void>(account.accounts().revoke_device(*user, device.device, wall_now()));
  for (const GroupId group : groups) account.leave(*user, group);
  account.wait_for_revocations(devices);
  std::uint64_t erased = 0;
  for (const DeviceId device : devices) erased += account.waiting(*user, device, true).batches;
  account.data().erase(*user);
  for (const DeviceId device : devices) erased += account.waiting(*user, device, true).batches;  // parked meanwhile
  std::cout << fmt::format("erased user {}: {} devices, {} groups, {} batches\n", hex_id(user->value), devices.size(),
                           groups.size(), erased);
  return 0;
}

}  // namespace barid::ctl
