// Package produce puts records into a stream in batches, in order, and tells what became of each.
//
//	Lines or Generator ─▶ Run (500 records, 5 MiB, linger) ─▶ Sender.Put ─▶ PutRecords ─┬─▶ Took, for each record
//	                       │                                  ▲     ▲                   │
//	                       └─▶ Packer.Put: aggregated records ┘     └── refused parts ──┘
//
// One batch is under way at a time, so records with one partition key keep their order, except that a record that was refused
// is put after those of its batch that were not, and so are records of an aggregate that a reshard tore apart. That order is
// the one Took is called in.
package produce
