// What a Session needs to remember, as verbs. Owned by the shell, used on the session's thread. Every verb
// runs inside a transaction of the caller (Transaction below) and is undone if that is not committed; after a
// durable commit nothing is lost by a crash or a power cut. Implementations throw on environment failures
// (disk full, corrupt file).
#pragma once

#include "client/core/types.h"

namespace barid::client {

class Store {
 public:
  enum class Durability { relaxed, durable };  // relaxed: a power cut may undo it, a crash may not
  static constexpr int kMovesMax = 3;          // times one copy is given another device before it fails

  virtual ~Store() = default;
  virtual void begin(Durability durability) = 0;
  virtual void commit() = 0;
  virtual void rollback() noexcept = 0;

  virtual Account account() = 0;
  virtual void set_session_no(SessionNo number) = 0;
  // The broker's streams are not those that we knew: every message not yet delivered is to be sent again, read notices
  // of late too, and the directory is to be asked for our groups.
  virtual void offer_again(std::uint64_t incarnation, WallMs at) = 0;

  // Outgoing messages become copies, one per device of the recipient, when those devices are known.
  virtual std::size_t address_messages(std::size_t copies_max) = 0;  // in the order they were written; copies made
  virtual std::vector<Peer> peers_to_resolve(std::size_t max) = 0;   // somebody waits for their devices
  virtual void resolved(PeerId peer, UserId user) = 0;               // the directory knows that phone number
  virtual void set_devices(UserId user, const std::vector<wire::Address>& devices) = 0;
  virtual void unresolvable(PeerId peer, wire::Code reason, WallMs at) = 0;  // what waits for it fails
  virtual std::size_t address_reads(std::size_t copies_max, WallMs at) = 0;

  virtual std::vector<Copy> pending(std::uint64_t from_seq, std::size_t max) = 0;  // to be sent, by seq
  virtual std::optional<Copy> copy(std::uint64_t seq) = 0;                         // pending or not
  virtual void sent(const std::vector<Copy>& copies) = 0;
  virtual void accepted(const std::vector<SeqRange>& ranges, WallMs at) = 0;
  virtual void fail(std::uint64_t seq, wire::Code reason, WallMs at) = 0;
  // Moves the states of copies addressed to that user forward; all others stay as they are. Failed because
  // the recipient's device is gone: as gone().
  virtual void receipt(const wire::Receipt& receipt) = 0;
  // Its device no longer exists: waits for readdress(), or fails if it has moved too often.
  virtual void gone(std::uint64_t seq, WallMs at) = 0;
  virtual std::vector<UserId> users_of_gone(std::size_t max) = 0;
  // After set_devices: gives gone copies of that user another device. Returns the lowest seq that is pending
  // again, 0 if none. Copies for which there is no other device fail.
  virtual std::uint64_t readdress(UserId user, WallMs at) = 0;

  // Groups. An event is applied once, when it makes the next version; when something is missing, the group is to be
  // fetched from the directory.
  virtual void group_event(const wire::GroupEvent& event) = 0;
  virtual void group_receipt(const wire::GroupReceipt& receipt) = 0;
  virtual std::vector<GroupId> groups_to_fetch(std::size_t max) = 0;
  // The list of our groups is to be asked for, from behind this one (0: from the start); groups_listed takes a page.
  virtual std::optional<GroupId> groups_to_list() = 0;
  virtual void groups_listed(const wire::GroupList& list) = 0;
  virtual void set_group(const wire::Group& group) = 0;        // as the directory has it
  virtual void group_lost(GroupId group, wire::Code why) = 0;  // we are not in it: what waits for it fails

  // End-to-end encryption; a store that does not seal needs none of it.
  virtual bool seals() const { return false; }
  // What take() or readdress() made necessary, asked once: there may be something to send or to fetch.
  virtual bool keys_moved() { return false; }
  // What the directory should have of our keys and may not; makes what is missing. Again until keys_uploaded().
  virtual std::optional<wire::UploadKeys> keys_to_upload(WallMs) { return std::nullopt; }
  virtual bool key_status_due(WallMs) { return false; }
  // uploaded_up_to: the highest one-time prekey that was sent, 0 when nothing was.
  virtual void keys_uploaded(const wire::KeyStatus&, std::uint32_t /*uploaded_up_to*/, WallMs) {}
  // Users to whom something is to be encrypted and cannot be yet.
  virtual std::vector<wire::KeysWanted> keys_to_fetch(std::size_t /*max*/, WallMs) { return {}; }
  // Begins sessions. Returns the lowest seq that is pending again, 0 if none.
  virtual std::uint64_t set_keys(const wire::UserKeys&, WallMs) { return 0; }

  // False: already here (exact, by sender device and seq).
  virtual bool take(const wire::Deliver& deliver, WallMs at) = 0;
};

class Transaction {
 public:
  Transaction(Store& store, Store::Durability durability) : store_(store) { store_.begin(durability); }
  ~Transaction() {
    if (!done_) store_.rollback();
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit() {
    store_.commit();
    done_ = true;
  }

 private:
  Store& store_;
  bool done_ = false;
};

}  // namespace barid::client
