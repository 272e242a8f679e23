#include "client/cli/render.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "base/log.h"
#include "client/cli/context.h"
#include "client/cli/text.h"
#include "schemas/content.h"

namespace barid::cli {
namespace {

using nlohmann::json;

std::string format_time(std::int64_t wall_ms, const char* format) {
  const std::time_t seconds = static_cast<std::time_t>(wall_ms / 1000);
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return "?";
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), format, &parts);
  return text.data();
}

std::string coordinates(const content::Location& l) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.6f,%.6f", l.latitude, l.longitude);
  return text.data();
}

std::string joined(std::initializer_list<std::string> words) {
  std::string all;
  for (const std::string& word : words)
    if (!word.empty()) all += (all.empty() ? "" : " ") + word;
  return all;
}

void add_content(json& object, const std::string& bytes) {
  const auto decoded = content::decode(bytes);
  if (!decoded) {
    object["kind"] = "unknown";
    return;
  }
  object["kind"] = std::string(content::type_name(*decoded));
  if (std::holds_alternative<content::Sealed>(*decoded)) object["kind"] = "undecryptable";
  if (const auto* t = std::get_if<content::Text>(&*decoded)) {
    object["text"] = t->text;
  } else if (const auto* m = std::get_if<content::Media>(&*decoded)) {
    json media{{"url", m->url}, {"mime", m->mime}, {"bytes", m->bytes}, {"name", m->name}, {"caption", m->caption}};
    if (m->encoding != 0) media["sealed_bytes"] = m->sealed_bytes;
    if (!m->digest.empty()) media["sha256"] = crypto::to_hex(m->digest);
    object["media"] = std::move(media);
  } else if (const auto* l = std::get_if<content::Location>(&*decoded)) {
    object["location"] = {{"latitude", l->latitude}, {"longitude", l->longitude}, {"name", l->name}};
  } else if (const auto* c = std::get_if<content::Contact>(&*decoded)) {
    object["contact"] = {{"name", c->name}, {"phones", c->phones}};
  }
}

json head(const char* type, const client::Message& m, const client::Peer& peer, const client::Account& account) {
  const DeviceId sender = m.incoming ? m.from_device : account.device;
  json object{{"type", type}, {"row", m.id.value}, {"state", std::string(client::name_of(m.state))}};
  object["id"] = m.seq == 0 ? json(nullptr) : json(trace_id({sender, m.seq}));
  object[m.incoming ? "from" : "to"] = !peer.name.empty() ? peer.name : name_of(peer);
  object["user"] = hex_id(m.author == UserId() ? peer.user.value : m.author.value);
  if (peer.group != GroupId()) {
    object["group"] = hex_id(peer.group.value);
    object["group_name"] = peer.name;
    if (!m.incoming) object["recipients"] = m.recipients, object["delivered_to"] = m.got, object["read_by"] = m.seen;
  }
  if (!peer.phone.empty()) object["phone"] = peer.phone;
  return object;
}

void add_times(json& object, const client::Message& m) {
  object["sent_at_ms"] = m.created_ms;
  if (m.accepted_ms != 0) object["accepted_at_ms"] = m.accepted_ms;
  if (m.delivered_ms != 0) object[m.incoming ? "received_at_ms" : "delivered_at_ms"] = m.delivered_ms;
  if (m.read_ms != 0) object["read_at_ms"] = m.read_ms;
  if (m.state == client::State::failed) object["reason"] = std::string(wire::name_of(m.reason));
}

}  // namespace

std::string describe(const std::string& bytes, bool keep_newlines) {
  const auto decoded = content::decode(bytes);
  if (!decoded) return "[a message that this barid cannot read: a newer one may]";
  if (const auto* t = std::get_if<content::Text>(&*decoded)) return printable(t->text, keep_newlines);
  const std::string label = "[" + std::string(content::type_name(*decoded)) + "]";
  if (const auto* m = std::get_if<content::Media>(&*decoded)) {
    const std::string size = m->bytes == 0 ? "" : std::to_string(m->bytes) + " bytes";
    return joined({label, printable(m->name), size, printable(m->url), printable(m->caption)});
  }
  if (const auto* l = std::get_if<content::Location>(&*decoded))
    return joined({label, coordinates(*l), printable(l->name)});
  if (const auto* c = std::get_if<content::Contact>(&*decoded)) {
    std::string text = joined({label, printable(c->name)});
    for (const std::string& phone : c->phones) text += " " + printable(phone);
    return text;
  }
  return "[a message that could not be decrypted]";
}

std::string clock_time(std::int64_t wall_ms) { return format_time(wall_ms, "%H:%M"); }
std::string day(std::int64_t wall_ms) { return format_time(wall_ms, "%A, %-d %B %Y"); }
std::string date_time(std::int64_t wall_ms) { return format_time(wall_ms, "%Y-%m-%d %H:%M"); }

std::string ticks(client::State state) {
  switch (state) {
    case client::State::queued:
    case client::State::sent:
      return "…";
    case client::State::accepted:
      return "✓";
    case client::State::delivered:
    case client::State::read:
      return "✓✓";
    case client::State::failed:
      return "✗";
  }
  return {};
}

std::string reason_text(wire::Code code) {
  switch (code) {
    case wire::Code::not_found:
      return "nobody is registered with this number";
    case wire::Code::invalid_phone:
      return "this is not a valid phone number";
    case wire::Code::recipient_gone:
      return "the recipient has no device any more";
    case wire::Code::unknown_recipient:
      return "the server does not know the recipient";
    case wire::Code::expired:
      return "it expired before the recipient came online";
    case wire::Code::undeliverable:
      return "the recipient's device did not take it";
    case wire::Code::content_too_large:
      return "it is too large";
    case wire::Code::not_allowed:
      return "the server does not allow it";
    case wire::Code::unavailable:
      return "the server cannot do it right now";
    case wire::Code::rate_limited:
      return "too much at once";
    case wire::Code::not_member:
      return "you are not in this group";
    case wire::Code::group_full:
      return "the group is full";
    case wire::Code::version_conflict:
      return "somebody has changed the group meanwhile";
    default:
      return std::string(wire::name_of(code));
  }
}

std::string message_json(const client::Message& m, const client::Peer& peer, const client::Account& account,
                         const std::string& author) {
  json object = head("message", m, peer, account);
  object["direction"] = m.incoming ? "in" : "out";
  if (m.incoming && !author.empty()) object["from"] = author;
  add_content(object, m.content);
  add_times(object, m);
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string receipt_json(const client::Message& m, const client::Peer& peer, const client::Account& account) {
  json object = head("receipt", m, peer, account);
  add_times(object, m);
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace barid::cli
