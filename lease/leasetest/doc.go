// Package leasetest is the contract of a [lease.Store] as a test suite. A store passes if
//
//	func TestStore(t *testing.T) { leasetest.Run(t, newStore) }
//
// passes; it needs no tests of its own for what all stores share.
package leasetest
