// Package stagetest is what the interop suites stand on: an embedded server on a loopback port, processes in any language
// that are ended with the test, records whose arrival is accounted for, and a table of results.
//
//	Feed ─► stream ─► consumers in any language ─► one line a record in Deliveries' folder ─► ledger.Verdict ─► Report
package stagetest
