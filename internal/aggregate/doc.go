// Package aggregate splits records that a producer packed together (the Kinesis Producer Library's aggregation format)
// into the records that the application put, and packs them for tests and tools.
//
//	F3 89 9A C2 │ protobuf message AggregatedRecord │ MD5 of the message
//
//	message AggregatedRecord {          message Record {                            message Tag {
//	  repeated string partition_key = 1;  required uint64 partition_key_index = 1;    required string key   = 1;
//	  repeated string hash_key      = 2;  optional uint64 hash_key_index      = 2;    optional string value = 2;
//	  repeated Record records       = 3;  required bytes  data                = 3;  }
//	}                                     repeated Tag    tags                = 4;
//	                                    }
//
// The format is that of awslabs/amazon-kinesis-producer, aggregation-format.md; what is accepted is what the Java KCL's
// AggregatorUtil accepts.
//
// Guarantees:
//
//   - a record without the magic number costs four compared bytes;
//   - a record that has it but is damaged (digest, message or index) is delivered whole, as one plain record;
//   - nothing panics, and memory grows with the input by a small factor, whatever the input;
//   - data is not copied: sub-records share the memory of the record they came in.
//
// Where it differs from Java on purpose: records outside the shard's hash keys are left out one by one, while Java throws
// away the whole aggregate for one of them; and a bad index does not lose the records behind it.
package aggregate
