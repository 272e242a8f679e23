// The requests of a Session to the directory: the shell's, and its own about people's devices.
#include <algorithm>

#include "client/core/session.h"

namespace barid::client {
namespace {

struct Failure {
  wire::Code code = wire::Code::none;
  bool retry = false;
  milliseconds after{0};
};

Failure failure_of(const wire::Response& response) {
  const auto* error = std::get_if<wire::Error>(&response.body);
  if (error == nullptr) return {};
  const bool retry = error->retry_after_ms != 0 || error->code == wire::Code::unavailable ||
                     error->code == wire::Code::rate_limited || error->code == wire::Code::quota_exceeded;
  return {error->code, retry, milliseconds(error->retry_after_ms)};
}

const wire::Contact* only_contact(const wire::Response& response) {
  const auto* contacts = std::get_if<wire::Contacts>(&response.body);
  return contacts == nullptr || contacts->found.empty() ? nullptr : &contacts->found.front();
}

}  // namespace

std::uint32_t Session::call(const decltype(wire::Request::body)& body, Now now) {
  if (queued_.size() >= kCallsQueuedMax) return 0;
  const std::uint32_t id = ++last_call_;
  queued_.emplace(id, Call{std::monostate(), body, {}});
  if (phase_ == Phase::online && !close_) start_calls(now);
  return id;
}

void Session::start_calls(Now now) {
  while (!queued_.empty() && asked_.size() < limits::kRequestsInFlight) {
    auto node = queued_.extract(queued_.begin());
    node.mapped().deadline = now.steady + kCallDeadline;
    wire::append(out_, wire::Request{node.key(), node.mapped().body});
    said_at_ = now.steady;
    asked_.insert(std::move(node));
  }
}

void Session::expire_calls(Now now) {
  for (auto it = asked_.begin(); it != asked_.end();) {
    if (it->second.deadline > now.steady) {
      ++it;
      continue;
    }
    auto node = asked_.extract(it++);
    const wire::Response late{node.key(), wire::Error{wire::Code::unavailable, 0, "the directory did not answer"}};
    const std::size_t out_before = out_.size();
    try {
      Transaction transaction(store_, Store::Durability::relaxed);
      answered(node.mapped(), late, now);
      transaction.commit();
    } catch (...) {
      undone(out_before);
      throw;
    }
  }
}

void Session::fail_calls(const wire::Error& error) {
  asked_.merge(queued_);
  queued_.clear();
  for (const auto& [id, call] : std::exchange(asked_, {}))
    if (std::holds_alternative<std::monostate>(call.purpose)) events_.emplace_back(event::Answer{id, {id, error}});
}

void Session::on(const wire::Response& response, Now now) {
  auto node = asked_.extract(response.id);
  if (!node.empty()) answered(node.mapped(), response, now);
}

void Session::answered(const Call& call, const wire::Response& response, Now now) {
  if (const auto* peer = std::get_if<Peer>(&call.purpose)) return answered_peer(*peer, response, now);
  if (const auto* user = std::get_if<UserId>(&call.purpose)) return answered_user(*user, response, now);
  if (const auto* group = std::get_if<GroupId>(&call.purpose)) return answered_group(*group, response, now);
  if (std::holds_alternative<GroupsAsked>(call.purpose)) return answered_groups(response, now);
  if (!std::holds_alternative<std::monostate>(call.purpose)) return answered_keys(call, response, now);
  events_.emplace_back(event::Answer{response.id, response});
}

void Session::resolve(Now now) {
  if (now.steady < resolve_at_) return;
  resolve_at_ = TimePoint();
  const auto asked_already = [&](const auto& same) {
    const auto hit = [&](const auto& entry) { return same(entry.second); };
    return std::any_of(queued_.begin(), queued_.end(), hit) || std::any_of(asked_.begin(), asked_.end(), hit);
  };
  // One that seals needs keys, not only addresses: exchange_keys().
  const auto gone = store_.seals() ? std::vector<UserId>() : store_.users_of_gone(limits::kRequestsInFlight);
  for (const UserId user : gone) {
    const auto same = [&](const Call& c) {
      return std::get_if<UserId>(&c.purpose) && std::get<UserId>(c.purpose) == user;
    };
    if (!asked_already(same)) queued_.emplace(++last_call_, Call{user, wire::DevicesOf{user}, {}});
  }
  if (const auto after = store_.groups_to_list()) {
    const auto same = [](const Call& c) { return std::holds_alternative<GroupsAsked>(c.purpose); };
    if (!asked_already(same)) queued_.emplace(++last_call_, Call{GroupsAsked{}, wire::ListGroups{*after}, {}});
  }
  for (const GroupId group : store_.groups_to_fetch(limits::kRequestsInFlight)) {
    const auto same = [&](const Call& c) {
      return std::get_if<GroupId>(&c.purpose) && std::get<GroupId>(c.purpose) == group;
    };
    if (!asked_already(same)) queued_.emplace(++last_call_, Call{group, wire::GetGroup{group}, {}});
  }
  for (const Peer& peer : store_.peers_to_resolve(limits::kRequestsInFlight)) {
    const auto same = [&](const Call& c) {
      return std::get_if<Peer>(&c.purpose) && std::get<Peer>(c.purpose).id == peer.id;
    };
    if (asked_already(same)) continue;
    if (peer.user != UserId()) {
      queued_.emplace(++last_call_, Call{peer, wire::DevicesOf{peer.user}, {}});
    } else if (!peer.phone.empty()) {
      queued_.emplace(++last_call_, Call{peer, wire::Lookup{{peer.phone}}, {}});
    } else {
      store_.unresolvable(peer.id, wire::Code::unknown_recipient, now.wall);
    }
  }
}

void Session::answered_peer(const Peer& peer, const wire::Response& response, Now now) {
  dirty_ = true;
  const Failure failure = failure_of(response);
  if (failure.retry) {
    resolve_at_ = now.steady + std::max<milliseconds>(kResolveRetry, failure.after);
    return;
  }
  const wire::Contact* contact = only_contact(response);
  events_.emplace_back(event::Changed{});
  if (contact == nullptr || contact->devices.empty()) {
    const bool asked_by_phone = peer.user == UserId();
    const wire::Code nobody = asked_by_phone ? wire::Code::not_found : wire::Code::recipient_gone;
    store_.unresolvable(peer.id, failure.code == wire::Code::none ? nobody : failure.code, now.wall);
    return;
  }
  if (peer.user == UserId()) store_.resolved(peer.id, contact->user);
  store_.set_devices(peer.user == UserId() ? contact->user : peer.user, contact->devices);
}

void Session::answered_groups(const wire::Response& response, Now now) {
  dirty_ = true;
  if (const auto* list = std::get_if<wire::GroupList>(&response.body))
    store_.groups_listed(*list);
  else
    resolve_at_ = now.steady + std::max<milliseconds>(kResolveRetry, failure_of(response).after);
}

void Session::answered_group(GroupId group, const wire::Response& response, Now now) {
  dirty_ = true;
  const Failure failure = failure_of(response);
  const auto* found = std::get_if<wire::Group>(&response.body);
  if (found != nullptr && found->address.user.value == group.value) {
    store_.set_group(*found);
  } else if (failure.code == wire::Code::not_member) {
    store_.group_lost(group, failure.code);
  } else {
    resolve_at_ = now.steady + std::max<milliseconds>(kResolveRetry, failure.after);
    return;
  }
  events_.emplace_back(event::Changed{});
}

void Session::answered_user(UserId user, const wire::Response& response, Now now) {
  dirty_ = true;
  const Failure failure = failure_of(response);
  if (failure.retry) {
    resolve_at_ = now.steady + std::max<milliseconds>(kResolveRetry, failure.after);
    return;
  }
  const wire::Contact* contact = only_contact(response);
  store_.set_devices(user, contact == nullptr ? std::vector<wire::Address>() : contact->devices);
  sender_.pending_again(store_.readdress(user, now.wall));
  events_.emplace_back(event::Changed{});
}

// One call for keys and one with keys are under way at a time; what is still missing then is asked for next.
void Session::exchange_keys(Now now) {
  const auto under_way = [&](auto purpose) {
    using Purpose = decltype(purpose);
    const auto hit = [](const auto& entry) { return std::holds_alternative<Purpose>(entry.second.purpose); };
    return std::any_of(queued_.begin(), queued_.end(), hit) || std::any_of(asked_.begin(), asked_.end(), hit);
  };
  if (!under_way(KeysSent{})) {
    if (auto upload = store_.keys_to_upload(now.wall)) {
      const std::uint32_t up_to = upload->prekeys.empty() ? 0 : upload->prekeys.back().id;
      queued_.emplace(++last_call_, Call{KeysSent{up_to}, std::move(*upload), {}});
    } else if (store_.key_status_due(now.wall)) {
      queued_.emplace(++last_call_, Call{KeysSent{}, wire::GetKeyStatus{}, {}});
    }
  }
  if (under_way(KeysAsked{}) || (keys_hold_ && keys_at_ > now.steady)) return;
  auto wanted = store_.keys_to_fetch(limits::kKeysUsersMax, now.wall);
  if (!wanted.empty()) queued_.emplace(++last_call_, Call{KeysAsked{}, wire::KeysOf{std::move(wanted)}, {}});
}

void Session::answered_keys(const Call& call, const wire::Response& response, Now now) {
  const Failure failure = failure_of(response);
  if (failure.code != wire::Code::none) {
    keys_at_ = now.steady + std::max<milliseconds>(kResolveRetry, failure.after);
    keys_hold_ = true;
    return;
  }
  dirty_ = true;
  keys_hold_ = false;
  if (const auto* sent = std::get_if<KeysSent>(&call.purpose)) {
    if (const auto* status = std::get_if<wire::KeyStatus>(&response.body))
      store_.keys_uploaded(*status, sent->up_to, now.wall);
    events_.emplace_back(event::Changed{});
    return;
  }
  const auto* keys = std::get_if<wire::Keys>(&response.body);
  if (keys == nullptr) return;
  for (const wire::UserKeys& user : keys->users) {
    sender_.pending_again(store_.set_keys(user, now.wall));
    const bool keyless =
        std::any_of(user.devices.begin(), user.devices.end(), [](const wire::DeviceKeys& d) { return d.version == 0; });
    if (keyless && keys_at_ <= now.steady) keys_at_ = now.steady + kKeylessRetry;
  }
  events_.emplace_back(event::Changed{});
}

}  // namespace barid::client
