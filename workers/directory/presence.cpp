// Of Directory: what may be seen of a user, and by whom.
#include "workers/directory/directory.h"

namespace barid::directory {

using storage::ProjectionKind;
using wire::Code;

Directory::Body Directory::set_privacy(const control::DirectoryCall& call, const wire::SetPrivacy& request) {
  const storage::PrivacySettings settings{static_cast<storage::Audience>(request.privacy.last_seen),
                                          static_cast<storage::Audience>(request.privacy.online)};
  if (!presence_.set_privacy(call.user, settings)) return error(Code::not_found, "there is no such user");
  project_({ProjectionKind::presence, call.user.value});
  return wire::Done{};
}

Directory::Body Directory::get_privacy(const control::DirectoryCall& call) {
  const auto settings = presence_.privacy(call.user);
  return wire::Privacy{static_cast<wire::Audience>(settings.last_seen), static_cast<wire::Audience>(settings.online)};
}

Directory::Body Directory::edit_contacts(const control::DirectoryCall& call, const wire::EditContacts& request) {
  const auto edited = presence_.edit_contacts(call.user, request.add, request.remove);
  if (!edited && edited.error() == storage::Presence::Errc::too_many)
    return error(Code::quota_exceeded,
                 "one can have at most " + std::to_string(storage::Presence::kContactsMax) + " contacts here");
  if (!edited) return error(Code::not_found, "there is no such user");
  project_({ProjectionKind::presence, call.user.value});
  return wire::Done{};
}

}  // namespace barid::directory
