// Package checkup finds out whether a worker could start here: it makes the calls that a worker makes, as far as they change
// nothing, and says of each that fails what to do about it.
//
//	credentials ─► stream: there, active, readable ─► lease table: there, of our format, writable ─► index, rows, clock
//
// Permissions are tried, not read: reads are made, and writes are sent with a condition that no item meets, so that DynamoDB
// checks the permission and then refuses. What a worker does only to a new application, creating the table and its index, is
// tried in no way; that the table is missing is told as a [Note]. Nor are registering
// a consumer and subscribing with it, see [FanOut].
package checkup
