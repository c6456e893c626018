// Command bench compares consumers of Kinesis side by side: one embedded server in a process of its own, one stream, the same
// work (count each record, checkpoint each batch), one consumer after the other.
//
//	bench/run                                 # what needs no other language
//	bench/run -java -python                   # with Amazon's MultiLangDaemon, and amazon_kclpy under it and under ours
//	bench/run -peer vmware=DIR -peer harlow=DIR -before 229d77c
//
// README.md says what is measured, and how.
package main
