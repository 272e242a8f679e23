// Groups as storage knows them and as the wire says them. Pure but for make_groups.
#pragma once

#include <string>

#include "base/config.h"
#include "base/crypto.h"
#include "schemas/wire.h"
#include "storage/groups.h"

namespace barid::directory {

storage::Groups make_groups(storage::Pool& pool, const DirectoryConfig& config);

std::string event_frame(const storage::GroupEvent& event);  // the complete GroupEvent frame
wire::Address group_address(GroupId group, const crypto::ShortKey& key);
wire::Group group_answer(const storage::Group& group, const crypto::ShortKey& key);
storage::GroupSettings stored(const wire::GroupSettings& settings);
wire::Error refusal_of(storage::GroupErrc why);

}  // namespace barid::directory
