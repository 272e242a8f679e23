// Every size, count and time that is part of the protocol or bounds memory. docs/protocol.md lists those a
// client sees. Those that an operator may change are defaults of base/config.h instead.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace barid::limits {

// the wire
inline constexpr std::uint8_t kProtocolVersion = 1;
inline constexpr std::size_t kFrameHeaderBytes = 4;
inline constexpr std::size_t kPayloadBytesMax = 65'535;       // packed payload of one frame
inline constexpr std::size_t kContentBytesMax = 60 * 1024;    // Send.payload: what is left once packed at worst (17/16)
inline constexpr std::size_t kUnpackedBytesMax = 160 * 1024;  // a packed payload may not unpack to more
inline constexpr int kNestingMax = 8;                         // Cap'n Proto pointer depth
inline constexpr std::size_t kTextBytesMax = 256;             // names, phone numbers, client names
inline constexpr std::size_t kRangesMax = 512;                // SeqRange entries in one frame
inline constexpr std::size_t kLookupPhonesMax = 256;          // phone numbers in one lookup
inline constexpr std::size_t kDevicesMax = 64;                // devices of one user in one response

// groups
inline constexpr std::size_t kGroupMembersMax = 1'024;           // a full group's Response fits one frame
inline constexpr std::size_t kGroupEventDevicesMax = 2'048;      // devices in one GroupEvent
inline constexpr std::size_t kGroupReceiptMembersMax = 512;      // users in one GroupReceipt
inline constexpr std::size_t kGroupReceiptRangesMax = 2'048;     // ranges in one GroupReceipt, in all its parts
inline constexpr std::size_t kGroupDescriptionBytesMax = 2'048;  // longer than other texts
inline constexpr std::size_t kGroupsPageMax = 128;               // groups in one Response
inline constexpr std::size_t kJoinRequestsMax = 256;             // of one group, waiting for an answer

// presence
inline constexpr std::size_t kWatchUsersMax = 64;        // users in one Watch
inline constexpr std::size_t kWatchGroupsMax = 16;       // groups in one Watch
inline constexpr std::size_t kPresenceEntriesMax = 512;  // in one Presence frame
inline constexpr std::size_t kEditContactsMax = 1'024;   // users in one EditContacts, added and removed together
inline constexpr std::size_t kPresencePairsMax = 512;    // of one question of an owner to the directory
inline constexpr std::size_t kLastSeenBatchMax = 2'048;  // of one report of an owner to the directory

// keys of end-to-end encryption
inline constexpr std::size_t kKeyBytes = 32;               // Curve25519, without a type byte
inline constexpr std::size_t kKeySignatureBytes = 64;      // XEdDSA
inline constexpr std::size_t kPrekeysUploadMax = 200;      // one-time prekeys in one uploadKeys
inline constexpr std::size_t kKeysUsersMax = 64;           // users in one keysOf
inline constexpr std::size_t kKeysDevicesMax = 128;        // devices in one Keys, of all its users
inline constexpr std::size_t kKeysKnownMax = kDevicesMax;  // known devices of one user in keysOf

// media
inline constexpr std::size_t kMediaDigestBytes = 32;     // SHA-256
inline constexpr std::size_t kMediaUrlBytesMax = 1'024;  // of a signed URL

// a connection
inline constexpr std::size_t kUnauthenticatedBytesMax = 8 * 1024;  // received in all before login or registration
inline constexpr std::size_t kHttpUpgradeBytesMax = 8 * 1024;
inline constexpr std::size_t kOutBufferBytesMax = 4 * 1024 * 1024;  // unsent bytes of one connection, then it is closed
inline constexpr std::uint16_t kSendWindow = 64;                    // sends not yet accepted, per connection
inline constexpr std::uint16_t kDeliverWindow = 128;                // deliveries not yet acknowledged, per device
inline constexpr std::size_t kDeliverWindowBytes = 512 * 1024;
inline constexpr std::size_t kRequestsInFlight = 8;        // directory requests per connection
inline constexpr std::chrono::seconds kLoginDeadline{10};  // accept to Welcome, else closed

// batches
inline constexpr std::size_t kBatchEnvelopesMax = 2'000;
inline constexpr std::size_t kEnvelopeRecipientsMax = 1'024;        // devices that share one envelope of a batch
inline constexpr std::size_t kBatchLettersMax = 8'192;              // recipients of all its envelopes together
inline constexpr std::size_t kBatchBytesMax = 900 * 1024;           // below nats-server's max_payload of 1 MiB
inline constexpr std::size_t kOpenBatchBytesMax = 8 * 1024 * 1024;  // waiting at one edge for one partition

}  // namespace barid::limits
