// Package wholebody keeps the AWS SDK from losing the answers of fast servers.
//
// smithy-go closes a request's body when the header of the answer arrives (transport/http/client.go). The body's WriteTo then
// returns io.EOF, and where net/http has not yet looked for the body's end it takes that for a write error and drops the
// connection under the answer: "use of closed network connection". Against a server on the same machine that befalls one call in
// a thousand, on a busy machine one in twenty; the SDK repeats the call, which puts records twice. A body that cannot write itself
// is read to its end in the ordinary way.
package wholebody
