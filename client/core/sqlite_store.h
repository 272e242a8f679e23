// Everything that a device remembers, in one SQLite file (WAL): the Store of its session, and the address
// book, history and outbox that people look at. Several processes may have the file open; only the holder of
// the session lock (session_lock.h) may use the Store verbs. One object, one thread. Throws SqliteError.
#pragma once

#include <functional>
#include <memory>

#include "client/core/media_cipher.h"
#include "client/core/sqlite.h"
#include "client/core/sqlite_keys.h"
#include "client/core/store.h"
#include "client/crypto/sealer.h"
#include "schemas/content.h"

namespace barid::client {

// A file that is being sent, as it was sealed.
struct OutgoingMedia {
  std::string key;
  SealedMedia sealed;
};

class SqliteStore final : public Store {
 public:
  enum class Sealing { on, off };  // off: contents go out as they are, for tests of everything else
  enum class PeerErrc { name_taken, phone_taken, not_found };

  // Opens or creates `directory`/barid.db; ":memory:" for a store without a file. Files are readable by the
  // owner only.
  explicit SqliteStore(const std::string& directory, Sealing sealing = Sealing::on);
  ~SqliteStore() override;

  // --- Store: what the session needs
  void begin(Durability durability) override;
  void commit() override;
  void rollback() noexcept override;
  Account account() override;
  void set_session_no(SessionNo number) override;
  void offer_again(std::uint64_t incarnation, WallMs at) override;
  std::size_t address_messages(std::size_t copies_max) override;
  std::vector<Peer> peers_to_resolve(std::size_t max) override;
  void resolved(PeerId peer, UserId user) override;
  void set_devices(UserId user, const std::vector<wire::Address>& devices) override;
  void unresolvable(PeerId peer, wire::Code reason, WallMs at) override;
  std::size_t address_reads(std::size_t copies_max, WallMs at) override;
  std::vector<Copy> pending(std::uint64_t from_seq, std::size_t max) override;
  std::optional<Copy> copy(std::uint64_t seq) override;
  void sent(const std::vector<Copy>& copies) override;
  void accepted(const std::vector<SeqRange>& ranges, WallMs at) override;
  void fail(std::uint64_t seq, wire::Code reason, WallMs at) override;
  void receipt(const wire::Receipt& receipt) override;
  void gone(std::uint64_t seq, WallMs at) override;
  std::vector<UserId> users_of_gone(std::size_t max) override;
  std::uint64_t readdress(UserId user, WallMs at) override;
  void group_event(const wire::GroupEvent& event) override;
  void group_receipt(const wire::GroupReceipt& receipt) override;
  std::vector<GroupId> groups_to_fetch(std::size_t max) override;
  std::optional<GroupId> groups_to_list() override;
  void groups_listed(const wire::GroupList& list) override;
  void set_group(const wire::Group& group) override;  // also a transaction of its own
  void group_lost(GroupId group, wire::Code why) override;
  bool seals() const override { return sealing_ == Sealing::on; }
  bool keys_moved() override { return std::exchange(keys_moved_, false); }
  std::optional<wire::UploadKeys> keys_to_upload(WallMs now) override;
  bool key_status_due(WallMs now) override;
  void keys_uploaded(const wire::KeyStatus& status, std::uint32_t uploaded_up_to, WallMs now) override;
  std::vector<wire::KeysWanted> keys_to_fetch(std::size_t max, WallMs now) override;
  std::uint64_t set_keys(const wire::UserKeys& keys, WallMs now) override;
  bool take(const wire::Deliver& deliver, WallMs at) override;

  // --- the account. Each of the verbs below is a transaction of its own unless one is open.
  bool has_account();
  void save_account(const Account& account);  // a new registration: old ties (incarnation, tokens) are replaced
  void set_server(const std::string& server, const std::string& tls_ca);

  // --- the address book
  std::vector<Peer> peers();
  std::optional<Peer> peer(PeerId id);
  std::optional<Peer> find_peer(std::string_view name_phone_or_user);  // a name, +49…, or user:<16 hex digits>
  Peer ensure_phone(const std::string& phone);
  Result<Peer, PeerErrc> add_contact(const std::string& name, const std::string& phone);
  void learn(PeerId peer, const wire::Contact& found);  // the answer of a lookup
  bool remove_contact(PeerId id);                       // its name; the row stays while there is history
  void set_blocked(PeerId id, bool blocked);

  std::optional<Peer> peer_of(UserId user);

  // --- groups
  std::vector<GroupState> groups();  // those that we are in, by name, without their members
  std::optional<GroupState> group(GroupId id);
  std::vector<GroupState> find_groups(std::string_view name_or_id);  // a name, or group:<16 hex digits>
  std::vector<GroupMark> marks(MessageRow message);
  std::vector<GroupNote> notes_after(std::int64_t id, std::size_t limit);
  std::vector<GroupNote> notes_of(GroupId group, std::size_t limit);  // the newest, oldest first
  std::int64_t listened_notes();
  void set_listened_notes(std::int64_t last);

