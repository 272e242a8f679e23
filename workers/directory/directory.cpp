#include "workers/directory/directory.h"

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "storage/pool.h"
#include "workers/directory/group_frames.h"

namespace barid::directory {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

storage::CodePolicy policy_of(const DirectoryConfig& config) {
  storage::CodePolicy policy;
  policy.ttl = config.code_ttl;
  policy.tries = config.code_tries;
  policy.resend = config.code_resend;
  return policy;
}

bool needs_login(const wire::Request& request) {
  return !std::holds_alternative<wire::RequestCode>(request.body) &&
         !std::holds_alternative<wire::VerifyCode>(request.body);
}

}  // namespace

wire::Error error(wire::Code code, std::string text, std::chrono::milliseconds retry_after) {
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
  const auto ms = std::clamp<std::int64_t>(retry_after.count(), 0, kMost);
  return {code, static_cast<std::uint32_t>(ms), std::move(text)};
}

Directory::Directory(storage::Pool& pool, const DirectoryConfig& config, const DirectorySecrets& secrets,
                     CodeSender& sender, Project project, Publish publish, WallClock clock, MediaConfig media)
    : config_(config),
      media_(std::move(media)),
      secrets_(secrets),
      sender_(sender),
      project_(std::move(project)),
      publish_(std::move(publish)),
      clock_(std::move(clock)),
      code_policy_(policy_of(config)),
      accounts_(pool),
      blocks_(pool),
      codes_(pool),
      groups_(make_groups(pool, config)),
      keys_(pool),
      lookups_(pool),
      media_files_(pool),
      presence_(pool),
      throttles_(pool) {}

wire::Response Directory::answer(const control::DirectoryCall& call) {
  const std::chrono::milliseconds soon{kUnavailableRetryMs};
  try {
    return {call.request.id, dispatch(call)};
  } catch (const storage::Unavailable& away) {
    // The pool logs the outage once; one line a refused request would flood the log for as long as it lasts.
    spdlog::debug("directory request {} refused: {}", call.request.body.index(), away.what());
  } catch (const storage::InDoubt& doubt) {
    spdlog::warn("directory request {} in doubt: {}", call.request.body.index(), doubt.what());
  } catch (const std::exception& wrong) {
    spdlog::error("directory request {} failed: {}", call.request.body.index(), wrong.what());
  }
  return {call.request.id, error(wire::Code::unavailable, "the directory can't answer right now", soon)};
}

Directory::Body Directory::dispatch(const control::DirectoryCall& call) {
  if (needs_login(call.request) && (call.user == UserId{} || call.device == DeviceId{}))
    return error(wire::Code::not_allowed, "log in first");
  return std::visit(Overloaded{
                        [&](const wire::RequestCode& r) { return request_code(call, r); },
                        [&](const wire::VerifyCode& r) { return verify_code(call, r); },
                        [&](const wire::Lookup& r) { return lookup(call, r); },
                        [&](const wire::Block& r) { return block(call, r); },
                        [&](const wire::Unblock& r) { return unblock(call, r); },
                        [&](const wire::ListBlocked&) { return list_blocked(call); },
                        [&](const wire::ListDevices&) { return list_devices(call); },
                        [&](const wire::RevokeDevice& r) { return revoke_device(call, r); },
                        [&](const wire::DevicesOf& r) { return devices_of(r); },
                        [&](const wire::CreateGroup& r) { return create_group(call, r); },
                        [&](const wire::EditGroup& r) { return edit_group(call, r); },
                        [&](const wire::AddMembers& r) { return add_members(call, r); },
                        [&](const wire::RemoveMembers& r) { return remove_members(call, r); },
                        [&](const wire::SetRole& r) { return set_role(call, r); },
                        [&](const wire::LeaveGroup& r) { return leave_group(call, r); },
                        [&](const wire::DeleteGroup& r) { return delete_group(call, r); },
                        [&](const wire::GetGroup& r) { return group_info(call, r.group); },
                        [&](const wire::ListGroups& r) { return list_groups(call, r); },
                        [&](const wire::GroupInvite& r) { return group_invite(call, r); },
                        [&](const wire::JoinByInvite& r) { return join_by_invite(call, r); },
                        [&](const wire::ListJoinRequests& r) { return list_join_requests(call, r); },
                        [&](const wire::AnswerJoinRequest& r) { return answer_join_request(call, r); },
                        [&](const wire::SetPrivacy& r) { return set_privacy(call, r); },
                        [&](const wire::GetPrivacy&) { return get_privacy(call); },
                        [&](const wire::EditContacts& r) { return edit_contacts(call, r); },
                        [&](const wire::UploadKeys& r) { return upload_keys(call, r); },
                        [&](const wire::KeysOf& r) { return keys_of(call, r); },
                        [&](const wire::GetKeyStatus&) { return key_status(call); },
                        [&](const wire::UploadMedia& r) { return upload_media(call, r); },
                        [&](const wire::DownloadMedia& r) { return download_media(call, r); },
                        [&](const wire::DeleteMedia& r) { return delete_media(call, r); },
                        [&](const wire::GetMediaUsage&) { return media_usage(call); },
                    },
                    call.request.body);
}

}  // namespace barid::directory
