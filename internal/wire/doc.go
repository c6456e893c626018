// Package wire turns MultiLang messages into bytes and back: the JSON lines that a MultiLangDaemon and the children it
// starts, one for each shard, exchange over the child's stdin and stdout.
//
//	parent                                                   child
//	AppendInitialize, AppendProcessRecords, AppendAction ──► LineReader ─► DecodeForChild
//	DecodeReply ◄─ LineReader ◄────────────────────────────── AppendStatus, AppendCheckpoint
//	AppendCheckpointAnswer ────────────────────────────────► LineReader ─► DecodeForChild
//
// What is written is, byte for byte, what the Java daemon (amazon-kinesis-client-multilang 3.5.1, Jackson) and the known
// children write. What is read is read with tolerance where another implementation may differ, and refused with an error
// that names the place where it cannot be understood. Error texts never hold record data or partition keys.
//
// The package is pure: no clock, no goroutine, no input or output other than the io.Reader given to a [LineReader].
// Functions may be called concurrently; a [Message] or [LineReader] belongs to one goroutine at a time.
package wire
