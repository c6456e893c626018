// Package decode turns what Kinesis answers into records: the body of a GetRecords answer, and the event stream of a
// SubscribeToShard one, in JSON and in CBOR.
//
//	socket ─► body, one allocation ─► one pass over it, in place ─► records whose data and keys lie in that body
//
// Guarantees:
//
//   - Data is not copied: CBOR byte strings are used where they lie, and base64 is decoded into the place it came in, which
//     is longer. Keys and sequence numbers are strings over the body. An answer costs the slice of its records and the
//     iterator, nothing for each record.
//   - The result is what the AWS SDK for Go makes of the same JSON: members in any order, the last of those that repeat,
//     unknown ones of any depth left out, null as absent, escapes and invalid UTF-8 as encoding/json reads them, numbers in
//     every form. What the SDK refuses is refused.
//   - Bytes that are not an answer are an error that wraps [ErrMalformed], never a panic.
//
// It is stricter than the SDK in four ways: an empty body and data behind the answer are errors; so is a member with a
// value of the wrong kind, even if a later one of the same name replaces it; and so are hash keys that are no numbers.
//
// # Ownership
//
// Whoever calls a function here gives the body away. The records share its memory, so one that is kept keeps the whole
// body alive, and the body must not be written to or used again. The data of different records, and their keys, do not
// overlap; each Data has no capacity beyond its length.
package decode
