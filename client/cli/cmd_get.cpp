#include <charconv>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "client/cli/commands.h"
#include "client/cli/groups.h"
#include "client/cli/media.h"
#include "client/cli/text.h"

namespace barid::cli {
namespace {

namespace fs = std::filesystem;

const content::Media* media_in(const content::Content& content) {
  const auto* media = std::get_if<content::Media>(&content);
  return media != nullptr && media->encoding != 0 ? media : nullptr;
}

// A row number, or somebody or a group: then the newest file of that conversation.
content::Media find_media(client::SqliteStore& store, const std::string& which) {
  std::int64_t row = 0;
  const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), row);
  if (error == std::errc() && end == which.data() + which.size()) {
    const auto message = store.message(client::MessageRow(row));
    if (!message) throw Failure(Exit::error, "there is no message " + which + " here");
    const auto content = content::decode(message->content);
    if (!content || media_in(*content) == nullptr) throw Failure(Exit::error, "message " + which + " has no file");
    return *media_in(*content);
  }
  constexpr std::size_t kLookedAt = 1'000;
  const client::Peer peer = find_conversation(store, which, false);
  const auto messages = store.history(peer.id, kLookedAt);
  for (auto m = messages.rbegin(); m != messages.rend(); ++m)
    if (const auto content = content::decode(m->content); content && media_in(*content) != nullptr)
      return *media_in(*content);
  throw Failure(Exit::error, "there is no file in this conversation");
}

// What the sender calls it, without anything that leads elsewhere or hides.
std::string safe_name(const std::string& name) {
  std::string out;
  for (const char c : printable(name)) out += c == '/' || c == '\\' ? '_' : c;
  out.erase(0, out.find_first_not_of(". "));
  constexpr std::size_t kNameBytesMax = 200;
  if (out.size() > kNameBytesMax) out.resize(kNameBytesMax);
  return out.empty() ? "file" : out;
}

std::string free_path(const std::string& name) {
  if (!fs::exists(name)) return name;
  const fs::path path(name);
  for (int n = 1;; ++n) {
    const std::string other = path.stem().string() + " (" + std::to_string(n) + ")" + path.extension().string();
    if (!fs::exists(other)) return other;
  }
}

}  // namespace

Exit run_get(const Context& context, const std::string& which, const std::string& where) {
  const auto store = context.open_account();
  const content::Media media = find_media(*store, which);
  const std::string name = safe_name(media.name);
  std::string to = where.empty() ? free_path(name) : where;
  if (!where.empty() && fs::is_directory(where)) to = (fs::path(where) / name).string();
  if (fs::exists(to)) throw Failure(Exit::usage, printable(to) + " exists already: choose another with --to PATH");
  client::Client client(*store, context.directory());
  fetch_media(context, client, *store, media, to);
  if (context.json)
    std::cout << nlohmann::json{{"type", "file"}, {"path", to}, {"bytes", media.bytes}, {"mime", media.mime}}.dump()
              << std::endl;
  else
    context.say(printable(to) + "  " + std::to_string(media.bytes) + " bytes");
  return Exit::ok;
}

}  // namespace barid::cli
