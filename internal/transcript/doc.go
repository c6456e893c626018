// Package transcript reads what a MultiLang daemon and a child said to each other, as the recorder of interop/childjava wrote
// it down: what the daemon said behind "> ", what the child said behind "< ", and at the end the child's exit code.
//
//	# Comments.
//	> {"action":"initialize","shardId":"shardId-000000000000","sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}
//	< {"action":"status","responseFor":"initialize"}
//	exit 0
//
// The transcripts in testdata/transcripts of the module's root are of Amazon's daemon. Tests hold our child and our daemon to
// them, byte for byte, each playing against the other side's recorded lines.
package transcript