  // --- identities
  bool keys_published();  // the directory has our keys
  std::optional<PeerIdentity> identity(UserId user);
  e2ee::SafetyNumber safety_number(UserId user);  // with that user, whose identity must be known
  bool compare_code(UserId user, std::string_view scanned);
  void set_verified(UserId user, bool verified);
  void trust(UserId user, std::optional<bool> strict);  // the key as it is now
  std::vector<IdentityNote> identity_notes_after(std::int64_t id, std::size_t limit);
  std::int64_t listened_identities();
  void set_listened_identities(std::int64_t last);

  // --- history
  MessageRow enqueue(PeerId to, std::string content, WallMs at);
  // Files that are being sent, by what the caller calls them; the message is queued and the file forgotten in one step.
  std::optional<OutgoingMedia> outgoing_media(const std::string& source);
  void save_outgoing_media(const std::string& source, const OutgoingMedia& media);
  MessageRow enqueue_media(PeerId to, std::string content, const std::string& source, WallMs at);
  std::size_t mark_read(PeerId peer, WallMs at);
  std::optional<Message> message(MessageRow id);
  std::vector<Message> history(PeerId peer, std::size_t limit,
                               MessageRow before = MessageRow(INT64_MAX));  // oldest first
  std::vector<Message> changed_since(Cursor after, std::size_t limit);      // by revision, then id
  Revision revision();                                                      // the newest
  std::vector<Message> outbox(std::size_t limit);                           // outgoing, neither delivered nor failed
  struct Counts {
    std::int64_t contacts, messages, waiting, unread;
  };
  Counts counts();
  std::vector<Message> not_listened(std::size_t limit);  // incoming that no `listen` has printed
  void set_listened(MessageRow last);

  // --- requests of processes that do not hold the session: frames in, frames out
  std::int64_t post_call(std::string_view request_frame, WallMs at);
  std::vector<std::pair<std::int64_t, std::string>> open_calls(std::size_t max, WallMs not_before);
  void answer_call(std::int64_t id, std::string_view response_frame);
  std::optional<std::string> take_answer(std::int64_t id);  // removes it
  void drop_call(std::int64_t id);

  std::int64_t data_version();  // changes when another process has committed
  // Called after each commit, so that other processes look at once (nudge.h).
  void on_commit(std::function<void()> hook) { hook_ = std::move(hook); }

  static constexpr std::size_t kCallsOpenMax = 64;
  static constexpr int kAskedMax = 2;  // times that one message which can't be decrypted is asked for

 private:
  friend class Scope;
  void migrate();
  Revision touch();  // the revision of this transaction
  std::int64_t peer_of_user(UserId user);
  void refresh(std::int64_t message, wire::Code reason,
               std::int64_t at_ms);  // its state, from those of its copies
  std::uint64_t next_seq();
  bool first_time(DeviceId device, std::uint64_t seq);
  struct ReadNotice {
    std::int64_t peer = 0;
    wire::SendKind kind = wire::SendKind::read;
    wire::Address to;
    DeviceId of;  // whose messages were read
  };
  std::size_t address_reads_of(const ReadNotice& notice, WallMs at);
  void address_to_group(std::int64_t message, GroupId group, std::int64_t created_ms);
  std::int64_t peer_of_group(GroupId group);
  GroupState ensure_group(GroupId group);
  void apply(const wire::GroupEvent& event, GroupState& group);
  void write_group(const GroupState& group, bool stale);
  void member_gone(std::int64_t peer, UserId user);
  void count_marks(std::int64_t message, std::int64_t at_ms);

  // sqlite_sealing.cpp, sqlite_unsealing.cpp
  void new_device_keys(const Account& before, const Account& after);
  bool seal_copy(std::uint64_t seq, e2ee::Device to, std::string_view plain);
  std::size_t address_controls(std::size_t copies_max);
  void add_control(e2ee::Device to, const content::Content& content, std::uint64_t origin = 0);
  bool is_held(UserId user);
  std::size_t send_group_keys(GroupId group, std::size_t copies_max);
  bool group_is_ready(GroupId group);
  bool has_session(e2ee::Device with);
  std::uint64_t add_control_copy(const wire::Address& to, std::int64_t at_ms, std::uint64_t origin = 0);
  void rekey(GroupId group);
  void unseal(const wire::Deliver& deliver, WallMs at);
  void opened(const wire::Deliver& deliver, const std::string& plain, WallMs at);
  void insert_incoming(const wire::Deliver& deliver, std::string_view content, int held, WallMs at);
  void ask_again(const wire::Deliver& deliver, bool session_at_fault, WallMs at);
  void ask_for_held(e2ee::Device from);
  void revive(std::int64_t message, std::string_view content);
  void on_sender_key(e2ee::Device from, const content::SenderKey& key);
  void on_retry(e2ee::Device from, const content::Retry& retry);
  void on_again(e2ee::Device from, const content::Again& again);

  Sealing sealing_;
  bool keys_moved_ = false;
  Sqlite db_;
  SqliteKeys keys_{db_};
  std::unique_ptr<e2ee::Sealer> sealer_;
  std::function<void()> hook_;
  bool open_ = false;
  Revision touched_;
};

// Joins the open transaction, or is one.
class Scope {
 public:
  explicit Scope(SqliteStore& store, Store::Durability durability = Store::Durability::durable);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  void commit();

 private:
  SqliteStore& store_;
  bool mine_;
};

}  // namespace barid::client
