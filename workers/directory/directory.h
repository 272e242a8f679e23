// Answers the directory's requests: accounts, codes, contacts, blocks, devices, keys, groups. Postgres holds the truth;
// it is handed everything else. Owned by DirectoryService (or a test); answer() runs on any thread and ends in bounded
// time.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "base/config.h"
#include "schemas/control.h"
#include "storage/accounts.h"
#include "storage/blocks.h"
#include "storage/codes.h"
#include "storage/groups.h"
#include "storage/keys.h"
#include "storage/lookups.h"
#include "storage/media.h"
#include "storage/presence.h"
#include "storage/projections.h"
#include "storage/throttles.h"
#include "workers/directory/code_sender.h"
#include "workers/directory/secrets.h"

namespace barid::directory {

inline constexpr std::uint32_t kUnavailableRetryMs = 2'000;
// Codes tried for one number, whatever code and address: what a guesser gets in all (of a million codes).
inline constexpr RateConfig kTriesPerNumber{30.0 / 86'400, 30};
// Calls for keys by one device, and one-time prekeys of one user for another: enough for a full group and for devices
// that come and go, too few to use up anybody's.
inline constexpr RateConfig kKeyCallsPerDevice{0.5, 512};
inline constexpr RateConfig kPrekeysPerPair{1.0 / 3'600, 10};
inline constexpr int kCodeDigits = 6;
// Groups that learn of a new device before its registration is answered; the publisher tells the others soon after.
inline constexpr std::size_t kDeviceChangesInline = 16;

std::string make_code();  // uniformly random
// The digits of a code as a person types it ("123 456", "123-456"); empty when it can't be one. Pure.
std::string read_code(const std::string& typed);
std::string code_mac(const std::string& phone, const std::string& code, const crypto::MacKey& key);

class Directory {
 public:
  // Brings a change to where edges and owners see it; called after the commit. Must not throw: what could not
  // be brought over waits in storage::Projections.
  using Project = std::function<void(storage::Change)>;
  // Brings a group's events to its members; called after the commit and before the answer. Throws when it can't; the
  // events then wait in storage::Groups.
  using Publish = std::function<void(GroupId)>;
  using WallClock = std::function<WallMs()>;

  Directory(storage::Pool& pool, const DirectoryConfig& config, const DirectorySecrets& secrets, CodeSender& sender,
            Project project, Publish publish, WallClock clock = &wall_now, MediaConfig media = {});

  // Never throws: what goes wrong becomes an error response (and a line in the log).
  wire::Response answer(const control::DirectoryCall& call);

 private:
  using Body = decltype(wire::Response::body);

  Body dispatch(const control::DirectoryCall& call);

  // registration.cpp
  Body request_code(const control::DirectoryCall& call, const wire::RequestCode& request);
  Body verify_code(const control::DirectoryCall& call, const wire::VerifyCode& request);
  Body register_device(const std::string& phone, const std::string& mac, const wire::VerifyCode& request, WallMs now);
  std::string throttle_key(const char* kind, const std::string& subject) const;

  // contacts.cpp
  Body lookup(const control::DirectoryCall& call, const wire::Lookup& request);
  Body block(const control::DirectoryCall& call, const wire::Block& request);
  Body unblock(const control::DirectoryCall& call, const wire::Unblock& request);
  Body list_blocked(const control::DirectoryCall& call);
  Body list_devices(const control::DirectoryCall& call);
  Body revoke_device(const control::DirectoryCall& call, const wire::RevokeDevice& request);
  Body devices_of(const wire::DevicesOf& request);

  // presence.cpp
  Body set_privacy(const control::DirectoryCall& call, const wire::SetPrivacy& request);
  Body get_privacy(const control::DirectoryCall& call);
  Body edit_contacts(const control::DirectoryCall& call, const wire::EditContacts& request);

  // keys.cpp
  Body upload_keys(const control::DirectoryCall& call, const wire::UploadKeys& request);
  Body keys_of(const control::DirectoryCall& call, const wire::KeysOf& request);
  Body key_status(const control::DirectoryCall& call);

  // media.cpp
  Body upload_media(const control::DirectoryCall& call, const wire::UploadMedia& request);
  Body download_media(const control::DirectoryCall& call, const wire::DownloadMedia& request);
  Body delete_media(const control::DirectoryCall& call, const wire::DeleteMedia& request);
  Body media_usage(const control::DirectoryCall& call);

  // groups.cpp
  Body create_group(const control::DirectoryCall& call, const wire::CreateGroup& request);
  Body edit_group(const control::DirectoryCall& call, const wire::EditGroup& request);
  Body add_members(const control::DirectoryCall& call, const wire::AddMembers& request);
  Body remove_members(const control::DirectoryCall& call, const wire::RemoveMembers& request);
  Body set_role(const control::DirectoryCall& call, const wire::SetRole& request);
  Body leave_group(const control::DirectoryCall& call, const wire::LeaveGroup& request);
  Body delete_group(const control::DirectoryCall& call, const wire::DeleteGroup& request);
  Body group_info(const control::DirectoryCall& call, GroupId group);
  Body list_groups(const control::DirectoryCall& call, const wire::ListGroups& request);
  Body group_invite(const control::DirectoryCall& call, const wire::GroupInvite& request);
  Body join_by_invite(const control::DirectoryCall& call, const wire::JoinByInvite& request);
  Body list_join_requests(const control::DirectoryCall& call, const wire::ListJoinRequests& request);
  Body answer_join_request(const control::DirectoryCall& call, const wire::AnswerJoinRequest& request);
  Body told(const storage::Groups::Outcome<storage::Groups::Changed>& outcome);
  bool published(GroupId group);
  void tell_device_changes(UserId user);

  std::vector<wire::Address> addresses(UserId user, const std::vector<DeviceId>& devices) const;

  const DirectoryConfig& config_;
  MediaConfig media_;
  const DirectorySecrets& secrets_;
  CodeSender& sender_;
  Project project_;
  Publish publish_;
  WallClock clock_;
  storage::CodePolicy code_policy_;
  storage::Accounts accounts_;
  storage::Blocks blocks_;
  storage::Codes codes_;
  storage::Groups groups_;
  storage::Keys keys_;
  storage::Lookups lookups_;
  storage::Media media_files_;
  storage::Presence presence_;
  storage::Throttles throttles_;
};

wire::Error error(wire::Code code, std::string text, std::chrono::milliseconds retry_after = {});

}  // namespace barid::directory
