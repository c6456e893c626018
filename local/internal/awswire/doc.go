// Package awswire speaks the wire formats of the AWS JSON protocols on the server's side.
//
// A [Format] turns a request body into a Go value and a Go value into an answer, as JSON
// (application/x-amz-json-1.1) or as CBOR (application/x-amz-cbor-1.1), which the AWS SDK for Java uses for Kinesis by
// default. The two differ in two places only: a [Blob] is base64 in JSON and a byte string in CBOR; a [Time] is seconds
// with a fraction in JSON and epoch milliseconds under tag 1 in CBOR (aws-sdk-java-v2, SdkCborGenerator).
//
// [Scanner] is a pull parser for request bodies too large to pass through reflection, [AppendFrame] writes
// application/vnd.amazon.eventstream messages, and [WriteError] says no in the form a client of either format expects.
//
// The package knows no operation and keeps no state.
package awswire
