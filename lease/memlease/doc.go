// Package memlease keeps leases in memory: for tests, and for an application that is a single process and needs no
// progress to survive it.
//
// One [Store] may be shared by any number of workers of the process; they coordinate through it as through DynamoDB, with
// the same conditions and errors. Everything is gone when the process ends.
package memlease
